"""Compiled sums over camera images: weighted sums of each frame, and the sum of all.

The same row of a group of frames is gone through, then the next one: a row of weights and of the sum stays in the
first-level cache meanwhile. 16-bit pixels less 0x8000 are int16, and their products with int16 weights become
multiply-add instructions on whole vectors. Only rows that are binned or moved are copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types
from numba.extending import overload

from runstart.frames._compiled import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["bin_range", "sum_dense"]

GROUP = 8
"""Frames that share a row of weights and of the sum while it is in the cache; more of them would push each other out."""


def _dot(values: npt.NDArray[Any], flip: Any, weights: npt.NDArray[Any], totals: npt.NDArray[Any]) -> Any:
    """Return the sum of products of `values + flip` in the type of `totals`; with float weights `flip` is 0.

    A pixel of weight 0 does not count, even if it is NaN.
    """
    raise NotImplementedError


@overload(_dot, jit_options={"fastmath": {"reassoc", "contract", "nsz"}})  # type: ignore[untyped-decorator]
def _choose_dot(values: Any, flip: Any, weights: Any, totals: Any) -> Any:  # noqa: ARG001 - typed by numba
    if isinstance(weights.dtype, types.Float):

        def dot_floats(values: Any, flip: Any, weights: Any, totals: Any) -> Any:  # noqa: ARG001
            total = 0.0
            for i in range(len(weights)):
                total += values[i] * weights[i] if weights[i] != 0.0 else 0.0
            return total

        return dot_floats

    def dot_integers(values: Any, flip: Any, weights: Any, totals: Any) -> Any:
        to_weight, to_total = weights.dtype.type, totals.dtype.type
        total = to_total(0)
        for i in range(len(weights)):
            total = to_total(total + to_total(to_weight(values[i] + flip)) * to_total(weights[i]))
        return total

    return dot_integers


@compiled
def _load_row(
    frame: npt.NDArray[Any], y: int, bin_by: int, row_shift: int, column_shift: int, to: npt.NDArray[Any]
) -> None:
    """Write row `y` of the binned and moved frame."""
    columns = to.shape[0]
    to[:] = 0
    source = y - row_shift
    if source < 0 or source >= frame.shape[0] // bin_by or abs(column_shift) >= columns:
        return
    first, stop = max(0, column_shift), min(columns, columns + column_shift)
    inner = to[first:stop]
    for j in range(bin_by):
        row = frame[source * bin_by + j, (first - column_shift) * bin_by : (stop - column_shift) * bin_by]
        for i in range(len(inner)):
            for k in range(bin_by):
                inner[i] += row[i * bin_by + k]


@compiled
def _add_runs(
    row: npt.NDArray[Any],
    y: int,
    flip: Any,
    runs: npt.NDArray[np.int64],
    weights: npt.NDArray[Any],
    totals: npt.NDArray[Any],
    sums: npt.NDArray[Any],
) -> None:
    """Add the weighted sums of a row to those of its frame."""
    for k in range(len(runs)):
        start, stop, offset, channel, row_channel = runs[k, 0], runs[k, 1], runs[k, 2], runs[k, 3], runs[k, 4]
        total = _dot(row[start:stop], flip, weights[offset : offset + stop - start], totals)
        sums[channel] += total
        if row_channel >= 0:
            sums[row_channel] += y * sums.dtype.type(total)


@compiled
def _add_row(row: npt.NDArray[Any], pattern: npt.NDArray[Any]) -> None:
    """Add the row of a frame to that of the sum."""
    to_type = pattern.dtype.type
    for i in range(len(pattern)):
        pattern[i] += to_type(row[i])


@compiled
def sum_dense(
    frames: npt.NDArray[Any],
    which: npt.NDArray[np.int64],
    bin_by: int,
    shifts: npt.NDArray[np.int32],
    flip: Any,
    buffer: npt.NDArray[Any],
    row_starts: npt.NDArray[np.int64],
    runs: npt.NDArray[np.int64],
    weights: npt.NDArray[Any],
    totals: npt.NDArray[Any],
    sums: npt.NDArray[Any],
    pattern: npt.NDArray[Any],
) -> None:
    """Add up frames by weights, and all of them.

    Parameters
    ----------
    frames : real[n, rows, columns]
        All frames.
    which : int64[m]
        Indices of the frames to be summed.
    shifts : int32[n, 2] or of size 0
        Rows and columns that all frames are moved by, after binning.
    flip : scalar
        Added to each pixel to fit the type of the weights.
    buffer : real[columns]
        Scratch for a row, of a type that holds binned pixels.
    row_starts, runs, weights
        As of `WeightPlan`.
    totals : int32, int64 or float64[0]
        Says in which type a run is summed.
    sums : int64 or float64[m, channels]
        Is added to.
    pattern : uint32, uint64 or float64[rows, columns] or of size 0
        Sum of all frames; is added to.
    """
    is_copied = bin_by > 1 or shifts.size > 0
    row_shift, column_shift = 0, 0
    for first in range(0, len(which), GROUP):
        group = which[first : first + GROUP]
        for y in range(len(row_starts) - 1):
            runs_of_row = runs[row_starts[y] : row_starts[y + 1]]
            if not len(runs_of_row) and not pattern.size:
                continue
            for k in range(len(group)):
                frame = group[k]
                if is_copied:
                    if shifts.size:
                        row_shift, column_shift = shifts[frame, 0], shifts[frame, 1]
                    _load_row(frames[frame], y, bin_by, row_shift, column_shift, buffer)
                    _add_runs(buffer, y, flip, runs_of_row, weights, totals, sums[first + k])
                    if pattern.size:
                        _add_row(buffer, pattern[y])
                else:
                    _add_runs(frames[frame, y], y, flip, runs_of_row, weights, totals, sums[first + k])
                    if pattern.size:
                        _add_row(frames[frame, y], pattern[y])


@compiled
def bin_range(
    frames: npt.NDArray[Any],
    begin: int,
    end: int,
    bin_by: int,
    row_buffer: npt.NDArray[Any],
    largest: Any,
    out: npt.NDArray[Any],
) -> int:
    """Write frames with pixels added together; return the index of the first with a sum above `largest`, or -1."""
    for index in range(begin, end):
        for y in range(out.shape[1]):
            _load_row(frames[index], y, bin_by, 0, 0, row_buffer)
            row = out[index, y]
            exceeds = False
            for x in range(len(row)):
                exceeds |= row_buffer[x] > largest
                row[x] = row_buffer[x]
            if exceeds:
                return index
    return -1
