"""What is true of a simulated scan, so that a result can be checked against it.

It is kept in two files: `NAME-truth.json` has the plan, the camera and the flaws; `NAME-truth.npz` has the maps. The
electrons themselves are not kept: `true_events` draws them again.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from runstart.errors import Alert
from runstart.simulators import _scan_camera as camera
from runstart.simulators._night_files import whole_file
from runstart.simulators._randomness import generator
from runstart.simulators._scan_crystal import (
    LATTICE_NM,
    Crystal,
    disc_radius_px,
    mrad_per_pixel,
    shift_per_gradient,
    wavelength_nm,
)
from runstart.simulators._scan_electrons import count_electrons_sent
from runstart.simulators.scan_plan import ScanPlan


class ScanFacts(BaseModel):
    """What is in the JSON file.

    Attributes
    ----------
    plan : ScanPlan
    file_name : str
    wavelength_nm, lattice_nm, mrad_per_pixel, disc_radius_px : float
    shift_px_per_radian_per_nm : float
        By which a phase gradient shifts the pattern.
    gain_mean, gain_sigma : float
        Charge that an electron leaves, spread over up to four pixels.
    largest_noise, smallest_xray : int
        Thresholds belong between: an electron's pixel has more than the one, and an electron's alone less than the other.
    electrons : int
        Of all slots together, stored or not.
    dead_pixels : tuple of int
        Flat indices.
    dropped, duplicated : tuple of int
        Slots; those after a break-off are not among them.
    stored : int
        Frames that the file gets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: ScanPlan
    file_name: str
    wavelength_nm: float
    lattice_nm: float
    mrad_per_pixel: float
    disc_radius_px: float
    shift_px_per_radian_per_nm: float
    gain_mean: float
    gain_sigma: float
    largest_noise: int
    smallest_xray: int
    electrons: int
    dead_pixels: tuple[int, ...]
    dropped: tuple[int, ...]
    duplicated: tuple[int, ...]
    stored: int


@dataclass(frozen=True)
class ScanTruth:
    """A scan that was planned. Lengths on the camera are in pixels, (row, column), from the middle of the first pixel.

    Attributes
    ----------
    facts : ScanFacts
        The plan, numbers, dead pixels, flaws.
    phase : ndarray of float64, shape (scan_rows, scan_columns)
        Radians. Its gradient per nanometre times `facts.shift_px_per_radian_per_nm` is `center - beam`.
    is_crystal : ndarray of bool, shape (scan_rows, scan_columns)
        False in the vacuum.
    beam : ndarray of float64, shape (2, scan_rows, scan_columns)
        Where the beam would be without a crystal: it drifts.
    center : ndarray of float64, shape (2, scan_rows, scan_columns)
        Expected centre of mass of the electrons.
    electrons : ndarray of uint32, shape (slots,)
        That hit the camera, those on dead pixels among them.
    stored_slots : ndarray of int64
        Slots of the frames in the order in which they are stored.
    """

    facts: ScanFacts
    phase: NDArray[np.float64]
    is_crystal: NDArray[np.bool_]
    beam: NDArray[np.float64]
    center: NDArray[np.float64]
    electrons: NDArray[np.uint32]
    stored_slots: NDArray[np.int64]

    @property
    def plan(self) -> ScanPlan:
        """What was planned."""
        return self.facts.plan

    @property
    def dropped(self) -> NDArray[np.int64]:
        """Slots of frames that are never written, ascending; those after a break-off are not among them."""
        return np.array(self.facts.dropped, np.int64)

    @property
    def duplicated(self) -> NDArray[np.int64]:
        """Slots of frames that are written twice, ascending; those after a break-off are not among them."""
        return np.array(self.facts.duplicated, np.int64)

    @property
    def dead_pixels(self) -> NDArray[np.uint32]:
        """Flat indices of the pixels that read 0."""
        return np.array(self.facts.dead_pixels, np.uint32)


_MAPS = ("phase", "is_crystal", "beam", "center", "electrons", "stored_slots")


def scan_truth_path(folder: Path, plan: ScanPlan, truth_folder: Path | None = None) -> Path:
    """Return where the truth of a scan is written: in `truth_folder`, or in `.truth/` of the scan's folder."""
    return (truth_folder or folder / ".truth") / f"{plan.name}-truth.json"


def make_truth(plan: ScanPlan, crystal: Crystal) -> ScanTruth:
    """Return the truth of a scan."""
    electrons = count_electrons_sent(plan)
    stored, dropped, duplicated = plan_storing(plan)
    facts = ScanFacts(
        plan=plan,
        file_name=plan.file_name,
        wavelength_nm=wavelength_nm(plan.voltage_kv),
        lattice_nm=LATTICE_NM,
        mrad_per_pixel=mrad_per_pixel(plan),
        disc_radius_px=disc_radius_px(plan),
        shift_px_per_radian_per_nm=shift_per_gradient(plan),
        gain_mean=camera.GAIN_MEAN,
        gain_sigma=camera.GAIN_SIGMA,
        largest_noise=camera.NOISE_MOST,
        smallest_xray=camera.XRAY_LEAST,
        electrons=int(electrons.sum()),
        dead_pixels=tuple(camera.dead_pixels(plan).tolist()),
        dropped=tuple(dropped.tolist()),
        duplicated=tuple(duplicated.tolist()),
        stored=len(stored),
    )
    return ScanTruth(facts, crystal.phase, crystal.is_crystal, crystal.beam, crystal.center, electrons, stored)


def write_scan_truth(path: Path, truth: ScanTruth) -> None:
    """Write the truth of a scan, the maps first.

    Raises
    ------
    Alert
        The folder cannot be written to, or the disk is full.
    """
    maps: dict[str, Any] = {name: getattr(truth, name) for name in _MAPS}
    with whole_file(path.with_suffix(".npz")) as file:
        np.savez(file, **maps)
    with whole_file(path) as file:
        file.write(truth.facts.model_dump_json(indent=1).encode())


def read_scan_truth(path: Path) -> ScanTruth:
    """Read the truth of a scan.

    Parameters
    ----------
    path : Path
        Of the JSON file, as `scan_truth_path` returns it; the maps are beside it.

    Raises
    ------
    Alert
        A file cannot be read, or is not the truth of a scan.
    """
    try:
        facts = ScanFacts.model_validate_json(path.read_bytes())
        data = path.with_suffix(".npz").read_bytes()
    except OSError as error:
        what = f"{error.filename or path}: cannot be read: {error.strerror}."
        raise Alert(what, "Simulate the scan first.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise Alert(f"{path}: {where}: {first['msg']}.", "Simulate the scan again.") from error
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as maps:
            return ScanTruth(facts, **{name: maps[name] for name in _MAPS})
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        what = f"{path.with_suffix('.npz')}: the maps of the scan are damaged: {error}."
        raise Alert(what, "Simulate the scan again.") from error


def plan_storing(plan: ScanPlan) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the slots in the order of storing, and those of them that are left out, and that come twice."""
    rng = generator("scan flaws", plan.seed, plan.number)
    shuffled = rng.permutation(plan.slots)
    n_dropped = round(plan.dropped * plan.slots)
    n_duplicated = min(round(plan.duplicated * plan.slots), plan.slots - n_dropped)
    times = np.ones(plan.slots, np.int64)
    times[shuffled[:n_dropped]] = 0
    times[shuffled[n_dropped : n_dropped + n_duplicated]] = 2
    if plan.break_off is not None:
        times = times[: round(plan.break_off * plan.slots)]
    return np.repeat(np.arange(len(times)), times), np.flatnonzero(times == 0), np.flatnonzero(times == 2)
