"""Sorting networks: which images to put in order, so that every pixel's values come out sorted.

A network does the same comparisons whatever the data, so a compiler turns each of them into minima and maxima of
whole vectors of pixels. Eight images at a time are sorted, and two such groups merged, without leaving the
processor's registers; which groups to merge is a network of groups (a merge in place of a comparator sorts too:
Knuth, volume 3, section 5.3.4, exercise 38). What is not needed for the wanted ranks is pruned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit

if TYPE_CHECKING:
    import numpy.typing as npt

_F = TypeVar("_F", bound=Callable[..., Any])
compiled: Callable[[_F], _F] = njit(nogil=True, cache=True)

GROUP = 8
"""Images that are sorted at once."""

BLOCK = 128
"""Pixels that are sorted at once; known when compiling, so that rows are known not to overlap."""

_B = BLOCK
_BOTH, _LOWER, _UPPER = 0, 1, 2


@lru_cache(maxsize=64)
def sorting_network(n: int) -> npt.NDArray[np.int32]:
    """Return a network that sorts `n` values, smallest first.

    Parameters
    ----------
    n : int
        At least 1.

    Returns
    -------
    int32[merges, 3]
        Indices of the lower and the upper group to merge, and which of them is needed. See `sort_block`.
    """
    return _prune(n, range(n))


@lru_cache(maxsize=64)
def median_network(n: int) -> npt.NDArray[np.int32]:
    """Return a network that puts the middle value of `n`, or the middle two, where sorting would put them.

    Parameters
    ----------
    n : int
        At least 1.

    Returns
    -------
    int32[merges, 3]
        As `sorting_network` returns it. What else is where is not defined.
    """
    return _prune(n, ((n - 1) // 2, n // 2))


@compiled
def empty_block(stack: npt.NDArray[Any], pad: Any) -> npt.NDArray[Any]:
    """Return a block for `sort_block`: a row for each image, and rows of `pad` up to whole groups."""
    n_rows = (stack.shape[0] + GROUP - 1) // GROUP * GROUP
    block = np.empty((n_rows, BLOCK), stack.dtype)
    block[:] = pad
    return block


@compiled
def sort_block(network: npt.NDArray[np.int32], block: npt.NDArray[Any]) -> None:
    """Sort the values of each pixel, in place.

    Parameters
    ----------
    network : int32[merges, 3]
        From `sorting_network` or `median_network`.
    block : real[rows, BLOCK]
        From `empty_block`. The rows of padding hold a value that no other exceeds, and keep it.
    """
    values = block.reshape(-1)
    size = GROUP * BLOCK
    for k in range(0, values.size, size):
        _sort_group(values[k : k + size])
    for step in range(network.shape[0]):
        lower = network[step, 0] * size
        upper = network[step, 1] * size
        x = values[lower : lower + size]
        y = values[upper : upper + size]
        if network[step, 2] == _BOTH:
            _merge_groups(x, y)
        elif network[step, 2] == _LOWER:
            _keep_lower(x, y)
        else:
            _keep_upper(x, y)


@compiled
def _order(a: Any, b: Any) -> tuple[Any, Any]:
    return (b, a) if b < a else (a, b)


@compiled
def _sort_group(x: npt.NDArray[Any]) -> None:
    """Sort 8 rows with 19 comparators, Batcher's odd-even merge sort."""
    for i in range(_B):
        a, b = _order(x[i], x[_B + i])
        c, d = _order(x[2 * _B + i], x[3 * _B + i])
        e, f = _order(x[4 * _B + i], x[5 * _B + i])
        g, h = _order(x[6 * _B + i], x[7 * _B + i])
        a, c = _order(a, c)
        b, d = _order(b, d)
        b, c = _order(b, c)
        e, g = _order(e, g)
        f, h = _order(f, h)
        f, g = _order(f, g)
        a, e = _order(a, e)
        c, g = _order(c, g)
        c, e = _order(c, e)
        b, f = _order(b, f)
        d, h = _order(d, h)
        d, f = _order(d, f)
        b, c = _order(b, c)
        d, e = _order(d, e)
        f, g = _order(f, g)
        x[i] = a
        x[_B + i] = b
        x[2 * _B + i] = c
        x[3 * _B + i] = d
        x[4 * _B + i] = e
        x[5 * _B + i] = f
        x[6 * _B + i] = g
        x[7 * _B + i] = h


