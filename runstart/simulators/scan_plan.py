"""What a simulated scan shall be: checked when it is written down, so that a mistake is told before the first frame.

A scan goes row by row over a crystal that begins behind a slanted edge; in front of it is vacuum. Slots are numbered as
files of frames number them: `position * frames_per_position + number`.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from runstart.errors import Alert

__all__ = ["FrameFormat", "ScanPlan", "next_scan_number", "parse_started"]

_LARGEST_SCAN, _FEWEST_PIXELS, _MOST_PIXELS = 4096, 16, 4096
_MOST_FRAMES = 2**24
_MOST_DEAD = 1000
_LAST_NUMBER = 999_999
_SECONDS_OF_A_FRAME = 0.001


class FrameFormat(StrEnum):
    """How frames are written."""

    FRAMES = "frames"
    """Dense raw frames, each with its slot; a reader can follow the file while it grows."""
    BATCHES = "batches"
    """Electron events as a perfect counter would find them; a reader can follow the file while it grows."""
    NPY = "npy"
    """A NumPy array of dense frames, one for each slot."""
    HDF5 = "hdf5"
    """An HDF5 dataset of dense frames, one for each slot."""

    @property
    def suffix(self) -> str:
        """Of the file's name, with the dot."""
        return ".h5" if self is FrameFormat.HDF5 else f".{self.value}"

    @property
    def has_slots(self) -> bool:
        """Whether each frame is stored with its slot, so that one may be missing or come twice."""
        return self in {FrameFormat.FRAMES, FrameFormat.BATCHES}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanPlan:
    """A scan.

    Parameters
    ----------
    started : datetime.datetime
        When it begins, with a time zone; by default now.
    number : int
        Of the scan: names the file, and gives other electrons of the same crystal, drift and camera.
    scan_shape, frame_shape : (int, int)
        Rows and columns of the scan, and of a frame.
    frames_per_position : int
        Frames taken at each position.
    electrons : float
        Mean number in a frame; each frame has a Poisson number.
    format : FrameFormat
    vacuum : float
        Part of the scan, from the top, that is vacuum: 0 has none, 1 is a vacuum scan.
    phase_rad : float
        That the heavy atomic columns add at their middle; the light ones add 0.6 of it.
    scan_step_nm : float
        Distance of neighbouring scan positions.
    voltage_kv : float
        Acceleration voltage.
    drift_px : float or None
        Pixels by which the beam drifts from the first row to the last; None takes 2.4 % of the frame.
    dead_pixels : int
        Pixels that read 0.
    xrays : float
        Mean number of x-ray hits in a frame.
    dropped, duplicated : float
        Part of the frames that is never written; that is written twice.
    break_off : float or None
        Part of the frames after which writing stops, without an end; None finishes the scan.
    rate : float
        Frames a second; 0 writes as fast as it goes.
    seed : int
        The same plan with the same seed gives the same bytes.

    Raises
    ------
    Alert
        A value is out of its range, or the format cannot express it.
    """

    started: dt.datetime = field(default_factory=_now)
    number: int = 1
    scan_shape: tuple[int, int] = (64, 64)
    frame_shape: tuple[int, int] = (128, 128)
    frames_per_position: int = 1
    electrons: float = 80.0
    format: FrameFormat = FrameFormat.FRAMES
    vacuum: float = 0.3
    phase_rad: float = 0.8
    scan_step_nm: float = 0.04
    voltage_kv: float = 300.0
    drift_px: float | None = None
    dead_pixels: int = 12
    xrays: float = 0.05
    dropped: float = 0.0
    duplicated: float = 0.0
    break_off: float | None = None
    rate: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.started.tzinfo is None:
            raise Alert(f"The start {self.started} has no time zone.", "Write it like 2026-07-19T20:00:00Z.")
        _check_number("as its number", self.number, 0, _LAST_NUMBER)
        _check_shape("A scan", "positions", self.scan_shape, 1, _LARGEST_SCAN)
        _check_shape("A frame", "pixels", self.frame_shape, _FEWEST_PIXELS, _MOST_PIXELS)
        _check_number("frames per position", self.frames_per_position, 1, 64)
        _check_number("frames", self.slots, 1, _MOST_FRAMES)
        _check_number("electrons in a frame", self.electrons, 0, 20_000)
        _check_number("as its part of vacuum", self.vacuum, 0, 1)
        _check_number("radians of phase", self.phase_rad, 0, 10)
        _check_number("nanometres from position to position", self.scan_step_nm, 0.001, 0.2)
        _check_number("kilovolts", self.voltage_kv, 1, 3000)
        _check_number("pixels of drift", self.drift_px or 0, 0, 1000)
        most_dead = min(self.frame_shape[0] * self.frame_shape[1] // 8, _MOST_DEAD)
        _check_number("dead pixels", self.dead_pixels, 0, most_dead)
        _check_number("x-rays in a frame", self.xrays, 0, 100)
        _check_number("as its part of dropped frames", self.dropped, 0, 1)
        _check_number("as its part of duplicated frames", self.duplicated, 0, 1)
        _check_number("as its part before it breaks off", 1 if self.break_off is None else self.break_off, 0, 1)
        _check_number("frames a second", self.rate, 0.01 if self.rate else 0, 1e6)
        _check_number("as its seed", self.seed, 0, 2**63 - 1)
        if not self.format.has_slots and self.frames_per_position > 1:
            what = f"A file of the format {self.format.value} has one frame per position."
            raise Alert(what, "Choose the format frames or batches for more.")
        if not self.format.has_slots and (self.dropped or self.duplicated or self.break_off is not None):
            raise Alert(
                f"A file of the format {self.format.value} has one frame for each slot: none can be missing or twice.",
                "Choose the format frames or batches for dropped, duplicated or broken-off frames.",
            )

    @property
    def name(self) -> str:
        """Of the scan: the file's name without its suffix."""
        return f"scan_{self.number:06d}"

    @property
    def file_name(self) -> str:
        """Of the file of frames."""
        return self.name + self.format.suffix

    @property
    def started_text(self) -> str:
        """When it begins, as files say it: ISO 8601, in UTC."""
        return self.started.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")

    @property
    def positions(self) -> int:
        """Number of scan positions."""
        return self.scan_shape[0] * self.scan_shape[1]

    @property
    def slots(self) -> int:
        """Frames that the scan has when nothing is missing."""
        return self.positions * self.frames_per_position

    @property
    def duration(self) -> dt.timedelta:
        """The time that the scan takes at its rate, or at 1000 frames a second if it has none."""
        return dt.timedelta(seconds=self.slots * (1 / self.rate if self.rate else _SECONDS_OF_A_FRAME))


def next_scan_number(*folders: Path) -> int:
    """Return the number after the highest that a scan, or the truth about one, has in any of some folders.

    Raises
    ------
    Alert
        A folder cannot be read.
    """
    highest = 0
    for folder in folders:
        try:
            names = [path.name for path in folder.iterdir()] if folder.exists() else []
        except OSError as error:
            raise Alert(f"{folder} cannot be read: {error.strerror}.", "Choose another folder.") from error
        found = [name[5:11] for name in names if name.startswith("scan_") and name[11:12] in {".", "-"}]
        highest = max([highest, *(int(digits) for digits in found if digits.isascii() and digits.isdigit())])
    return highest + 1


def parse_started(text: str) -> dt.datetime:
    """Return the time that a text names in ISO 8601; without a time zone it is in UTC.

    Raises
    ------
    Alert
        The text names no time.
    """
    try:
        time = dt.datetime.fromisoformat(text)
        return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise Alert(f"{text!r} is no time.", "Write it like 2026-07-19T20:00:00Z.") from error


def _check_shape(what: str, unit: str, shape: tuple[int, int], smallest: int, largest: int) -> None:
    if not all(smallest <= length <= largest for length in shape):
        rows, columns = shape
        told = f"{what} of {rows}x{columns} {unit} cannot be simulated."
        raise Alert(told, f"Choose {smallest} to {largest} rows and columns.")


def _check_number(name: str, value: float, smallest: float, largest: float) -> None:
    if not math.isfinite(value) or not smallest <= value <= largest:
        raise Alert(f"A scan cannot have {value:g} {name}.", f"Choose from {smallest:g} to {largest:g}.")
