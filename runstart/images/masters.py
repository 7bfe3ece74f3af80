"""Master frames: what many bias frames, darks or flats of a night have in common.

Fewer than 15 frames are combined by their median, 15 and more by a mean clipped at 3 sigma. Of few values none can
be 3 standard deviations away from their median, however wrong it is (of 7 never), so that clipping would let cosmic
rays through; of many values the mean has less noise than the median.

All frames come without overscan, in ADU. A pixel without a value is NaN.
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

__all__ = ["LEAST_FLAT", "make_master_bias", "make_master_dark", "make_master_flat"]

LEAST_FLAT = 0.05
"""Sensitivity, relative to the middle of the detector, below which a pixel is no use."""

_LEAST_CLIPPED = 15
_CLIP_SIGMA = 3.0


def make_master_bias(frames: Sequence[npt.ArrayLike]) -> Float32:
    """Return the combined bias frame.

    Parameters
    ----------
    frames : sequence of real[rows, columns]
        Bias frames in ADU, at least one, all of one shape.

    Returns
    -------
    float32[rows, columns]
        In ADU.

    Raises
    ------
    Alert
        There is no frame, or one is of another shape.
    """
    return _combine(_frames(frames, "bias frame", None, None))


def make_master_dark(
    frames: Sequence[npt.ArrayLike], exposure_s: float | Sequence[float], bias: npt.ArrayLike | None = None
) -> Float32:
    """Return the combined dark frame per second of exposure.

    Parameters
    ----------
    frames : sequence of real[rows, columns]
        Dark frames in ADU, at least one, all of one shape.
    exposure_s : float or sequence of float
        Exposure time of all frames or of each, in seconds.
    bias : real[rows, columns], optional
        Master bias in ADU; None: nothing is subtracted.

    Returns
    -------
    float32[rows, columns]
        In ADU per second.

    Raises
    ------
    Alert
        There is no frame, one is of another shape, or an exposure time is not above 0.
    """
    darks = _frames(frames, "dark frame", bias, None)
    darks /= _times(exposure_s, len(darks), least=0.0)[:, None, None].astype(np.float32)
    return _combine(darks)


def make_master_flat(
    frames: Sequence[npt.ArrayLike],
    bias: npt.ArrayLike | None = None,
    dark: npt.ArrayLike | None = None,
    exposure_s: float | Sequence[float] = 0.0,
) -> Float32:
    """Return the combined flat field: the sensitivity of each pixel, 1 in the middle of the detector.

    Each frame is divided by the median of its central region (half of the rows and of the columns), so that a
    brightening twilight does not matter; so is the combined one.

    Parameters
    ----------
    frames : sequence of real[rows, columns]
        Flat fields through one filter in ADU, at least one, all of one shape.
    bias : real[rows, columns], optional
        Master bias in ADU; None: nothing is subtracted.
    dark : real[rows, columns], optional
        Master dark in ADU per second; None: nothing is subtracted.
    exposure_s : float or sequence of float
        Exposure time of all frames or of each, in seconds; only the dark needs it.

    Returns
    -------
    float32[rows, columns]
        Without unit; NaN where it is not finite or below 0.05.

    Raises
    ------
    Alert
        There is no frame, one is of another shape or without light in its middle, or an exposure time is below 0.
    """
    flats = _frames(frames, "flat field", bias, dark)
    if dark is not None:
        rate = np.asarray(dark, np.float32)
        for i, seconds in enumerate(_times(exposure_s, len(flats))):
            flats[i] -= rate * np.float32(seconds)
    for number, flat in enumerate(flats, 1):
        _normalize(flat, f"flat field {number}")
    master = _combine(flats)
    _normalize(master, "the combined flat field")
    master[~(master >= LEAST_FLAT)] = np.nan
    return master


def _frames(
    frames: Sequence[npt.ArrayLike], what: str, bias: npt.ArrayLike | None, dark: npt.ArrayLike | None
) -> Float32:
    """Return the frames as one new stack, without bias; infinities are NaN."""
    arrays: list[npt.NDArray[Any]] = as_images(frames, what)
    shape = arrays[0].shape
    check_same_shape(shape, master_bias=bias, master_dark=dark)
    stack = np.empty((len(arrays), *shape), np.float32)
    for number, array in enumerate(arrays, 1):
        check_same_shape(shape, **{f"{what}_{number}": array})
        stack[number - 1] = array
    stack[~np.isfinite(stack)] = np.nan
    if bias is not None:
        stack -= np.asarray(bias, np.float32)
    return stack


def _times(exposure_s: float | Sequence[float], n: int, least: float | None = None) -> npt.NDArray[np.float64]:
    """Return one exposure time for each frame, checked: above `least`, or from 0 on if that is None."""
    times = np.asarray(exposure_s, np.float64)
    if times.ndim and times.shape != (n,):
        message = f"there are {times.size} exposure times for {n} frames."
        raise Alert(message, "Give one for all, or one for each.")
    times = np.broadcast_to(times, n)
    for seconds in times:
        if not math.isfinite(seconds) or seconds < 0 or (least is not None and seconds <= least):
            message = f"an exposure time of {seconds} s is not {'above' if least is not None else 'from'} 0."
            raise Alert(message, "Check EXPTIME in the headers; leave bias frames away.")
    return times


def _normalize(flat: Float32, what: str) -> None:
    """Divide a flat field by the median of its middle, in place."""
    rows, columns = flat.shape
    middle = flat[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    middle = middle[np.isfinite(middle)]
    level = float(np.median(middle)) if middle.size else math.nan
    if not level > 0:
        message = f"{what} has no light in its middle (median {level:.4g} ADU above bias and dark)."
        raise Alert(message, "Leave this frame out, or check the lamp and the shutter.")
    flat /= np.float32(level)


def _combine(stack: Float32) -> Float32:
    from runstart.images.statistics import median, sigma_clipped_mean

    if len(stack) < _LEAST_CLIPPED:
        return np.asarray(median(stack), np.float32)
    return sigma_clipped_mean(stack, sigma=_CLIP_SIGMA).astype(np.float32)
