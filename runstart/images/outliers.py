"""Outliers among few values, judged by an expectation that a single one of them cannot spoil.

Of n values none is more than (n - 1) / sqrt(n) standard deviations from their mean: clipping at 3 of them can hardly
drop anything from fewer than 11. Here a value is compared with the median of its pixel, and the difference with the
noise that is known or measured. Stars differ by more than noise, as seeing, transparency and registration change:
a share of the brightest pixel near by is allowed for. Of two values that disagree, the fainter one is believed: what
comes and goes in single exposures is light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.images.quality import robust_noise
from runstart.images.statistics import check_clipping, median

if TYPE_CHECKING:
    import numpy.typing as npt

    Flags = npt.NDArray[np.bool_]

__all__ = ["FEW", "allow_for_sources", "measure_level", "reject_outliers", "robust_center"]

FEW = 11
"""Values of which clipping at 3 standard deviations begins to find an outlier."""

_SHARE = 0.2  # of the brightest pixel near by: at 3 sigma, stars whose peaks are 0.4 to 1.6 of the median's
_NEAR = 5  # pixels: the box around each, as wide as usual seeing
_ROUNDING = 4 * float(np.finfo(np.float32).eps)
_MOST_SAMPLES = 1 << 20


def measure_level(data: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the level of the sky and the noise of a frame, both robust.

    Parameters
    ----------
    data : real[rows, columns]
        NaN and infinities are left out. Of more than a million values, every n-th is used.

    Returns
    -------
    level, noise : float
        In the unit of the data; the noise is at least that of rounding to float32. 0 if nothing is finite.
    """
    flat = data.ravel()
    flat = flat[:: flat.size // _MOST_SAMPLES + 1 | 1]
    kept = flat[np.isfinite(flat)]
    if not kept.size:
        return 0.0, 0.0
    level = float(np.median(kept))
    return level, max(robust_noise(kept), _ROUNDING * abs(level))


def robust_center(values: npt.NDArray[Any], flagged: Flags) -> npt.NDArray[Any]:
    """Return the median of each pixel; of two values the lower one.

    Parameters
    ----------
    values : float[n, ...]
    flagged : bool[n, ...]
        True: left out.

    Returns
    -------
    float[...]
        NaN where nothing is left.
    """
    center = median(values, flagged)
    two = np.count_nonzero(~flagged, axis=0) == 2
    if two.any():
        center[two] = np.where(flagged[:, two], np.inf, values[:, two]).min(axis=0)
    return center


def allow_for_sources(center: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return by how much images of a source may differ, in each pixel, as one standard deviation.

    Parameters
    ----------
    center : float[rows, columns]
        `robust_center` of images without sky.
    """
    from scipy.ndimage import maximum_filter

    bright = np.where(np.isfinite(center), np.abs(center), 0)
    return np.asarray(maximum_filter(bright, _NEAR, mode="nearest") * bright.dtype.type(_SHARE))


def reject_outliers(
    values: npt.NDArray[Any],
    flagged: Flags,
    variance: npt.NDArray[Any],
    allowance: npt.NDArray[Any],
    sigma: float,
    max_iterations: int | None = 5,
) -> Flags:
    """Return which values are farther from the median of their pixel than noise and sources explain.

    Parameters
    ----------
    values : float[n, ...]
        Images without sky.
    flagged : bool[n, ...]
        True: left out, and not among the outliers.
    variance : float[n, ...]
        Of each value; or of a shape that broadcasts to it. An image that has more noise than most may differ more.
    allowance : float[...]
        As `allow_for_sources` returns it.
    sigma : float
        How many standard deviations a value may be from the median; above 0.
    max_iterations : int or None
        At least 1; None: until nothing more is dropped.

    Returns
    -------
    bool[n, ...]

    Raises
    ------
    Alert
        `sigma` or `max_iterations` is out of its range, or the stack has no image.
    """
    rounds = check_clipping(sigma, max_iterations)
    out = flagged.copy()
    spread = np.broadcast_to(variance, values.shape)
    allowed = np.square(allowance)
    while rounds != 0:
        rounds -= 1
        center = robust_center(values, out)
        # Faint values have little noise of their own: with that alone, more of them than of bright ones would go.
        typical = median(spread, out)
        two = np.count_nonzero(~out, axis=0) == 2
        typical[two] *= 2  # of a difference of two values
        with np.errstate(invalid="ignore"):
            limit = sigma**2 * (np.maximum(spread, typical) + allowed)
            dropped = ~out & (np.square(values - center) > limit)
        if not dropped.any():
            break
        out |= dropped
    return out & ~flagged