@compiled
def _merge_groups(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
    """Merge two sorted groups: the 8 smallest of 16 sorted into the first, the rest sorted into the second.

    Batcher's odd-even merge, 25 comparators.
    """
    for i in range(_B):
        a, p = _order(x[i], y[i])
        b, q = _order(x[_B + i], y[_B + i])
        c, r = _order(x[2 * _B + i], y[2 * _B + i])
        d, s = _order(x[3 * _B + i], y[3 * _B + i])
        e, t = _order(x[4 * _B + i], y[4 * _B + i])
        f, u = _order(x[5 * _B + i], y[5 * _B + i])
        g, v = _order(x[6 * _B + i], y[6 * _B + i])
        h, w = _order(x[7 * _B + i], y[7 * _B + i])
        e, p = _order(e, p)
        f, q = _order(f, q)
        g, r = _order(g, r)
        h, s = _order(h, s)
        c, e = _order(c, e)
        d, f = _order(d, f)
        g, p = _order(g, p)
        h, q = _order(h, q)
        r, t = _order(r, t)
        s, u = _order(s, u)
        b, c = _order(b, c)
        d, e = _order(d, e)
        f, g = _order(f, g)
        h, p = _order(h, p)
        q, r = _order(q, r)
        s, t = _order(s, t)
        u, v = _order(u, v)
        x[i] = a
        x[_B + i] = b
        x[2 * _B + i] = c
        x[3 * _B + i] = d
        x[4 * _B + i] = e
        x[5 * _B + i] = f
        x[6 * _B + i] = g
        x[7 * _B + i] = h
        y[i] = p
        y[_B + i] = q
        y[2 * _B + i] = r
        y[3 * _B + i] = s
        y[4 * _B + i] = t
        y[5 * _B + i] = u
        y[6 * _B + i] = v
        y[7 * _B + i] = w


@compiled
def _sort_bitonic(
    a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any
) -> tuple[Any, Any, Any, Any, Any, Any, Any, Any]:
    """Sort values that rise and fall at most once each (Batcher's bitonic merge, 12 comparators)."""
    a, e = _order(a, e)
    b, f = _order(b, f)
    c, g = _order(c, g)
    d, h = _order(d, h)
    a, c = _order(a, c)
    b, d = _order(b, d)
    e, g = _order(e, g)
    f, h = _order(f, h)
    a, b = _order(a, b)
    c, d = _order(c, d)
    e, f = _order(e, f)
    g, h = _order(g, h)
    return a, b, c, d, e, f, g, h


@compiled
def _keep_lower(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
    """Write the 8 smallest of two sorted groups, sorted, into the first, and leave the second.

    The minima of one group and the other reversed are the 8 smallest, and bitonic; so are the maxima.
    """
    for i in range(_B):
        a = _order(x[i], y[7 * _B + i])[0]
        b = _order(x[_B + i], y[6 * _B + i])[0]
        c = _order(x[2 * _B + i], y[5 * _B + i])[0]
        d = _order(x[3 * _B + i], y[4 * _B + i])[0]
        e = _order(x[4 * _B + i], y[3 * _B + i])[0]
        f = _order(x[5 * _B + i], y[2 * _B + i])[0]
        g = _order(x[6 * _B + i], y[_B + i])[0]
        h = _order(x[7 * _B + i], y[i])[0]
        a, b, c, d, e, f, g, h = _sort_bitonic(a, b, c, d, e, f, g, h)
        x[i] = a
        x[_B + i] = b
        x[2 * _B + i] = c
        x[3 * _B + i] = d
        x[4 * _B + i] = e
        x[5 * _B + i] = f
        x[6 * _B + i] = g
        x[7 * _B + i] = h


@compiled
def _keep_upper(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
    """Write the 8 largest of two sorted groups, sorted, into the second, and leave the first."""
    for i in range(_B):
        a = _order(x[i], y[7 * _B + i])[1]
        b = _order(x[_B + i], y[6 * _B + i])[1]
        c = _order(x[2 * _B + i], y[5 * _B + i])[1]
        d = _order(x[3 * _B + i], y[4 * _B + i])[1]
        e = _order(x[4 * _B + i], y[3 * _B + i])[1]
        f = _order(x[5 * _B + i], y[2 * _B + i])[1]
        g = _order(x[6 * _B + i], y[_B + i])[1]
        h = _order(x[7 * _B + i], y[i])[1]
        a, b, c, d, e, f, g, h = _sort_bitonic(a, b, c, d, e, f, g, h)
        y[i] = a
        y[_B + i] = b
        y[2 * _B + i] = c
        y[3 * _B + i] = d
        y[4 * _B + i] = e
        y[5 * _B + i] = f
        y[6 * _B + i] = g
        y[7 * _B + i] = h


def _prune(n: int, wanted: Iterable[int]) -> npt.NDArray[np.int32]:
    """Keep the merges that the wanted rows depend on, from the last back to the first."""
    needed = {row // GROUP for row in wanted}
    kept = []
    for lower, upper in reversed(list(_merge_exchange(-(-n // GROUP)))):
        if lower in needed or upper in needed:
            only = _LOWER if upper not in needed else _UPPER if lower not in needed else _BOTH
            kept.append((lower, upper, only))
            needed |= {lower, upper}
    network = np.array(kept[::-1], np.int32).reshape(-1, 3)
    network.flags.writeable = False
    return network


def _merge_exchange(n: int) -> Iterator[tuple[int, int]]:
    """Yield the comparators of Batcher's merge exchange (Knuth, volume 3, section 5.2.2, algorithm M)."""
    top = 1 << (n - 1).bit_length() - 1 if n > 1 else 0
    p = top
    while p:
        q, r, distance = top, 0, p
        while True:
            for lower in range(n - distance):
                if lower & p == r:
                    yield lower, lower + distance
            if q == p:
                break
            distance, q, r = q - p, q >> 1, p
        p >>= 1
