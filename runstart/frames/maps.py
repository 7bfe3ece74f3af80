"""Maps of the scan made of sums over its frames: one value for each scan position."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runstart.frames.model import Shape
from runstart.frames.partial import Partial


def center_of_mass_map(partial: Partial, scan_shape: Shape) -> NDArray[np.float32]:
    """Return the centre of mass of each scan position in pixels, `(2, rows, columns)`: mean column, mean row.

    It is the centre of mass of the frames of a position together. Where there is no frame, or no intensity above 0
    inside the crop, it is NaN. Quotients are taken in float64 and then rounded.

    Parameters
    ----------
    partial : Partial
        With moments.
    scan_shape : tuple of int
        Rows and columns of the scan.

    Raises
    ------
    ValueError
        If the partial has no moments, or a position outside the scan.
    """
    if partial.intensity is None or partial.row_moment is None or partial.column_moment is None:
        raise ValueError("the partial has no moments: centres of mass were not asked for")
    centers = np.full((2, _positions(partial, scan_shape)), np.nan, np.float32)
    has_any = partial.intensity > 0
    at = partial.positions[has_any]
    for center, moment in zip(centers, (partial.column_moment, partial.row_moment), strict=True):
        with np.errstate(invalid="ignore"):  # of infinite pixels the result is NaN
            center[at] = moment[has_any] / partial.intensity[has_any]
    return centers.reshape(2, *scan_shape)


def virtual_image_maps(partial: Partial, scan_shape: Shape) -> NDArray[np.float64]:
    """Return what each virtual detector has seen, as the mean of the frames of each scan position: `(k, rows, columns)`.

    Where there is no frame, it is NaN.

    Parameters
    ----------
    partial : Partial
        With virtual detectors.
    scan_shape : tuple of int
        Rows and columns of the scan.

    Raises
    ------
    ValueError
        If the partial has no virtual detector, or a position outside the scan.
    """
    if partial.detected is None:
        raise ValueError("the partial has no virtual detector")
    images = np.full((len(partial.detected), _positions(partial, scan_shape)), np.nan)
    images[:, partial.positions] = partial.detected / partial.frames
    return images.reshape(-1, *scan_shape)


def frame_count_map(partial: Partial, scan_shape: Shape) -> NDArray[np.uint32]:
    """Return the number of frames of each scan position, `(rows, columns)`; 0 where there is none.

    Parameters
    ----------
    partial : Partial
        Of the scan.
    scan_shape : tuple of int
        Rows and columns of the scan.

    Raises
    ------
    ValueError
        If the partial has a position outside the scan.
    """
    counts = np.zeros(_positions(partial, scan_shape), np.uint32)
    counts[partial.positions] = partial.frames
    return counts.reshape(scan_shape)


def _positions(partial: Partial, scan_shape: Shape) -> int:
    """Return the number of scan positions; raise ValueError if the partial has others."""
    count = scan_shape[0] * scan_shape[1]
    positions = partial.positions
    if len(positions) and not 0 <= positions[0] <= positions[-1] < count:
        raise ValueError(f"positions {positions[0]} to {positions[-1]} are not of a scan of {count}")
    return count
