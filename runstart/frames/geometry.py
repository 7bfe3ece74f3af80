"""Which pixels of a frame lie in a crop or on a virtual detector, and where the undeflected beam is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames.model import Shape
from runstart.frames.recipe import Crop, Detector


def crop_mask(crop: Crop | None, center: tuple[float, float], frame_shape: Shape) -> NDArray[np.bool_]:
    """Return which pixels count for the centre of mass, `(rows, columns)`; `Crop` states the rules.

    Parameters
    ----------
    crop : Crop or None
        None takes the whole frame.
    center : tuple of float
        (row, column) of the undeflected beam.
    frame_shape : tuple of int
        Rows and columns of the frames as they are analysed, that is after binning.

    Raises
    ------
    ValueError
        If the centre is not finite, or the frame has no pixels.
    """
    rows, columns = _offsets(center, frame_shape)
    if crop is None:
        return np.ones(frame_shape, np.bool_)
    if crop.radius is not None:
        return rows**2 + columns**2 <= crop.radius**2
    if crop.half_rows is None or crop.half_columns is None:
        raise ValueError(f"a {crop.shape} without its sizes")
    in_rows = (-crop.half_rows < rows) & (rows <= crop.half_rows)
    in_columns = (-crop.half_columns < columns) & (columns <= crop.half_columns)
    return in_rows & in_columns


def detector_masks(
    detectors: Sequence[Detector], center: tuple[float, float], frame_shape: Shape
) -> NDArray[np.bool_]:
    """Return which pixels lie on each virtual detector, `(k, rows, columns)`; `Detector` states the rule.

    Parameters
    ----------
    detectors : sequence of Detector
        May overlap; of one that lies outside the frame, the mask is empty.
    center : tuple of float
        (row, column) of the undeflected beam.
    frame_shape : tuple of int
        Rows and columns of the frames as they are analysed, that is after binning.

    Raises
    ------
    ValueError
        If the centre is not finite, or the frame has no pixels.
    """
    rows, columns = _offsets(center, frame_shape)
    squares = rows**2 + columns**2
    masks = np.empty((len(detectors), *frame_shape), np.bool_)
    for mask, detector in zip(masks, detectors, strict=True):
        mask[...] = (detector.inner**2 <= squares) & (squares < detector.outer**2)
    return masks


def find_center(pattern: NDArray[Any]) -> tuple[float, float]:
    """Return (row, column) of a pattern's centre of mass, in float64.

    Parameters
    ----------
    pattern : ndarray of any real type, shape (rows, columns)
        A sum of frames.

    Raises
    ------
    ValueError
        If nothing was detected, so that there is no centre, or a pixel is not finite.
    """
    if pattern.ndim != 2:
        raise ValueError(f"a pattern has two axes, not {pattern.ndim}")
    of_rows, of_columns = (pattern.sum(axis=axis, dtype=_sum_dtype(pattern)).astype(np.float64) for axis in (1, 0))
    total = float(of_rows.sum())
    if not math.isfinite(total):
        raise ValueError("a pixel of the pattern is not finite")
    if total <= 0:
        raise ValueError("the pattern is empty: it has no centre")
    return (
        float(of_rows @ np.arange(len(of_rows))) / total,
        float(of_columns @ np.arange(len(of_columns))) / total,
    )


def _offsets(center: tuple[float, float], frame_shape: Shape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows `(rows, 1)` and columns `(1, columns)` of the pixels less those of the centre."""
    if not all(map(math.isfinite, center)):
        raise ValueError(f"the centre {center} is not finite")
    if min(frame_shape) < 1:
        raise ValueError(f"a frame of {frame_shape[0]} x {frame_shape[1]} has no pixels")
    rows, columns = (np.arange(n, dtype=np.float64) - at for n, at in zip(frame_shape, center, strict=True))
    return rows[:, None], columns[None]


def _sum_dtype(pattern: NDArray[Any]) -> np.dtype[Any]:
    return np.dtype({"f": "float64", "i": "int64"}.get(pattern.dtype.kind, "uint64"))
