"""What the operators sum of scans: centres of mass, virtual images, diffraction patterns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_messages.arrays import array_message
from runstart.frame_messages.batches import Batch, ScanInfo
from runstart.frame_messages.open_scans import ScanSums
from runstart.frame_messages.partials import ScanPartial
from runstart.frame_messages.pictures import CENTER_OF_MASS, PATTERN
from runstart.frames import (
    DenseFrames,
    Detector,
    FramePass,
    Partial,
    SparseFrames,
    center_of_mass_map,
    detector_masks,
    find_center,
    merge_partials,
    virtual_image_maps,
)
from runstart.operators import BytesMessage


class CenterOfMassSums(ScanSums[ScanPartial]):
    """Moments of each position."""

    def __init__(self, scan: ScanInfo) -> None:
        super().__init__(scan)
        self._moments: tuple[NDArray[Any], ...] | None = None
        self._counts = np.zeros(scan.positions, np.uint32)

    def extent(self, value: ScanPartial) -> tuple[NDArray[np.int64], int]:  # noqa: D102 - as the base class says
        return value.partial.positions, int(value.partial.frames.sum())

    def sum(self, value: ScanPartial) -> None:  # noqa: D102
        partial = value.partial
        given = (partial.intensity, partial.row_moment, partial.column_moment)
        if self._moments is None:
            self._moments = tuple(np.zeros(self.scan.positions, one.dtype) for one in given if one is not None)
        for mine, its in zip(self._moments, given, strict=True):
            if its is None or its.dtype != mine.dtype:
                raise Alert("Sums of events and of float32 pixels are in one scan.", "Number every scan.")
        for mine, its in zip(self._moments, given, strict=True):
            mine[partial.positions] = its
        self._counts[partial.positions] = partial.frames

    def result(self, parameters: Mapping[str, Any]) -> BytesMessage:
        """Return the centre of mass of each position, float32 of shape (2, rows, columns): mean column, mean row.

        It is NaN where there is no frame, or no electron inside the crop.
        """
        del parameters  # none bears upon it
        seen = np.flatnonzero(self._seen)
        intensity, rows, columns = (moment[seen] for moment in self._moments or ())
        partial = Partial(self.scan.frame_shape, seen, self._counts[seen], intensity, rows, columns)
        return array_message(center_of_mass_map(partial, self.scan.scan_shape), self.about(CENTER_OF_MASS))


class KeptEvents(ScanSums[Batch]):
    """Keeps the events of a scan as they come, for who needs all of them at once."""

    def __init__(self, scan: ScanInfo) -> None:
        super().__init__(scan)
        self._batches: list[SparseFrames] = []

    def extent(self, value: Batch) -> tuple[NDArray[np.int64], int]:  # noqa: D102
        return value.frames.positions, len(value.frames)

    def sum(self, value: Batch) -> None:  # noqa: D102
        if isinstance(value.frames, DenseFrames):
            raise Alert(
                "The frames are camera images, not electron events.", "Wire electron-count before this input."
            )
        self._batches.append(value.frames)


class VirtualImageSums(KeptEvents):
    """Events, which are kept: on which detector they fall is known when the centre is."""

    def result(self, parameters: Mapping[str, Any]) -> BytesMessage:
        """Return the electrons on the detector at each position, float32 of shape (rows, columns).

        Of several frames of a position it is the mean; NaN where there is no frame.
        """
        inner, outer = float(parameters["inner_radius"]), float(parameters["outer_radius"])
        if inner >= outer:
            raise Alert(f"inner_radius is {inner:g}, and outer_radius {outer:g}.", "Make the outer one larger.")
        center = self._center(int(parameters["subsample_step_center"]))
        detector = Detector(name="detector", inner=inner, outer=outer)
        shape = self.scan.frame_shape
        masks = detector_masks([detector], center or (0.0, 0.0), shape)
        frame_pass = FramePass(shape, "sparse", center_of_mass=False, masks=masks, sum_frames=False, threads=1)
        partial = merge_partials(map(frame_pass.process, self._batches))
        image = virtual_image_maps(partial, self.scan.scan_shape)[0].astype(np.float32)
        about = {"center_used": center, "inner_radius": inner, "outer_radius": outer}
        return array_message(image, self.about("virtual image") | about)

    def _center(self, step: int) -> tuple[float, float] | None:
        """Return the centre of mass of the pattern of each n-th position; of all, if those have no electrons."""
        for every in (max(step, 1), 1):
            pattern = np.zeros(self.scan.frame_shape[0] * self.scan.frame_shape[1], np.int64)
            for frames in self._batches:
                lengths = np.diff(frames.starts)
                chosen = np.repeat(frames.positions % every == 0, lengths)
                pattern += np.bincount(frames.events[chosen], minlength=len(pattern))
            if pattern.any():
                return find_center(pattern.reshape(self.scan.frame_shape))
        return None


class PatternSums(ScanSums[Batch]):
    """The sum of all frames."""

    unit = "frames"

    def __init__(self, scan: ScanInfo) -> None:
        super().__init__(scan)
        self._pass: FramePass | None = None
        self._pattern: NDArray[Any] | None = None

    def extent(self, value: Batch) -> tuple[NDArray[np.int64], int]:  # noqa: D102
        return value.frames.positions, len(value.frames)

    def sum(self, value: Batch) -> None:  # noqa: D102
        frames = value.frames
        if self._pass is None:
            dtype = frames.pixels.dtype if isinstance(frames, DenseFrames) else "sparse"
            self._pass = FramePass(self.scan.frame_shape, dtype, center_of_mass=False, threads=1)
        try:
            found = self._pass.process(frames).pattern
        except ValueError as error:
            raise Alert(f"The frames are not like those before: {error}.", "Number every scan.") from error
        if found is None:
            raise AssertionError
        self._pattern = found if self._pattern is None else self._pattern + found

    def result(self, parameters: Mapping[str, Any]) -> BytesMessage:
        """Return the sum, float64 of shape (rows, columns); of whole numbers it is exact up to 2**53."""
        del parameters  # none bears upon it
        pattern = np.zeros(self.scan.frame_shape) if self._pattern is None else self._pattern
        return array_message(pattern.astype(np.float64), self.about(PATTERN))
