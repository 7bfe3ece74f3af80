"""Compiled sums over electron events, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.frames._compiled import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["find_outside", "sum_events"]


@compiled
def find_outside(
    starts: npt.NDArray[np.int64], events: npt.NDArray[np.uint32], which: npt.NDArray[np.int64], pixels: int
) -> int:
    """Return the index among `events` of the first that is no pixel of its frame, or -1."""
    for k in range(len(which)):
        start = starts[which[k]]
        frame = events[start : starts[which[k] + 1]]
        largest: Any = np.uint32(0)
        for i in range(len(frame)):
            largest = max(largest, frame[i])
        if largest >= pixels:
            for i in range(len(frame)):
                if frame[i] >= pixels:
                    return int(start + i)
    return -1


@compiled
def _place(
    events: npt.NDArray[np.uint32],
    columns: int,
    bin_by: int,
    row_shift: int,
    column_shift: int,
    binned_rows: int,
    binned_columns: int,
    pixels: npt.NDArray[np.int64],
) -> int:
    """Write the pixels that events fall on after binning and shifting; return how many are in the frame."""
    inside = 0
    for i in range(len(events)):
        row = events[i] // columns // bin_by
        column = events[i] % columns // bin_by
        is_whole = (row < binned_rows) & (column < binned_columns)  # not in rows and columns that are left over
        row += row_shift
        column += column_shift
        pixels[inside] = row * binned_columns + column
        is_inside = (row >= 0) & (row < binned_rows) & (column >= 0) & (column < binned_columns)
        inside += int(is_whole & is_inside)
    return inside


@compiled
def sum_events(
    starts: npt.NDArray[np.int64],
    events: npt.NDArray[np.uint32],
    which: npt.NDArray[np.int64],
    columns: int,
    bin_by: int,
    shifts: npt.NDArray[np.int32],
    shape: tuple[int, int],
    crop: npt.NDArray[np.uint8],
    weights: npt.NDArray[Any],
    moments: npt.NDArray[np.int64],
    detected: npt.NDArray[Any],
    pattern: npt.NDArray[Any],
) -> None:
    """Add up the events of frames. What is not wanted has size 0.

    Parameters
    ----------
    starts, events
        As of `SparseFrames`; every event is a pixel of the frame.
    which : int64[m]
        Indices of the frames.
    columns : int
        Of a frame as it was read.
    shifts : int32[n, 2]
        Rows and columns that all frames are moved by, after binning.
    shape : tuple of int
        Of a binned frame.
    crop : uint8[pixels]
        1 for pixels that count for the moments.
    weights : uint8, int64 or float64[k, pixels]
        Virtual detectors.
    moments : int64[3, m]
        Becomes intensity, row moment and column moment.
    detected : int64 or float64[k, m]
        Is added to.
    pattern : uint32 or uint64[pixels]
        Is added to.
    """
    most = 0
    for frame in which:
        most = max(most, starts[frame + 1] - starts[frame])
    pixels = np.empty(most + 1, np.int64)  # one more, for a last event that is outside
    rows, binned_columns = shape
    row_shift, column_shift = 0, 0
    for k in range(len(which)):
        frame = which[k]
        if shifts.size:
            row_shift, column_shift = shifts[frame, 0], shifts[frame, 1]
        inside = _place(
            events[starts[frame] : starts[frame + 1]],
            columns,
            bin_by,
            row_shift,
            column_shift,
            rows,
            binned_columns,
            pixels,
        )
        hits = pixels[:inside]
        if moments.size:
            intensity = row_moment = column_moment = np.int64(0)
            for pixel in hits:
                counts = np.int64(crop[pixel])
                intensity += counts
                row_moment += counts * (pixel // binned_columns)
                column_moment += counts * (pixel % binned_columns)
            moments[0, k] = intensity
            moments[1, k] = row_moment
            moments[2, k] = column_moment
        for j in range(len(weights)):
            mask = weights[j]
            total = detected[j, k]
            for pixel in hits:
                total += mask[pixel]
            detected[j, k] = total
        if pattern.size:
            for pixel in hits:
                pattern[pixel] += 1
