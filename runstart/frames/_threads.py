"""Frames shared out to threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

_T = TypeVar("_T")

# Below this many bytes, starting a thread takes longer than it saves.
_WORTH_A_THREAD = 1 << 20


def check_threads(threads: int | None) -> int:
    """Return the number of threads that is meant: by default as many as there are cores for this process."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"{threads} threads can do nothing")
    return threads


def spread(count: int, size: int, threads: int, most: int, run: Callable[[int, int], _T]) -> list[_T]:
    """Return what `run(begin, end)` gives for ranges that cover `count` frames, in their order.

    Parameters
    ----------
    count, size : int
        Frames, and the bytes of all of them.
    threads : int
        At most; fewer if that is faster.
    most : int
        Frames of a range at most.
    run : callable
        Called in several threads.
    """
    workers = max(1, min(threads, count, size // _WORTH_A_THREAD))
    pieces = workers * -(-count // (most * workers)) or 1
    edges = [count * k // pieces for k in range(pieces + 1)]
    if workers == 1:
        return [run(begin, end) for begin, end in pairwise(edges)]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(run, edges[:-1], edges[1:]))
