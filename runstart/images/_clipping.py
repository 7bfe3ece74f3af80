"""Compiled sigma clipping whose decisions are those of `astropy.stats.sigma_clip`, bit for bit.

The loop of that function, for each pixel: the bounds are the median of what is left, minus and plus sigma times
its standard deviation; what is outside is dropped; until nothing is dropped, everything is, or the iterations are
used up. What the last bounds include is kept, even if an earlier round had dropped it. NaN and infinity are
ignored.

Sums of the same numbers differ in their last bits with the order of adding. So a decision is made on the block's
own sums only if the value is farther from the bound than any order could move it. Otherwise the pixel goes through
`_exact_bounds`, which adds in the very order of astropy's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit

from runstart.images._networks import BLOCK, compiled, empty_block, sort_block

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["clip_stack"]

_F = TypeVar("_F", bound=Callable[..., Any])

_EPSILON = 2.0**-52

# Sums may be vectorised: what is made of them allows for any order.
_compiled_in_any_order: Callable[[_F], _F] = njit(nogil=True, cache=True, fastmath={"reassoc"})


@compiled
def clip_stack(
    stack: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    sorting_network: npt.NDArray[np.int32],
    sigma: float,
    max_iterations: int,
    begin: int,
    end: int,
    mean: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
) -> None:
    """Write the mean of what sigma clipping leaves of each pixel, and its bounds.

    Parameters
    ----------
    stack : float32 or float64[n, pixels]
    mask : uint8[n, pixels] or of size 0
        Not 0: ignored.
    sorting_network : int32[merges, 3]
        For `n` values.
    sigma : float
        Above 0.
    max_iterations : int
        -1: until nothing is dropped.
    begin, end : int
        Which pixels.
    mean : float64[pixels]
        NaN where nothing is left.
    low, high : float64[pixels] or of size 0
        Bounds; infinite where everything finite is kept.
    """
    n = stack.shape[0]
    values = np.empty((n, BLOCK), stack.dtype)
    ordered = empty_block(stack, np.inf)
    total = np.empty(BLOCK, np.float64)
    squares = np.empty(BLOCK, np.float64)
    n_good = np.empty(BLOCK, np.int32)
    column = np.empty(n, np.float64)
    for first in range(begin, end, BLOCK):
        n_here = min(BLOCK, end - first)
        _load(stack, mask, first, n_here, values, ordered, n_good)
        _add_moments(values, n_here, n_good, total, squares)
        sort_block(sorting_network, ordered)
        for i in range(n_here):
            count = n_good[i]
            center = total[i] / count if count else np.nan
            bounds = (-np.inf, np.inf)
            if count and not _keeps_all(ordered, i, count, squares[i], sigma):
                bounds = _bounds(values, ordered, i, count, sigma, max_iterations, column)
                center = _mean_between(values, i, bounds[0], bounds[1])
            mean[first + i] = center
            if low.size:
                low[first + i] = bounds[0]
                high[first + i] = bounds[1]


@compiled
def _load(
    stack: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    first: int,
    n_here: int,
    values: npt.NDArray[Any],
    ordered: npt.NDArray[Any],
    n_good: npt.NDArray[np.int32],
) -> None:
    """Copy a block twice: with NaN for what is ignored, and with infinity for it, to be sorted."""
    good = n_good[:n_here]
    good[:] = stack.shape[0]
    for k in range(stack.shape[0]):
        row = stack[k, first : first + n_here]
        to = values[k, :n_here]
        to_order = ordered[k, :n_here]
        if mask.size:
            flags = mask[k, first : first + n_here]
            for i in range(n_here):
                # x - x is 0 of finite numbers alone.
                is_bad = (row[i] - row[i] != 0) | (flags[i] != 0)
                to[i] = np.nan if is_bad else row[i]
                to_order[i] = np.inf if is_bad else row[i]
                good[i] -= np.int32(is_bad)
        else:
            for i in range(n_here):
                is_bad = row[i] - row[i] != 0
                to[i] = np.nan if is_bad else row[i]
                to_order[i] = np.inf if is_bad else row[i]
                good[i] -= np.int32(is_bad)


@compiled
def _add_moments(
    values: npt.NDArray[Any],
    n_here: int,
    n_good: npt.NDArray[np.int32],
    total: npt.NDArray[np.float64],
    squares: npt.NDArray[np.float64],
) -> None:
    """Write the sum, in the order of the images, and the sum of the squared deviations from the mean."""
    sums = total[:n_here]
    deviations = squares[:n_here]
    center = np.empty(n_here, np.float64)
    sums[:] = 0.0
    deviations[:] = 0.0
    for k in range(values.shape[0]):
        row = values[k, :n_here]
        for i in range(n_here):
            x = np.float64(row[i])
            sums[i] += x if x == x else 0.0  # noqa: PLR0124 - false of NaN alone
    for i in range(n_here):
        center[i] = sums[i] / max(n_good[i], 1)
    for k in range(values.shape[0]):
        row = values[k, :n_here]
        for i in range(n_here):
            d = np.float64(row[i]) - center[i]
            deviations[i] += d * d if d == d else 0.0  # noqa: PLR0124


@compiled
def _keeps_all(ordered: npt.NDArray[Any], i: int, count: int, squares: float, sigma: float) -> bool:
    """Return whether the first round drops nothing of a pixel, beyond doubt."""
    least = np.float64(ordered[0, i])
    most = np.float64(ordered[count - 1, i])
    middle = 0.5 * (np.float64(ordered[(count - 1) // 2, i]) + np.float64(ordered[count // 2, i]))
    reach = sigma * np.sqrt(squares / count)
    doubt = _doubt(count, least, most, sigma)
    return bool(least == most or (least > middle - reach + doubt and most < middle + reach - doubt))


@compiled
def _doubt(count: int, least: float, most: float, sigma: float) -> float:
    """Return more than what the order of adding can move a bound by.

    With u = epsilon / 2 and M the largest magnitude, each of two means is off by less than (count + 1) u M. That
    moves a standard deviation by no more than their distance, and its own rounding by less than
    (count + 4) u 2 M; together less than 2 (count + 4) epsilon M, of which a bound takes sigma times, and its own
    rounding.
    """
    return 4.0 * (count + 4) * _EPSILON * (1.0 + sigma) * max(abs(least), abs(most))


@compiled
def _bounds(
    values: npt.NDArray[Any],
    ordered: npt.NDArray[Any],
    i: int,
    count: int,
    sigma: float,
    max_iterations: int,
    column: npt.NDArray[np.float64],
) -> tuple[float, float]:
    for k in range(count):
        column[k] = ordered[k, i]
    is_certain, low, high = _bounds_of_sorted(column, count, sigma, max_iterations)
    if is_certain:
        return low, high
    n_filled = 0
    for k in range(values.shape[0]):
        x = np.float64(values[k, i])
        if np.isfinite(x):
            column[n_filled] = x
            n_filled += 1
    return _exact_bounds(column, count, sigma, max_iterations)


@compiled
def _bounds_of_sorted(
    column: npt.NDArray[np.float64], count: int, sigma: float, max_iterations: int
) -> tuple[bool, float, float]:
    """Return whether all decisions are beyond doubt, and the last bounds.

    What is left of sorted values is always one piece of them.
    """
    doubt = _doubt(count, column[0], column[count - 1], sigma)
    first, last = 0, count
    low = high = np.nan
    iteration = 0
    while True:
        n_left = last - first
        low, high = _bounds_of_piece(column[first:last], sigma)
        while first < last and column[first] < low - doubt:
            first += 1
        while last > first and column[last - 1] > high + doubt:
            last -= 1
        # Written so that a NaN is a doubt.
        if first < last and not (column[first] > low + doubt and column[last - 1] < high - doubt):
            return False, low, high
        iteration += 1
        if last - first in (0, n_left) or iteration == max_iterations:
            break
    is_certain = True
    for k in range(count):
        is_certain &= (abs(column[k] - low) > doubt) & (abs(column[k] - high) > doubt)
    return is_certain, low, high


@_compiled_in_any_order
def _bounds_of_piece(piece: npt.NDArray[np.float64], sigma: float) -> tuple[float, float]:
    n = piece.size
    total = 0.0
    for k in range(n):
        total += piece[k]
    mean = total / n
    squares = 0.0
    for k in range(n):
        squares += (piece[k] - mean) * (piece[k] - mean)
    middle = 0.5 * (piece[(n - 1) // 2] + piece[n // 2])
    reach = sigma * np.sqrt(squares / n)
    return middle - reach, middle + reach


@compiled
def _exact_bounds(
    column: npt.NDArray[np.float64], count: int, sigma: float, max_iterations: int
) -> tuple[float, float]:
    """Return the last bounds, with every sum in the order that finding the median leaves the values in."""
    iteration = 0
    while True:
        if count % 2:
            middle = _find(column, count, count // 2)
        else:
            upper = _find(column, count, count // 2)
            middle = 0.5 * (upper + _find(column, count, count // 2 - 1))
        total = 0.0
        for k in range(count):
            total += column[k]
        mean = total / count
        squares = 0.0
        for k in range(count):
            squares += (column[k] - mean) * (column[k] - mean)
        reach = sigma * np.sqrt(squares / count)
        low = middle - reach
        high = middle + reach
        n_left = 0
        for k in range(count):
            if column[k] >= low and column[k] <= high:
                column[n_left] = column[k]
                n_left += 1
        iteration += 1
        if n_left in (0, count) or iteration == max_iterations:
            return low, high
        count = n_left


@compiled
def _find(column: npt.NDArray[np.float64], count: int, rank: int) -> float:
    """Return the value of a rank; rearranges the values (Hoare's algorithm 65, Find)."""
    left, right = 0, count - 1
    while left < right:
        pivot = column[rank]
        up, down = left, right
        while up <= down:
            while column[up] < pivot:
                up += 1
            while pivot < column[down]:
                down -= 1
            if up <= down:
                column[up], column[down] = column[down], column[up]
                up += 1
                down -= 1
        if down < rank:
            left = up
        if rank < up:
            right = down
    return float(column[rank])


@compiled
def _mean_between(values: npt.NDArray[Any], i: int, low: float, high: float) -> float:
    total = 0.0
    n_kept = 0
    for k in range(values.shape[0]):
        x = np.float64(values[k, i])
        if np.isfinite(x) and not (x < low) and not (x > high):
            total += x
            n_kept += 1
    return total / n_kept if n_kept else np.nan
