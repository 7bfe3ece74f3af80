"""What is shown of maps: ranges that a few odd values do not spoil, means of blocks, colours of directions, lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames import Shape

Limits = tuple[float, float]

_PERCENTILES = (0.5, 99.5)
_MOST_RANKED = 1 << 17
_RADIUS_PERCENTILE = 98.0
_FAINT_PERCENTILE = 10.0  # not the median, which rises above the halo's pixels while a scan goes on
_LOG_FROM = 30  # a linear scale shows about this many shades
_MOST_DECADES = 6
_SMALLEST_DEVIATION = 1e-3
_BARS = (1.0, 2.0, 5.0)


def shrink(values: NDArray[Any], most: Shape) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Return the means of blocks, NaN left out, and the rows and columns of a block.

    Parameters
    ----------
    values : ndarray of numbers, shape (rows, columns)
    most : tuple of int
        Blocks along each axis; as many values as that are left as they are. The last blocks may be smaller.
    """
    factors = (max(1, -(-values.shape[0] // most[0])), max(1, -(-values.shape[1] // most[1])))
    means = values.astype(np.float64)
    if factors == (1, 1):
        return means, factors
    known = np.isfinite(means)
    sums, numbers = np.where(known, means, 0.0), known.astype(np.float64)
    for axis, factor in enumerate(factors):
        starts = np.arange(0, values.shape[axis], factor)
        sums, numbers = np.add.reduceat(sums, starts, axis), np.add.reduceat(numbers, starts, axis)
    with np.errstate(invalid="ignore"):
        return sums / np.where(numbers > 0, numbers, np.nan), factors


def robust_limits(values: NDArray[Any]) -> Limits:
    """Return the range that nearly all values lie in; of a constant map, one around it."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    # Every n-th of very many says as much.
    low, high = np.percentile(finite[:: max(1, finite.size // _MOST_RANKED)], _PERCENTILES)
    if low == high:  # a few bright positions on nothing
        low, high = finite.min(), finite.max()
    return _widened(float(low), float(high))


def deviation_limits(values: NDArray[Any]) -> Limits:
    """Return the mean less and plus the standard deviation, which is taken as 0.001 at least: less is rounding."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return -1.0, 1.0
    mean, deviation = float(finite.mean()), max(float(finite.std()), _SMALLEST_DEVIATION)
    return mean - deviation, mean + deviation


def pattern_limits(pattern: NDArray[Any]) -> tuple[Limits, bool]:
    """Return the range of a diffraction pattern, and whether a logarithmic scale is needed to see most of it."""
    positive = pattern[np.isfinite(pattern) & (pattern > 0)].astype(np.float64)
    if not positive.size:
        return (0.0, 1.0), False
    top, faint = float(positive.max()), float(np.percentile(positive, _FAINT_PERCENTILE))
    if top > _LOG_FROM * faint:
        low = float(np.percentile(positive, 1.0))
        return (max(low, top / 10**_MOST_DECADES), top), True
    return _widened(min(float(pattern[np.isfinite(pattern)].min()), 0.0), top), False


def deflections(center_of_mass: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the centre of mass less its mean over the scan, `(2, rows, columns)`: along columns, along rows."""
    parts = center_of_mass.astype(np.float64)
    known = np.isfinite(parts).all(axis=0)
    parts[:, ~known] = np.nan
    if known.any():
        parts -= parts[:, known].mean(axis=1)[:, None, None]
    return parts


def radius_limit(parts: NDArray[np.float64]) -> float:
    """Return the deflection that nearly all are shorter than; 0.001 at least: less is rounding."""
    lengths = np.hypot(*parts)
    known = lengths[np.isfinite(lengths)]
    longest = float(np.percentile(known, _RADIUS_PERCENTILE)) if known.size else 0.0
    return max(longest, _SMALLEST_DEVIATION)


def direction_colors(parts: NDArray[np.float64], radius: float) -> NDArray[np.uint8]:
    """Return the colours of deflections, `(rows, columns, 3)`: the hue says where to, the lightness how far.

    Parameters
    ----------
    parts : ndarray of float64, shape (2, rows, columns)
        Along columns and along rows; where they are NaN, the colour says nothing.
    radius : float
        The length from which on colours are lightest.

    Notes
    -----
    Hues have equal lightness in Oklab (B. Ottosson, A perceptual color space for image processing, 2020).
    """
    right, down = np.nan_to_num(parts)
    length = np.minimum(np.hypot(right, down) / radius, 1.0)
    angle = np.arctan2(-down, right)
    lightness, chroma = 0.13 + 0.64 * length, 0.125 * length
    a, b = chroma * np.cos(angle), chroma * np.sin(angle)
    cones = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    matrix = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(np.tensordot(matrix, cones**3, 1), 0.0, 1.0)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(np.moveaxis(srgb, 0, -1) * 255), np.uint8)


def power_spectrum(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logarithm of the power at each spatial frequency, 0 in the middle; missing values count as the mean."""
    known = np.isfinite(values)
    filled = np.where(known, values, values[known].mean() if known.any() else 0.0).astype(np.float64)
    filled -= filled.mean()
    # Without a window the edges of the scan would draw a cross.
    windows = [np.hanning(length + 2)[1:-1] for length in values.shape]
    power = np.abs(np.fft.fftshift(np.fft.fft2(filled * np.outer(*windows)))) ** 2
    top = float(power.max())
    return np.log10(np.maximum(power, top * 1e-8)) if top > 0 else np.full(values.shape, np.nan)


def round_length(longest: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, 50 and so on that is not longer."""
    decade = 10.0 ** math.floor(math.log10(longest))
    # The last digit of the logarithm must not cost a step: 1000 is not above 1000.
    return max(step * decade for step in (0.5, *_BARS, 10.0) if step * decade <= longest * (1 + 1e-9))


def length_label(length: float, unit: str) -> str:
    """Return a length with its unit: 5 nm, 2 µm, 1 position."""
    if unit == "nm" and length >= 1000:
        return f"{length / 1000:g} µm"
    if unit.startswith("1/"):
        return f"{length:g} {unit[2:]}\u207b\u00b9"
    if unit == "positions" and length == 1:
        return "1 position"
    return f"{length:g} {unit}"


def _widened(low: float, high: float) -> Limits:
    """Return a range that is not empty."""
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    half = 0.5 * abs(low) or 0.5
    return low - half, high + half
