"""Compiled statistics of every pixel of a stack: median, sums, weighted sums.

A stack is `[n, pixels]`, native and contiguous. The pixels `begin` to `end` are done in blocks that stay in the
first- or second-level cache, all images of a block together. A NaN is ignored, and so is what the mask flags; a
mask of size 0 is none. Sums are accumulated in float64 in the order of the images, as numpy does it along the
first axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.images._networks import BLOCK, compiled, empty_block, sort_block

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["median_of", "moments_between", "sum_of", "weighted_between"]

_SUMMED_PIXELS = 512


@compiled
def _copy_and_look(
    stack: npt.NDArray[Any], mask: npt.NDArray[np.uint8], first: int, n_here: int, values: npt.NDArray[Any]
) -> bool:
    """Copy a block and return whether a value of it is NaN or flagged."""
    is_bad = False
    for k in range(stack.shape[0]):
        row = stack[k, first : first + n_here]
        to = values[k, :n_here]
        for i in range(n_here):
            x = row[i]
            to[i] = x
            is_bad |= x != x  # noqa: PLR0124 - true of NaN alone
        if mask.size:
            flags = mask[k, first : first + n_here]
            for i in range(n_here):
                is_bad |= flags[i] != 0
    return is_bad


@compiled
def _pad_and_count_good(
    mask: npt.NDArray[np.uint8],
    first: int,
    n_here: int,
    n: int,
    pad: Any,
    values: npt.NDArray[Any],
    n_good: npt.NDArray[np.int32],
) -> None:
    """Replace what is bad by a value that sorts last, and count what is left of each pixel."""
    good = n_good[:n_here]
    good[:] = n
    for k in range(n):
        to = values[k, :n_here]
        if mask.size:
            flags = mask[k, first : first + n_here]
            for i in range(n_here):
                is_bad = (to[i] != to[i]) | (flags[i] != 0)
                to[i] = pad if is_bad else to[i]
                good[i] -= np.int32(is_bad)
        else:
            for i in range(n_here):
                is_bad = to[i] != to[i]
                to[i] = pad if is_bad else to[i]
                good[i] -= np.int32(is_bad)


@compiled
def median_of(
    stack: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    median_network: npt.NDArray[np.int32],
    sorting_network: npt.NDArray[np.int32],
    pad: Any,
    half: Any,
    begin: int,
    end: int,
    out: npt.NDArray[Any],
) -> None:
    """Write the median of each pixel.

    Parameters
    ----------
    stack : real[n, pixels]
    mask : uint8[n, pixels] or of size 0
        Not 0: ignored.
    median_network, sorting_network : int32[merges, 3]
        For `n` values.
    pad : scalar of the stack's dtype
        Its largest value, infinity for floats.
    half : scalar of the result's dtype
        One half; says in which precision the two middle values are averaged.
    begin, end : int
        Which pixels.
    out : float32 or float64[pixels]
        NaN where nothing is left.
    """
    n = stack.shape[0]
    values = empty_block(stack, pad)
    n_good = np.empty(BLOCK, np.int32)
    for first in range(begin, end, BLOCK):
        n_here = min(BLOCK, end - first)
        result = out[first : first + n_here]
        if not _copy_and_look(stack, mask, first, n_here, values):
            sort_block(median_network, values)
            lower = values[(n - 1) // 2, :n_here]
            upper = values[n // 2, :n_here]
            if n % 2:
                for i in range(n_here):
                    result[i] = lower[i]
            else:
                for i in range(n_here):
                    result[i] = (lower[i] + upper[i]) * half
            continue
        _pad_and_count_good(mask, first, n_here, n, pad, values, n_good)
        sort_block(sorting_network, values)
        for i in range(n_here):
            count = n_good[i]
            if count == 0:
                result[i] = np.nan
            elif count % 2:
                result[i] = values[count // 2, i]
            else:
                result[i] = (values[count // 2 - 1, i] + values[count // 2, i]) * half


@compiled
def sum_of(
    stack: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    begin: int,
    end: int,
    total: npt.NDArray[np.float64],
    n_kept: npt.NDArray[np.int32],
) -> None:
    """Write the sum of each pixel and of how many values it is.

    Parameters
    ----------
    stack : float32 or float64[n, pixels]
    mask, begin, end
        As for `median_of`.
    total : float64[pixels]
        0 where nothing is left.
    n_kept : int32[pixels]
    """
    for first in range(begin, end, _SUMMED_PIXELS):
        n_here = min(_SUMMED_PIXELS, end - first)
        sums = total[first : first + n_here]
        kept = n_kept[first : first + n_here]
        sums[:] = 0.0
        kept[:] = 0
        for k in range(stack.shape[0]):
            row = stack[k, first : first + n_here]
            if mask.size:
                flags = mask[k, first : first + n_here]
                for i in range(n_here):
                    is_good = (row[i] == row[i]) & (flags[i] == 0)
                    sums[i] += np.float64(row[i]) if is_good else 0.0
                    kept[i] += np.int32(is_good)
            else:
                for i in range(n_here):
                    is_good = row[i] == row[i]
                    sums[i] += np.float64(row[i]) if is_good else 0.0
                    kept[i] += np.int32(is_good)


@compiled
def moments_between(
    stack: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    begin: int,
    end: int,
    mean: npt.NDArray[np.float64],
    scatter: npt.NDArray[np.float64],
    n_kept: npt.NDArray[np.int32],
) -> None:
    """Write mean, sum of squared deviations and number of the finite values within bounds.

    Parameters
    ----------
    stack : float32 or float64[n, pixels]
    mask, begin, end
        As for `median_of`.
    low, high : float64[pixels]
        Bounds, which themselves are kept. A NaN bounds nothing.
    mean, scatter : float64[pixels]
        NaN and 0 where nothing is left.
    n_kept : int32[pixels]
    """
    n = stack.shape[0]
    for i in range(begin, end):
        total = 0.0
        kept = 0
        for k in range(n):
            x = np.float64(stack[k, i])
            if _is_kept(x, low[i], high[i]) and not (mask.size and mask[k, i]):
                total += x
                kept += 1
        center = total / kept if kept else np.nan
        squares = 0.0
        for k in range(n):
            x = np.float64(stack[k, i])
            if _is_kept(x, low[i], high[i]) and not (mask.size and mask[k, i]):
                squares += (x - center) ** 2
        mean[i] = center
        scatter[i] = squares
        n_kept[i] = kept


@compiled
def weighted_between(
    stack: npt.NDArray[Any],
    mask: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    begin: int,
    end: int,
    mean: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    n_kept: npt.NDArray[np.int32],
) -> None:
    """Write weighted mean, sum of weights and number of the finite values within bounds.

    Parameters
    ----------
    stack, mask, low, high, begin, end
        As for `moments_between`.
    weights : float64[n, pixels] or float64[n, 1]
        A value whose weight is not finite and above 0 is ignored.
    mean, weight : float64[pixels]
        NaN and 0 where nothing is left.
    n_kept : int32[pixels]
    """
    n = stack.shape[0]
    is_per_image = weights.shape[1] == 1
    for i in range(begin, end):
        total = 0.0
        sum_of_weights = 0.0
        kept = 0
        for k in range(n):
            x = np.float64(stack[k, i])
            w = weights[k, 0] if is_per_image else weights[k, i]
            if w > 0 and w < np.inf and _is_kept(x, low[i], high[i]) and not (mask.size and mask[k, i]):
                total += w * x
                sum_of_weights += w
                kept += 1
        mean[i] = total / sum_of_weights if kept else np.nan
        weight[i] = sum_of_weights
        n_kept[i] = kept


@compiled
def _is_kept(x: float, low: float, high: float) -> bool:
    return bool(np.isfinite(x) and not (x < low) and not (x > high))
