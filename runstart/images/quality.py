"""What can be said of a frame at once: level, noise, extremes, saturation. Values that are not finite are left out.

The noise is the standard deviation of what remains after clipping at 4 sigma from the median: 4, because that
takes off stars and cosmic rays, and only 0.1 % of the standard deviation of Gaussian noise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runstart.images._checks import as_image

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["FrameStatistics", "measure_frame", "robust_noise"]

_CLIP_SIGMA = 4.0
_MOST_ROUNDS = 20
_MAD_TO_SIGMA = 1.4826  # of a Gaussian: 1 / 0.6745
_MOST_SAMPLES = 1 << 20


class FrameStatistics(NamedTuple):
    """Quality of one frame.

    Attributes
    ----------
    median, noise, minimum, maximum : float
        Of finite values, in the unit of the frame; NaN if there are none. For `noise` see `robust_noise`.
    saturated_fraction : float
        Of all pixels, those at or above the saturation level.
    nan_fraction : float
        Of all pixels, those that are not finite.
    """

    median: float
    noise: float
    minimum: float
    maximum: float
    saturated_fraction: float
    nan_fraction: float


def measure_frame(data: npt.ArrayLike, saturation: float | None = None) -> FrameStatistics:
    """Return the quality of a frame.

    Parameters
    ----------
    data : real[rows, columns]
        NaN and infinities are counted and left out; an infinity above saturation counts as saturated too.
    saturation : float, optional
        Level from which a pixel is saturated, in the unit of the data; None: none is.

    Raises
    ------
    Alert
        It is no image.
    """
    array = as_image(data)
    saturated = 0 if saturation is None else int(np.count_nonzero(array >= saturation))
    values = array[np.isfinite(array)].astype(np.float64)
    counts = (saturated / array.size, 1 - values.size / array.size)
    if not values.size:
        return FrameStatistics(math.nan, math.nan, math.nan, math.nan, *counts)
    extremes = float(values.min()), float(values.max())
    # The mean of the middle two may be more than a float holds, on the way.
    with np.errstate(over="ignore"):
        median = float(np.median(values))
    return FrameStatistics(median, robust_noise(values), *extremes, *counts)


def robust_noise(values: npt.NDArray[Any]) -> float:
    """Return the standard deviation of values without those that are more than 4 of them from the median.

    Parameters
    ----------
    values : real[...]
        Of any shape; NaN and infinities are left out. Of more than a million values, every n-th is used.

    Returns
    -------
    float
        0 for equal values; infinite if it is more than a float holds; NaN if no value is finite.
    """
    flat = values.ravel()
    flat = flat[:: flat.size // _MOST_SAMPLES + 1 | 1]  # odd: rows are of even length as a rule
    kept = flat[np.isfinite(flat)].astype(np.float64)
    if not kept.size:
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        away = np.abs(kept - np.median(kept))
        # Of coarse whole numbers the median deviation may be 0: more than half of them are equal.
        noise = _MAD_TO_SIGMA * float(np.median(away)) or float(kept.std())
        for _ in range(_MOST_ROUNDS):
            inside = kept[away <= _CLIP_SIGMA * noise]
            clipped = float(inside.std())
            if clipped == noise:
                break
            noise = clipped
            away = np.abs(kept - np.median(inside))
    return math.inf if math.isnan(noise) else noise
