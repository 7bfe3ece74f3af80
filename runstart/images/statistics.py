"""Statistics of every pixel of a stack of images: median, mean, sum, sigma-clipped and weighted mean.

The first axis counts the images. NaN is ignored everywhere, and so is what a mask flags: True in the keyword
`mask`, or in a masked array. A pixel with nothing left is NaN, in a sum 0 as in `numpy.nansum`. The median keeps
floats in their precision; all else is float64, accumulated in float64 in the order of the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runstart.errors import Alert
from runstart.images import kernels
from runstart.images._clipping import clip_stack
from runstart.images._networks import median_network, sorting_network
from runstart.images._stacks import Stack, check_real, to_float, to_stack

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = [
    "MeanPlanes",
    "check_clipping",
    "clipped_mean_planes",
    "mean",
    "median",
    "nansum",
    "sigma_clipped_mean",
    "weighted_mean",
]

_NO_PLANE = np.empty(0, np.float64)


class MeanPlanes(NamedTuple):
    """A mean image with what is known of each of its pixels.

    Attributes
    ----------
    mean : float64[...]
        In the unit of the stack; NaN where nothing was kept.
    uncertainty : float64[...]
        One standard deviation of the mean, in the same unit; NaN where it is not known.
    n_kept : int32[...]
        How many values the mean is made of; 0 marks a pixel without a value.
    """

    mean: Floats
    uncertainty: Floats
    n_kept: npt.NDArray[np.int32]


def median(stack: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> npt.NDArray[Any]:
    """Return the median of each pixel, bit-equal to `numpy.median`, `numpy.nanmedian` and `numpy.ma.median`.

    But where values were ignored and an odd number is left, the middle one is returned as it is: numpy halves its
    double, which overflows above half of the largest number. Where zeros of both signs are in the middle, the
    sign of the result is not defined, nor is numpy's.

    Parameters
    ----------
    stack : real[n, ...]
        Numbers of at most 64 bits, in any byte order; or a MaskedArray.
    mask : bool[n, ...], optional
        True: ignored. May be anything that broadcasts to the stack's shape.

    Returns
    -------
    float[...]
        float64 for integers, else of the stack's dtype.

    Raises
    ------
    Alert
        The stack has no image, or the mask does not fit it.
    TypeError
        The stack is not of real numbers, or the mask not boolean.
    """
    # A NaN of the wanted dtype's making: of float16 it is given back, of an integer it is float64.
    dtype = np.asarray(np.ma.getdata(stack)).dtype
    result_dtype = dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float64)
    flat = to_stack(stack, mask, median_dtype)
    out = flat.empty(np.float32 if flat.values.dtype == np.float32 else np.float64)
    flat.spread(median_into(flat, out))
    return out.astype(result_dtype, copy=False).reshape(flat.shape)


def mean(stack: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> Floats:
    """Return the mean of each pixel.

    Parameters
    ----------
    stack, mask
        As for `median`.

    Returns
    -------
    float64[...]
        NaN where nothing is left.

    Raises
    ------
    Alert, TypeError
        As for `median`.
    """
    flat = to_stack(stack, mask, to_float)
    out = flat.empty(np.float64)
    flat.spread(mean_into(flat, out))
    return out.reshape(flat.shape)


def nansum(stack: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> Floats:
    """Return the sum of each pixel.

    Parameters
    ----------
    stack, mask
        As for `median`.

    Returns
    -------
    float64[...]
        0 where nothing is left, as `numpy.nansum` has it.

    Raises
    ------
    Alert, TypeError
        As for `median`.
    """
    flat = to_stack(stack, mask, to_float)
    out = flat.empty(np.float64)
    flat.spread(sum_into(flat, out))
    return out.reshape(flat.shape)


def sigma_clipped_mean(
    stack: npt.ArrayLike,
    sigma: float = 3.0,
    max_iterations: int | None = 5,
    mask: npt.ArrayLike | None = None,
) -> Floats:
    """Return the mean of what sigma clipping leaves of each pixel.

    Keeps exactly the values that `astropy.stats.sigma_clip` keeps with the median as centre and the standard
    deviation (of the population) along the first axis; infinite values are dropped too. The mean is that of
    numpy in float64.

    Parameters
    ----------
    stack, mask
        As for `median`.
    sigma : float
        How many standard deviations from the median a value may be; above 0.
    max_iterations : int or None
        At least 1; None: until nothing more is dropped.

    Returns
    -------
    float64[...]
        NaN where nothing is left.

    Raises
    ------
    Alert
        As for `median`; or `sigma` or `max_iterations` is out of its range.
    TypeError
        As for `median`.
    """
    flat = to_stack(stack, mask, to_float)
    out = flat.empty(np.float64)
    flat.spread(clipped_mean_into(flat, out, sigma, max_iterations))
    return out.reshape(flat.shape)


def clipped_mean_planes(
    stack: npt.ArrayLike,
    sigma: float | None = 3.0,
    max_iterations: int | None = 5,
    mask: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> MeanPlanes:
    """Return the sigma-clipped mean, weighted or not, with its uncertainty and the number of values kept.

    Parameters
    ----------
    stack, mask
        As for `median`.
    sigma : float or None
        As for `sigma_clipped_mean`; None: only what is not finite is dropped.
    max_iterations : int or None
        As for `sigma_clipped_mean`.
    weights : real[n] or real[n, ...], optional
        Of each image or of each value, as a rule 1 / variance. They do not change what is clipped. A value whose
        weight is not finite and above 0 is not in the mean.

    Returns
    -------
    MeanPlanes
        The uncertainty is the standard error of the mean of the k values kept, the square root of
        sum((x - mean)^2) / (k (k - 1)), not known of a single one. With weights it is 1 / sqrt(sum(weights)),
        which is the propagated error if the weights are 1 / variance.

    Raises
    ------
    Alert
        As for `sigma_clipped_mean`; or the weights do not fit the stack.
    TypeError
        As for `median`.
    """
    flat = to_stack(stack, mask, to_float)
    low, high = flat.empty(np.float64), flat.empty(np.float64)
    center, spread, n_kept = flat.empty(np.float64), flat.empty(np.float64), flat.empty(np.int32)
    if sigma is None:
        low[:], high[:] = -np.inf, np.inf
    else:
        flat.spread(clipped_mean_into(flat, center, sigma, max_iterations, low, high))
    values, flags = flat.values, flat.mask
    with np.errstate(divide="ignore", invalid="ignore"):
        if weights is None:
            flat.spread(
                lambda begin, end: kernels.moments_between(
                    values, flags, low, high, begin, end, center, spread, n_kept
                )
            )
            uncertainty = np.sqrt(spread / (n_kept * (n_kept - 1.0)))
        else:
            per_value = _flatten_weights(weights, flat)
            flat.spread(
                lambda begin, end: kernels.weighted_between(
                    values, flags, per_value, low, high, begin, end, center, spread, n_kept
                )
            )
            uncertainty = np.where(n_kept > 0, 1.0 / np.sqrt(spread), np.nan)
    return MeanPlanes(*(plane.reshape(flat.shape) for plane in (center, uncertainty, n_kept)))


def weighted_mean(stack: npt.ArrayLike, weights: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> Floats:
    """Return sum(weights * stack) / sum(weights) of the finite values of each pixel.

    Parameters
    ----------
    stack, mask
        As for `median`.
    weights : real[n] or real[n, ...]
        As for `clipped_mean_planes`.

    Returns
    -------
    float64[...]
        NaN where nothing is left.

    Raises
    ------
    Alert, TypeError
        As for `clipped_mean_planes`.
    """
    return clipped_mean_planes(stack, None, mask=mask, weights=weights).mean


def check_clipping(sigma: float, max_iterations: int | None) -> int:
    """Return the iterations as the kernels take them.

    Raises
    ------
    Alert
        One is out of its range.
    """
    if not 0 < sigma < math.inf:
        raise Alert(f"sigma is {sigma}; clipping needs a finite number above 0.", "3 is usual.")
    if max_iterations is None:
        return -1
    if max_iterations < 1:
        raise Alert(f"max_iterations is {max_iterations}; clipping takes at least 1.", "5 is usual.")
    return int(max_iterations)


def median_dtype(dtype: np.dtype[Any]) -> npt.DTypeLike:
    """Return the dtype to find medians of a dtype's values with; wide integers lose nothing a float64 result has."""
    check_real(dtype)
    if dtype.kind == "f":
        return to_float(dtype)
    if dtype.kind in "bu" and dtype.itemsize <= 2:
        return np.uint16
    return np.int32 if np.can_cast(dtype, np.int32) else np.float64


