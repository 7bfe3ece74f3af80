"""From pixel values to the 256 levels of a picture: limits that suit the sky, and a gamma curve for faint things.

Black is the median, because most of an astronomical image is sky; white is the upper limit of IRAF's zscale
algorithm. Values are not rounded before the last step, and then looked up in the gamma table. NaN is black.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_image

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["GAMMA", "auto_limits", "check_limits", "gamma_table", "row_bands", "scale_linearly", "to_bytes"]

GAMMA = 2.5
"""Exponent of the curve that brightens what is faint."""

_SAMPLES = 2000
_CONTRAST = 0.1
_BAND_PIXELS = 1 << 20
_TINY = 1e-300  # limits closer than this count as equal


def auto_limits(image: npt.ArrayLike) -> tuple[float, float]:
    """Return the values that become black and white: the median, and the upper limit of zscale.

    zscale fits a line to about 2000 sorted samples, on a regular grid, with a contrast of 0.1. (A grid, because
    every n-th pixel of a flattened image may be one column only.)

    Parameters
    ----------
    image : real[rows, columns]
        NaN and infinities are ignored.

    Returns
    -------
    zmin, zmax : float
        `zmin <= zmax`; both are the value of a constant image; 0 and 1 if no value is finite.

    Raises
    ------
    Alert
        It is no image.
    """
    from astropy.visualization import ZScaleInterval

    array = as_image(image)
    values = array[np.isfinite(array)]
    if not values.size:
        return 0.0, 1.0
    middle = _median(values)
    step = max(1, math.isqrt(array.size // _SAMPLES))
    samples = array[::step, ::step]
    samples = samples[np.isfinite(samples)].astype(np.float64)
    if not samples.size:
        samples = values[:: max(1, values.size // _SAMPLES)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        white = float(ZScaleInterval(n_samples=samples.size, contrast=_CONTRAST).get_limits(samples)[1])
    if not math.isfinite(white):
        white = float(samples.max())
    return middle, max(middle, white)


def _median(values: npt.NDArray[Any]) -> float:
    """Return the median without the overflow of numpy's at half of the largest number."""
    half = (values.size - 1) // 2, values.size // 2
    low, high = np.partition(values, half)[list(half)].astype(np.float64)
    return float(low / 2 + high / 2) if low != high else float(low)


def to_bytes(image: npt.ArrayLike, zmin: float, zmax: float, gamma: float = GAMMA) -> npt.NDArray[np.uint8]:
    """Return an image as levels of a picture.

    Parameters
    ----------
    image : real[rows, columns]
        Values at or below `zmin` and NaN become 0, values at or above `zmax` 255.
    zmin, zmax : float
        Equal limits are widened by 1 to both sides, so that a constant image is grey.
    gamma : float
        Above 0; 1 is a straight line.

    Returns
    -------
    uint8[rows, columns]
        In the orientation of the image.

    Raises
    ------
    Alert
        It is no image; the limits are not finite or in the wrong order; the gamma is not above 0.
    """
    array = as_image(image)
    table = gamma_table(gamma)
    levels = np.empty(array.shape, np.uint8)
    for band in row_bands(array.shape):
        levels[band] = table[np.rint(scale_linearly(array[band], zmin, zmax)).astype(np.uint8)]
    return levels


def row_bands(shape: tuple[int, ...]) -> list[slice]:
    """Return slices of rows that hold about a million pixels each: float64 temporaries stay small."""
    rows = max(1, _BAND_PIXELS // shape[1])
    return [slice(first, first + rows) for first in range(0, shape[0], rows)]


def scale_linearly(values: npt.NDArray[Any], zmin: float, zmax: float) -> npt.NDArray[np.float64]:
    """Return values between the limits as 0 to 255, not rounded; what is outside is clipped, NaN is 0.

    Parameters
    ----------
    values : real[...]
        Of any shape.
    zmin, zmax : float
        Equal limits are widened by 1 to both sides.

    Raises
    ------
    Alert
        The limits are not finite or in the wrong order.
    """
    check_limits(zmin, zmax)
    low, high = float(zmin), float(zmax)
    # Halves: the difference of the largest numbers would overflow.
    if high / 2 - low / 2 < _TINY:
        margin = max(1.0, abs(low) * 1e-12)
        low, high = max(low - margin, -np.finfo(float).max), min(high + margin, np.finfo(float).max)
    scaled = np.clip(values.astype(np.float64), low, high)
    scaled /= 2
    scaled -= low / 2
    scaled *= 255 / (high / 2 - low / 2)
    np.clip(scaled, 0, 255, out=scaled)
    scaled[np.isnan(scaled)] = 0
    return scaled


def check_limits(zmin: float, zmax: float) -> None:
    """Raise an Alert unless both limits are finite and in order."""
    if not (math.isfinite(zmin) and math.isfinite(zmax)):
        message = f"the scale limits are {zmin} and {zmax}, not finite numbers."
        raise Alert(message, "Give finite limits.")
    if zmin > zmax:
        message = f"the lower scale limit {zmin} is above the upper one {zmax}."
        raise Alert(message, "Exchange them.")


@functools.cache
def gamma_table(gamma: float = GAMMA) -> npt.NDArray[np.uint8]:
    """Return the level of each of 256 values: `256 * (i / 256) ** (1 / gamma)`, rounded, at most 255.

    Raises
    ------
    Alert
        The gamma is not a finite number above 0.
    """
    if not (math.isfinite(gamma) and gamma > 0):
        message = f"the gamma is {gamma}, not a finite number above 0."
        raise Alert(message, "2.5 suits the sky, 1 changes nothing.")
    table = np.minimum(np.rint(256 * (np.arange(256) / 256) ** (1 / gamma)), 255).astype(np.uint8)
    table.setflags(write=False)
    return table
