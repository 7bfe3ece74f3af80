"""What is expected of each pixel of a stack of few images: its level, its noise, and how much sources may differ.

Images need not have the same sky: each is compared without its own. It begins with the median of the image, and is
corrected by the median difference from the other images, for those that are filled by what they show. Planes of
uncertainty that are smaller than what images differ by, as after a wrong gain, are taken larger: they would drop much
that is good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.operation_kit import Work
from runstart.operations._spilled_stack import Band, SpilledStack

if TYPE_CHECKING:
    import numpy.typing as npt

BYTES_PER_VALUE = 32
"""Memory that comparing takes, for each value of a band."""

_SAMPLES = 1 << 17  # pixels, of which differences between images are taken


@dataclass(frozen=True, eq=False)
class Expectation:
    """What is expected of the pixels of a stack.

    Attributes
    ----------
    levels : float64[n]
        Sky of each image.
    noise : float64[n]
        Of each image, where there are no planes of uncertainty; with them, by what theirs have to be multiplied.
    allowance : float[rows, cols]
        As `runstart.images.outliers.allow_for_sources` returns it.
    """

    levels: npt.NDArray[np.float64]
    noise: npt.NDArray[np.float64]
    allowance: npt.NDArray[Any]

    def find_outliers(self, band: Band, sigma: float, max_iterations: int) -> npt.NDArray[np.bool_]:
        """Return which values of a band are no part of what is expected, bool[n, rows, cols]."""
        from runstart.images.outliers import reject_outliers

        variance = np.square(self.noise, dtype=np.float32)[:, None, None]
        if band.variance is not None:
            variance = band.variance * variance
        values = _without_sky(band, self.levels)
        return reject_outliers(values, band.flagged, variance, self.allowance[band.rows], sigma, max_iterations)

    def missing_sky(
        self,
        flagged: npt.NDArray[np.bool_],
        outliers: npt.NDArray[np.bool_],
        weights: npt.NDArray[np.float64] | None,
    ) -> npt.NDArray[np.float64]:
        """Return what the mean of the sky loses with the outliers, so that they leave no holes where skies differ.

        Parameters
        ----------
        flagged, outliers : bool[n, rows, cols]
        weights : float64[n] or None

        Returns
        -------
        float64[rows, cols]
            To be added to the mean without the outliers.
        """
        missing = np.zeros(flagged.shape[1:])
        where = outliers.any(axis=0)
        each = np.ones(len(self.levels)) if weights is None else weights
        before, after = (~flag[:, where] * each[:, None] for flag in (flagged, flagged | outliers))
        missing[where] = self.levels @ before / before.sum(axis=0) - self.levels @ after / after.sum(axis=0)
        return missing


def measure_image(data: npt.NDArray[Any], mask: npt.NDArray[Any] | None) -> tuple[float, float]:
    """Return level and noise of an image without what its mask flags, as `expect` takes them."""
    from runstart.images.outliers import measure_level

    return measure_level(data if mask is None else data[mask == 0])


def expect(work: Work, stack: SpilledStack, measured: Sequence[tuple[float, float]]) -> Expectation:
    """Return what is expected of a stack, in one pass over it.

    Parameters
    ----------
    work : Work
        Says how much memory there is.
    stack : SpilledStack
    measured : sequence of (float, float)
        What `measure_image` says of each image.

    Raises
    ------
    Alert
        Not even one row of each image fits into memory.
    """
    from runstart.images.outliers import allow_for_sources, robust_center
    from runstart.images.quality import robust_noise

    levels, noise = np.array(measured, np.float64).T
    rows, columns = stack.shape
    step = max(1, math.isqrt(rows * columns // _SAMPLES))
    center = np.empty(stack.shape, np.float32)
    sampled_bands = []
    for band in stack.bands(work.memory_limit, extra_per_value=BYTES_PER_VALUE):
        values = _without_sky(band, levels)
        center[band.rows] = robust_center(values, band.flagged)
        # Counted from the first row of the stack, so that the result does not depend on the bands.
        sampled = slice(-band.rows.start % step, None, step), slice(None, None, step)
        away = values[:, *sampled] - center[band.rows][sampled]
        error = np.ones_like(away) if band.variance is None else np.sqrt(band.variance[:, *sampled])
        away[band.flagged[:, *sampled]] = np.nan
        sampled_bands.append(np.stack([away, error]).reshape(2, len(stack), -1))
    for number, (away, error) in enumerate(np.concatenate(sampled_bands, axis=2).swapaxes(0, 1)):
        known = np.isfinite(away)
        shift = float(np.median(away[known])) if known.any() else 0.0
        levels[number] += shift
        if stack.has_uncertainty:
            noise[number] = max(1.0, robust_noise((away[known] - shift) / error[known])) if known.any() else 1.0
    return Expectation(levels, noise, allow_for_sources(center))


def _without_sky(band: Band, levels: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    return np.asarray(band.data - levels.astype(band.data.dtype)[:, None, None])
