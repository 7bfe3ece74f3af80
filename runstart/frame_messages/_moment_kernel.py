"""Compiled moments of electron events inside a rectangle: no table is looked up, so that it runs in vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.frames._compiled import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["sum_moments"]


@compiled
def sum_moments(
    starts: npt.NDArray[np.int64],
    events: npt.NDArray[np.uint32],
    columns: int,
    factor: int,
    shift: int,
    rectangle: tuple[int, int, int, int],
    moments: npt.NDArray[np.int64],
) -> None:
    """Sum the moments of each frame.

    Parameters
    ----------
    starts, events
        As of `SparseFrames`; every event is a pixel of the frame.
    columns : int
        Of a frame.
    factor, shift : int
        An event times the factor, shifted right, is its row.
    rectangle : tuple of int
        First row, end of rows, first column, end of columns that count.
    moments : int64[3, n]
        Becomes intensity, row moment and column moment of each frame.
    """
    width, by, bits = np.uint64(columns), np.uint64(factor), np.uint64(shift)
    top, bottom, left, right = rectangle
    # A row below `top` wraps around to a very large one: one comparison for both sides.
    first_row, first_column = np.uint64(top), np.uint64(left)
    rows, span = np.uint64(bottom - top), np.uint64(right - left)
    for k in range(len(starts) - 1):
        frame = events[starts[k] : starts[k + 1]]
        intensity = row_moment = column_moment = np.uint64(0)
        for i in range(len(frame)):
            event: Any = np.uint64(frame[i])
            row = (event * by) >> bits
            column = event - row * width
            inside = np.uint64((row - first_row < rows) & (column - first_column < span))
            intensity += inside
            row_moment += inside * row
            column_moment += inside * column
        moments[0, k] = intensity
        moments[1, k] = row_moment
        moments[2, k] = column_moment
