"""The sum of frames: the mean diffraction pattern, but for a factor."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from runstart.frames._whole_scans import analyze
from runstart.frames.model import Frames


def sum_frames(
    frames: Frames | NDArray[Any], *, threads: int | None = None
) -> NDArray[np.uint64] | NDArray[np.float64]:
    """Return the sum of all frames, `(rows, columns)`: uint64 and exact, or float64 of float32 frames.

    Parameters
    ----------
    frames : DenseFrames, SparseFrames, or ndarray of shape (n, rows, columns) or (scan_rows, scan_columns, rows, columns)
        Of uint8, uint16, uint32 or float32. A frame that belongs to no scan position (`MISSING_POSITION`) is left out.
    threads : int, optional
        By default as many as there are cores for this process.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or an event lies outside.
    """
    return cast(NDArray[Any], analyze(frames, sum_frames=True, threads=threads).pattern)
