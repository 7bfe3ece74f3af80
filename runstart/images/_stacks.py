"""Stacks and masks of any kind, as the compiled kernels take them, and the kernels spread over the processors."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert

if TYPE_CHECKING:
    import numpy.typing as npt

# Below this many values, starting a thread takes longer than it saves.
_WORTH_A_THREAD = 1 << 20
_MOST_THREADS = 4
NO_MASK: npt.NDArray[np.uint8] = np.empty((0, 0), np.uint8)


@dataclass(frozen=True)
class Stack:
    """A stack as the kernels take it.

    Attributes
    ----------
    values : real[n, pixels]
        Native and contiguous.
    mask : uint8[n, pixels] or of size 0
        Not 0: ignored.
    shape : tuple of int
        Of one image.
    """

    values: npt.NDArray[Any]
    mask: npt.NDArray[np.uint8]
    shape: tuple[int, ...]

    def empty(self, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return a result to be filled, `[pixels]`."""
        return np.empty(self.values.shape[1], dtype)

    def spread(self, run: Callable[[int, int], object]) -> None:
        """Call `run(begin, end)` for ranges of pixels that cover all, in as many threads as pay."""
        n, n_pixels = self.values.shape
        workers = max(1, min(_MOST_THREADS, _n_processors(), n * n_pixels // _WORTH_A_THREAD))
        edges = [n_pixels * k // workers for k in range(workers + 1)]
        if workers == 1:
            run(0, n_pixels)
            return
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, edges[:-1], edges[1:]))


def to_stack(
    stack: npt.ArrayLike, mask: npt.ArrayLike | None, choose_dtype: Callable[[np.dtype[Any]], npt.DTypeLike]
) -> Stack:
    """Return a stack and its mask as the kernels take them; copied only where they are not so already.

    Parameters
    ----------
    stack : real[n, ...] or MaskedArray
        The first axis counts the images.
    mask : bool, same shape or one that broadcasts to it, or None
        True: ignored, besides what a masked array masks.
    choose_dtype : callable
        From the dtype of the stack to the one to compute with.

    Raises
    ------
    Alert
        There is no image, or the mask does not fit.
    TypeError
        The values are not real numbers.
    """
    own_mask = np.ma.getmask(stack) if isinstance(stack, np.ma.MaskedArray) else np.ma.nomask
    values = np.asarray(np.ma.getdata(stack))
    if values.ndim == 0 or values.shape[0] == 0:
        raise Alert("A stack of no images has no statistics.", "Give at least one image, along the first axis.")
    dtype = np.dtype(choose_dtype(values.dtype))
    n, shape = values.shape[0], values.shape[1:]
    n_pixels = math.prod(shape)
    flags = NO_MASK
    if mask is not None:
        flags = _flatten_mask(mask, values.shape, n_pixels)
    if own_mask is not np.ma.nomask:
        own = _flatten_mask(own_mask, values.shape, n_pixels)
        flags = flags | own if flags.size else own
    return Stack(np.ascontiguousarray(values, dtype).reshape(n, n_pixels), flags, shape)


def to_float(dtype: np.dtype[Any]) -> npt.DTypeLike:
    """Return the float type that holds all values of a dtype; float64 for the integers that exceed even that.

    Raises
    ------
    TypeError
        The values are not real numbers of at most 64 bits.
    """
    check_real(dtype)
    is_narrow = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.float32 if is_narrow else np.float64


def check_real(dtype: np.dtype[Any]) -> None:
    """Raise TypeError unless values are real numbers of at most 64 bits."""
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        message = f"a stack of {dtype} has no statistics here; convert it to float64"
        raise TypeError(message)


def _flatten_mask(mask: npt.ArrayLike, shape: tuple[int, ...], n_pixels: int) -> npt.NDArray[np.uint8]:
    flags = np.asarray(mask)
    if flags.dtype.kind != "b":
        message = f"a mask is boolean, not {flags.dtype}"
        raise TypeError(message)
    try:
        flags = np.broadcast_to(flags, shape)
    except ValueError:
        raise Alert(
            f"A mask of shape {flags.shape} does not fit a stack of shape {shape}.",
            "Give one flag for each value of the stack, or for each pixel.",
        ) from None
    return np.ascontiguousarray(flags).view(np.uint8).reshape(shape[0], n_pixels)


def _n_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
