"""Virtual detectors: images of a scan made of parts of its frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames._whole_scans import analyze
from runstart.frames.maps import virtual_image_maps
from runstart.frames.model import Frames, Shape


def virtual_images(
    frames: Frames | NDArray[Any], scan_shape: Shape, masks: NDArray[Any], *, threads: int | None = None
) -> NDArray[np.float64]:
    """Return what each virtual detector has seen, as the mean of the frames of a position, `(k, scan_rows, scan_columns)`.

    Where there is no frame, it is NaN. A pixel of weight 0 does not count, even if it is NaN. With masks of bool or
    integers, sums of integer pixels and of events are exact.

    Parameters
    ----------
    frames : DenseFrames, SparseFrames, or ndarray of shape (n, rows, columns) or (scan_rows, scan_columns, rows, columns)
        Of uint8, uint16, uint32 or float32. An array's positions are 0, 1, 2 and so on. A frame that belongs to no
        scan position (`MISSING_POSITION`) is left out.
    scan_shape : tuple of int
        Rows and columns of the scan.
    masks : ndarray, shape (k, rows, columns)
        Virtual detectors, at least one; of bool (or integers), or float weights.
    threads : int, optional
        By default as many as there are cores for this process.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or a position or an event lies outside.
    """
    partial = analyze(frames, scan_shape, masks=masks, threads=threads)
    return virtual_image_maps(partial, scan_shape)
