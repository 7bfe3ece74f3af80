"""Pixels that cannot be trusted, found in master frames, and the bits that mark pixels in masks.

A pixel is judged against its neighbours in the row, the median of 15: a bias too far away, a dark too hot, a flat
below half or above one and a half of it. So vignetting, dust and gradients do not matter, and defects are seen
until they are seven pixels wide. A column of which at least half deviates, and be it only mildly (3 sigma), is bad
as a whole: charge is read out along columns.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_image, check_same_shape
from runstart.images.quality import robust_noise

if TYPE_CHECKING:
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]

__all__ = ["MaskBit", "find_bad_pixels"]

_SIGMA = 7.0  # of a single pixel: 2e-12 of Gaussian noise is farther away
_COLUMN_SIGMA = 3.0
_COLUMN_FRACTION = 0.5
_DEAD, _BRIGHT = 0.5, 1.5  # of the local sensitivity
_NEIGHBOURS = 15


class MaskBit(enum.IntFlag):
    """What is wrong with a pixel; a mask is uint16 and may have several bits."""

    BAD = 1
    """The detector is defective here."""
    SATURATED = 2
    """The pixel was full."""
    COSMIC_RAY = 4
    """Hit by a particle."""
    NO_FLAT = 8
    """The flat field is not known; the value is not divided by it."""
    NO_DATA = 16
    """The value is not a finite number."""


def find_bad_pixels(
    bias: npt.ArrayLike | None = None, dark: npt.ArrayLike | None = None, flat: npt.ArrayLike | None = None
) -> Bools:
    """Return which pixels are bad: noisy, hot, dead, without a value, or in a bad column.

    Parameters
    ----------
    bias : real[rows, columns], optional
        Master bias.
    dark : real[rows, columns], optional
        Master dark.
    flat : real[rows, columns], optional
        Master flat; NaN is bad.

    Returns
    -------
    bool[rows, columns]
        True is bad.

    Raises
    ------
    Alert
        All are None, one is no image, or the shapes differ.
    """
    masters = {"bias": bias, "dark": dark, "flat": flat}
    images = {
        name: as_image(master, f"the master {name}") for name, master in masters.items() if master is not None
    }
    if not images:
        message = "there is no master frame to find bad pixels in."
        raise Alert(message, "Give at least one of bias, dark and flat.")
    shape = next(iter(images.values())).shape
    check_same_shape(shape, master_bias=bias, master_dark=dark, master_flat=flat)
    bad = np.zeros(shape, bool)
    for name, image in images.items():
        bad |= ~np.isfinite(image)
        bad |= _judge(image, name)
    bad[:, bad.mean(axis=0) >= _COLUMN_FRACTION] = True
    return bad


def _judge(image: npt.NDArray[Any], name: str) -> Bools:
    """Return which pixels of one master are bad."""
    level = _local_level(image)
    deviation = image.astype(np.float64) - level
    noise = robust_noise(deviation)
    if name == "flat":
        ratio = np.divide(image, level, out=np.zeros(image.shape), where=level > 0)
        bad = (ratio < _DEAD) | (ratio > _BRIGHT)
    elif name == "dark":
        bad = deviation > _SIGMA * noise
    else:
        bad = np.abs(deviation) > _SIGMA * noise
    bad = np.asarray(bad, bool)
    for side in (deviation > _COLUMN_SIGMA * noise, deviation < -_COLUMN_SIGMA * noise):
        bad[:, side.mean(axis=0) >= _COLUMN_FRACTION] = True
    return bad


def _local_level(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the running median along each row; what is not finite counts as the median of all."""
    from scipy.ndimage import median_filter

    valid = np.isfinite(image)
    if not valid.any():
        return np.zeros(image.shape)
    filled = np.where(valid, image, np.median(image[valid])).astype(np.float64)
    # Row by row: in one dimension scipy has an algorithm that is four times faster.
    return np.stack([median_filter(row, _NEIGHBOURS, mode="nearest") for row in filled])
