"""The centre of mass of the frames of a scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames._whole_scans import analyze
from runstart.frames.maps import center_of_mass_map
from runstart.frames.model import Frames, Shape


def center_of_mass(
    frames: Frames | NDArray[Any],
    scan_shape: Shape,
    *,
    crop: NDArray[np.bool_] | None = None,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Return the centre of mass of each scan position in pixels, `(2, scan_rows, scan_columns)`: mean column, mean row.

    The frames of a position are taken together. Where there is no frame, or no intensity above 0 inside the crop, it is
    NaN. Moments of integer pixels and of events are exact, of float32 pixels float64; quotients are float64, and rounded.

    Parameters
    ----------
    frames : DenseFrames, SparseFrames, or ndarray of shape (n, rows, columns) or (scan_rows, scan_columns, rows, columns)
        Of uint8, uint16, uint32 or float32. An array's positions are 0, 1, 2 and so on. A frame that belongs to no
        scan position (`MISSING_POSITION`) is left out.
    scan_shape : tuple of int
        Rows and columns of the scan.
    crop : ndarray of bool, shape (rows, columns), optional
        The pixels that count, as `crop_mask` returns it; by default all.
    threads : int, optional
        By default as many as there are cores for this process.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or a position or an event lies outside.
    """
    partial = analyze(frames, scan_shape, center_of_mass=True, crop=crop, threads=threads)
    return center_of_mass_map(partial, scan_shape)
