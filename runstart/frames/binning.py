"""Binning: frames with fewer, larger pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames._inputs import outside_frame, to_frames
from runstart.frames._summing import binned_shape
from runstart.frames._threads import check_threads, spread
from runstart.frames.model import DenseFrames, Frames, SparseFrames


def bin_frames(frames: Frames | NDArray[Any], bin_by: int, *, threads: int | None = None) -> Frames:
    """Return frames with pixels added together along each axis; rows and columns that are left over are cut off.

    Dense frames of uint8 become the narrowest type that holds any sum, uint16 or uint32; uint16 becomes uint32; uint32
    stays, and so does float32, summed in float64. With `bin_by` 1 no type changes. Events keep their order, and those
    that fall on one pixel stay apart.

    Parameters
    ----------
    frames : DenseFrames, SparseFrames, or ndarray of shape (n, rows, columns) or (scan_rows, scan_columns, rows, columns)
        Of uint8, uint16, uint32 or float32. An array's positions are 0, 1, 2 and so on.
    bin_by : int
        Pixels along each axis.
    threads : int, optional
        By default as many as there are cores for this process.

    Raises
    ------
    ValueError
        If shapes or types do not fit, a sum exceeds uint32, or an event lies outside.
    """
    checked = to_frames(frames)
    shape = binned_shape(checked.frame_shape, bin_by)
    if isinstance(checked, SparseFrames):
        return _bin_events(checked, bin_by)
    if bin_by == 1:
        return checked
    from runstart.frames._dense_kernels import bin_range

    pixels = checked.pixels
    out = np.empty((len(pixels), *shape), _wider(pixels.dtype, bin_by))
    is_float = pixels.dtype.kind == "f"
    largest = np.float64(np.inf) if is_float else np.int64(np.iinfo(out.dtype).max)

    def run(begin: int, end: int) -> int:
        row = np.empty(shape[1], largest.dtype)
        return bin_range(pixels, begin, end, bin_by, row, largest, out)

    wrong = [
        k for k in spread(len(pixels), pixels.nbytes, check_threads(threads), max(len(pixels), 1), run) if k >= 0
    ]
    if wrong:
        raise ValueError(f"a binned pixel of frame {wrong[0]} exceeds {out.dtype}")
    return DenseFrames(checked.positions, out)


def _wider(dtype: np.dtype[Any], bin_by: int) -> np.dtype[Any]:
    if dtype.kind == "f":
        return dtype
    most = int(np.iinfo(dtype).max) * bin_by**2
    return np.dtype(np.uint16 if most <= np.iinfo(np.uint16).max else np.uint32)


def _bin_events(frames: SparseFrames, bin_by: int) -> SparseFrames:
    rows, columns = frames.frame_shape
    events = frames.events[frames.starts[0] : frames.starts[-1]]
    if len(events) and int(events.max()) >= rows * columns:
        raise outside_frame(frames, int(np.argmax(events >= rows * columns)) + int(frames.starts[0]))
    shape = binned_shape(frames.frame_shape, bin_by)
    row, column = np.divmod(events, np.uint32(columns))
    row //= np.uint32(bin_by)
    column //= np.uint32(bin_by)
    is_whole = (row < shape[0]) & (column < shape[1])
    kept = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_whole)])
    binned = row[is_whole] * np.uint32(shape[1]) + column[is_whole]
    return SparseFrames(frames.positions, kept[frames.starts - frames.starts[0]], binned, shape)