def median_into(flat: Stack, out: npt.NDArray[Any]) -> Callable[[int, int], None]:
    """Return a function that writes the medians of a range of pixels; `out` is float32 of float32, else float64."""
    values = flat.values
    n, dtype = values.shape[0], values.dtype
    pad = dtype.type(np.inf if dtype.kind == "f" else np.iinfo(dtype).max)
    half = out.dtype.type(0.5)
    fast, full = median_network(n), sorting_network(n)

    def run(begin: int, end: int) -> None:
        kernels.median_of(values, flat.mask, fast, full, pad, half, begin, end, out)

    return run


def sum_into(flat: Stack, out: Floats) -> Callable[[int, int], None]:
    """Return a function that writes the sums of a range of pixels."""
    return _sum_into(flat, out, flat.empty(np.int32))


def mean_into(flat: Stack, out: Floats) -> Callable[[int, int], None]:
    """Return a function that writes the means of a range of pixels."""
    n_kept = flat.empty(np.int32)
    add = _sum_into(flat, out, n_kept)

    def run(begin: int, end: int) -> None:
        add(begin, end)
        piece = out[begin:end]
        kept = n_kept[begin:end]
        piece[kept == 0] = np.nan
        np.divide(piece, kept, out=piece, where=kept != 0)

    return run


def clipped_mean_into(
    flat: Stack,
    out: Floats,
    sigma: float = 3.0,
    max_iterations: int | None = 5,
    low: Floats = _NO_PLANE,
    high: Floats = _NO_PLANE,
) -> Callable[[int, int], None]:
    """Return a function that writes the clipped means of a range of pixels, and the bounds if there is room."""
    rounds = check_clipping(sigma, max_iterations)
    values = flat.values
    n = values.shape[0]
    network = sorting_network(n)

    def run(begin: int, end: int) -> None:
        clip_stack(values, flat.mask, network, float(sigma), rounds, begin, end, out, low, high)

    return run


def _sum_into(flat: Stack, out: Floats, n_kept: npt.NDArray[np.int32]) -> Callable[[int, int], None]:

    def run(begin: int, end: int) -> None:
        kernels.sum_of(flat.values, flat.mask, begin, end, out, n_kept)

    return run


def _flatten_weights(weights: npt.ArrayLike, flat: Stack) -> Floats:
    given = np.ascontiguousarray(weights, np.float64)
    n = flat.values.shape[0]
    if given.shape == (n, *flat.shape):
        return given.reshape(flat.values.shape)
    if given.shape == (n,):
        return given.reshape(n, 1)
    raise Alert(
        f"Weights of shape {given.shape} do not fit a stack of shape {(n, *flat.shape)}.",
        "Give one weight for each image, or one for each value.",
    )
