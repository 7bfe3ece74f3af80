"""Master frames: what many bias frames, darks or flats of a night have in common.

Fewer than 15 frames are combined by their median, 15 and more by a mean clipped at 3 sigma. Of few values none can
be 3 standard deviations away from their median, however wrong it is (of 7 never), so that clipping would let cosmic
rays through; of many values the mean has less noise than the median.

All frames come without overscan. A pixel without a value is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_images, check_same_shape

if TYPE_CHECKING:
    import numpy.typing as npt

    Float32 = npt.NDArray[np.float32]

__all__ = ["LEAST_FLAT", "LEAST_MEAN", "make_master", "median_of_middle", "middle_level"]

LEAST_FLAT = 0.05
"""Sensitivity, relative to the middle of the detector, below which a pixel is no use."""

LEAST_MEAN = 15
"""Frames of which a master is their clipped mean; of fewer it is their median."""

_CLIP_SIGMA = 3.0


def make_master(frames: Sequence[npt.ArrayLike]) -> Float32:
    """Return the combined frame.

    Parameters
    ----------
    frames : sequence of real[rows, columns]
        Bias frames, darks per second or flats of the level 1, at least one, all of one shape.

    Returns
    -------
    float32[rows, columns]
        In the unit of the frames.

    Raises
    ------
    Alert
        There is no frame, or one is of another shape.
    """
    from runstart.images.statistics import median, sigma_clipped_mean

    stack = _stack(frames)
    if len(stack) < LEAST_MEAN:
        return np.asarray(median(stack), np.float32)
    return sigma_clipped_mean(stack, sigma=_CLIP_SIGMA).astype(np.float32)


def middle_level(flat: npt.ArrayLike) -> float:
    """Return the level of a flat field: the median of its central region, half of the rows and of the columns.

    A flat field that is divided by it is 1 in the middle of the detector, however bright the twilight was.

    Parameters
    ----------
    flat : real[rows, columns]
        In ADU above bias and dark. What is not finite is left out.

    Raises
    ------
    Alert
        It is not above 0.
    """
    level = median_of_middle(flat)
    if not level > 0:
        raise Alert(
            f"The flat field has no light in its middle (median {level:.4g} ADU above bias and dark).",
            "Leave it out, or look at lamp and shutter.",
        )
    return level


def median_of_middle(image: npt.ArrayLike) -> float:
    """Return the median of the central half of the rows and columns; NaN if nothing is finite there."""
    array = np.asarray(image)
    rows, columns = array.shape
    middle = array[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    middle = middle[np.isfinite(middle)]
    return float(np.median(middle)) if middle.size else math.nan


def _stack(frames: Sequence[npt.ArrayLike]) -> Float32:
    """Return the frames as one new stack; infinities are NaN."""
    arrays: list[npt.NDArray[Any]] = as_images(frames, "frame")
    shape = arrays[0].shape
    stack = np.empty((len(arrays), *shape), np.float32)
    for number, array in enumerate(arrays, 1):
        check_same_shape(shape, **{f"frame_{number}": array})
        stack[number - 1] = array
    stack[~np.isfinite(stack)] = np.nan
    return stack
