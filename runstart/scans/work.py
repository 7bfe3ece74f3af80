"""One scan to be worked on: its microscope, its record, and the store that keeps what is made of it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files import FileBlob, FrameSource, ScanHeader, open_frames
from runstart.frames import Shape
from runstart.microscopes import Microscope
from runstart.scans.model import ScanRecord
from runstart.storage import ObjectStore


def _ignore(_text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class ScanWork:
    """A scan to be worked on.

    Attributes
    ----------
    microscope : Microscope
        As it is declared.
    record : ScanRecord
        Where the frames are.
    store : ObjectStore
        Keeps plans, partial results and results.
    s3_client : botocore.client.S3, optional
        Reads scans from a bucket; by default one made from the standard AWS environment variables.
    tell : callable, optional
        Is told of progress and remarks, in sentences.
    local : Path, optional
        A local file that is read instead of the record's: frames of a streamed scan as they come.
    """

    microscope: Microscope
    record: ScanRecord
    store: ObjectStore
    s3_client: Any = None
    tell: Callable[[str], object] = _ignore
    local: Path | None = None

    def open(self) -> FrameSource:
        """Return the scan's frames.

        Raises
        ------
        Alert
            If the file is gone, was replaced, or cannot be read.
        Transient
            If disk or store do not answer.
        """
        if self.local is not None:
            return open_frames(FileBlob(self.local))
        from runstart.scans.opening import open_scan

        return open_scan(self.microscope, self.record, self.store, self.s3_client)

    def calibrated(self, header: ScanHeader) -> ScanHeader:
        """Return a header whose calibration is completed by what was announced of a stream, and by the microscope's."""
        declared = self.microscope.calibration.model_dump(exclude_none=True)
        announced = (self.record.stream or {}).get("calibration", {})
        return replace(header, calibration={**declared, **announced, **header.calibration})

    @functools.cached_property
    def _vacuum_map(self) -> NDArray[np.float32] | None:
        compensation = self.microscope.beam_compensation
        if compensation is None or compensation.vacuum_scan == self.record.scan:
            return None
        from runstart.scans.nexus import read_scan_nexus
        from runstart.scans.publish import load_current

        result = load_current(self.store, self.microscope, compensation.vacuum_scan)
        if result is None:
            what = f"The vacuum scan {compensation.vacuum_scan} of {self.microscope.name} has no result."
            raise Alert(what, "Process it first, or take beam_compensation out of microscopes.toml.")
        vacuum = read_scan_nexus(self.store.get(result.objects["scan.nxs"]).data)
        if vacuum.recipe.bin_by != self.microscope.recipe.bin_by:
            binned, wanted = vacuum.recipe.bin_by, self.microscope.recipe.bin_by
            what = (
                f"The vacuum scan {compensation.vacuum_scan} was binned by {binned}, and this one is by {wanted}."
            )
            raise Alert(what, "Process the vacuum scan again with this bin_by.")
        return vacuum.center_of_mass

    def shifts(self, scan_shape: Shape) -> NDArray[np.int32] | None:
        """Return by how many rows and columns the frames of each position are moved; None without compensation.

        Returns
        -------
        ndarray of int32, shape (positions, 2), or None

        Raises
        ------
        Alert
            If the vacuum scan is not done.
        """
        vacuum, compensation = self._vacuum_map, self.microscope.beam_compensation
        if vacuum is None or compensation is None:
            return None
        from runstart.frames import beam_shifts

        if scan_shape not in self._known_shifts:
            self._known_shifts[scan_shape] = beam_shifts(vacuum, scan_shape, compensation.method)
        return self._known_shifts[scan_shape]

    @functools.cached_property
    def _known_shifts(self) -> dict[Shape, NDArray[np.int32]]:
        """Shifts by the shape of the scan: they are asked for with each chunk of frames."""
        return {}

    @property
    def shifts_digest(self) -> str:
        """SHA-256 of what the beam is compensated by; empty without compensation."""
        vacuum, compensation = self._vacuum_map, self.microscope.beam_compensation
        if vacuum is None or compensation is None:
            return ""
        return hashlib.sha256(compensation.method.encode() + vacuum.tobytes()).hexdigest()
