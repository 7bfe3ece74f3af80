"""Electron counting of some of the frames of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames.recipe import Counting

_FIRST_FRAMES = 4  # the room for events at the beginning, in frames as full of them as can be


def value_range(counting: Counting, dtype: np.dtype[Any]) -> tuple[Any, Any] | None:
    """Return the least and the largest pixel value of an event in a type of pixels; None if there is none."""
    background, xray = counting.background_threshold, counting.xray_threshold
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            lowest, highest = dtype.type(background), dtype.type(xray)
        if float(lowest) <= background:
            lowest = np.nextafter(lowest, dtype.type(np.inf))
        if float(highest) >= xray:
            highest = np.nextafter(highest, dtype.type(-np.inf))
    else:
        limits = np.iinfo(dtype)
        lowest = max(int(np.floor(background)) + 1, int(limits.min))
        highest = min(int(np.ceil(xray)) - 1, int(limits.max))
    return (dtype.type(lowest), dtype.type(highest)) if lowest <= highest else None


def count_frames(
    pixels: NDArray[Any], which: NDArray[np.int64], counting: Counting
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return `starts` and `events` of the frames with the indices `which`, as of `SparseFrames`."""
    from runstart.frames._counting_kernels import count_until_full

    starts = np.zeros(len(which) + 1, np.int64)
    bounds = value_range(counting, pixels.dtype)
    if bounds is None:
        return starts, np.empty(0, np.uint32)
    most = -(-pixels.shape[1] // 2) * -(-pixels.shape[2] // 2)
    most += 1  # the kernel writes a pixel before it knows whether it is an event
    events = np.empty(most * _FIRST_FRAMES, np.uint32)
    done, used = 0, 0
    while True:
        done, used = count_until_full(pixels, which, done, *bounds, events, used, starts[1:])
        if done == len(which):
            break
        # What a frame has had so far, with a reserve, tells how much all of them may need.
        expected = used * len(which) // max(done, 1)
        grown = np.empty(max(len(events) + most, expected + expected // 8 + most), np.uint32)
        grown[:used] = events[:used]
        events = grown
    np.cumsum(starts, out=starts)
    return starts, events[:used]
