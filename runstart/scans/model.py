"""What is known of a scan: its record, the account of its frames, what was made of it, and where that lies.

Everything of a scan lies under `scans/MICROSCOPE/SCAN/` in the object store: `record.json` (where its frames are),
`work/` (partial results, while it is processed), `results/` (each result in a folder of its own, never changed), and
`current.json` (which of them counts).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files import ScanHeader
from runstart.frames import Recipe, SparseFrames

FORMAT = 1


@dataclass(frozen=True)
class ScanRecord:
    """Where the frames of a scan are.

    Attributes
    ----------
    microscope, scan : str
        The microscope, and the scan's partition key.
    name : str
        Its file below the microscope's folder or prefix; empty for a streamed scan.
    version : str
        Changes when another file takes its place (not while it grows).
    found_at : float
        Seconds since 1970.
    stream : mapping or None
        What was announced of a streamed scan: `number`, `topic`, `kafka`, `announced_ms`, and the fields of `ScanHeader`.
    """

    microscope: str
    scan: str
    name: str
    version: str
    found_at: float
    stream: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Accounting:
    """What became of the frames of a scan.

    Attributes
    ----------
    expected : int
        Scan positions times frames at each.
    stored : int
        Frames that the file has.
    seen : int
        Different frames of the scan among them: those that count.
    duplicate : int
        Frames that came again; the first counts.
    unplaced : int
        Frames that belong to no position of the scan.
    damaged : int
        Frames whose checksum is wrong.
    """

    expected: int
    stored: int
    seen: int
    duplicate: int = 0
    unplaced: int = 0
    damaged: int = 0

    @property
    def missing(self) -> int:
        """Frames that are not there."""
        return self.expected - self.seen

    @property
    def covered(self) -> float:
        """Part of the scan that has been seen."""
        return self.seen / self.expected if self.expected else 0.0

    def contradictions(self) -> list[str]:
        """Return what does not add up; empty if all does."""
        found = []
        if not 0 <= self.seen <= self.expected:
            found.append(f"{self.seen:,} frames were seen of {self.expected:,} expected")
        parts = self.seen + self.duplicate + self.unplaced + self.damaged
        if parts != self.stored:
            found.append(
                f"seen, duplicate, unplaced and damaged frames are {parts:,}, but {self.stored:,} are stored"
            )
        return found

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name."""
        return {**asdict(self), "missing": self.missing}


@dataclass(frozen=True)
class ScanProduct:
    """What was made of a scan, in memory; arrays with NaN where a scan position has no frame.

    Attributes
    ----------
    microscope, scan : str
        Whose.
    header : ScanHeader
        What the file says; its calibration has been completed by the microscope's.
    recipe : Recipe
        What was asked for.
    accounting : Accounting
        What became of the frames.
    center : tuple of float
        (row, column) around which crop and detectors lie.
    frame_counts : ndarray of uint32, shape (scan_rows, scan_columns)
        Frames of each position.
    center_of_mass : ndarray of float32, shape (2, scan_rows, scan_columns)
        Mean column, mean row.
    virtual_images : dict of str to ndarray of float64, shape (scan_rows, scan_columns)
        By detector.
    pattern : ndarray of uint64 or float64, shape (rows, columns)
        Summed diffraction pattern.
    phase : ndarray of float32, shape (scan_rows, scan_columns)
        Integrated phase, radians if both lengths are calibrated, else in pixels times positions.
    events : SparseFrames or None
        Electron events of a counted scan.
    ended : str
        Why the scan counts as ended: `complete`, `closed`, `broken off`, or empty while it goes on.
    """

    microscope: str
    scan: str
    header: ScanHeader
    recipe: Recipe
    accounting: Accounting
    center: tuple[float, float]
    frame_counts: NDArray[np.uint32]
    center_of_mass: NDArray[np.float32]
    virtual_images: dict[str, NDArray[np.float64]]
    pattern: NDArray[Any]
    phase: NDArray[np.float32]
    events: SparseFrames | None = None
    ended: str = ""


@dataclass(frozen=True)
class ScanResult:
    """What was published of a scan.

    Attributes
    ----------
    microscope, scan, version : str
        Whose, and of which version of its file.
    digest : str
        SHA-256 of all arrays of the product: equal results have equal digests.
    plan : str
        The key of the plan that it was made by.
    folder : str
        Where its objects lie.
    objects : mapping of str to str
        Object keys by file name: `scan.nxs`, `counted.h5` (of a counted scan), `overview.png`, `center_of_mass.png`,
        `virtual_images.png`, `phase.png`, `diffraction_pattern.png`.
    thumbnails : mapping of str to str
        Markdown with a small picture, short enough for Dagster to show in place, by asset.
    figures : mapping of str to number or str
        What is worth plotting over scans.
    accounting : Accounting
        What became of the frames.
    ended : str
        As in `ScanProduct`.
    code_version : str
        Of the library.
    """

    microscope: str
    scan: str
    version: str
    digest: str
    plan: str
    folder: str
    objects: Mapping[str, str]
    thumbnails: Mapping[str, str]
    figures: Mapping[str, float | int | str]
    accounting: Accounting
    ended: str
    code_version: str
    format: int = field(default=FORMAT)

    @property
    def is_partial(self) -> bool:
        """Whether the scan was broken off."""
        return self.ended == "broken off"

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ScanResult:
        """Return what `to_bytes` wrote."""
        fields = json.loads(data)
        return cls(**{**fields, "accounting": Accounting(**fields["accounting"])})
