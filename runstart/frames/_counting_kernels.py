"""Compiled search for electron events: a row is compared at once, neighbours only beside the few pixels that are left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.frames._compiled import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["count_until_full"]

WORD = 8
"""Pixels whose flags are looked at together, as one 64-bit word."""


@compiled
def _flag(row: npt.NDArray[Any], lowest: Any, highest: Any, flags: npt.NDArray[np.uint8]) -> None:
    """Write 1 for each pixel of a row from `lowest` to `highest`, 0 for others; the loop becomes vectors."""
    for i in range(len(row)):
        flags[i] = np.uint8(row[i] >= lowest) & np.uint8(row[i] <= highest)


@compiled
def _find_flagged(
    flags: npt.NDArray[np.uint8],
    words: npt.NDArray[np.uint64],
    flagged_words: npt.NDArray[np.int64],
    found: npt.NDArray[np.int64],
) -> int:
    """Write the indices of what is flagged; return how many there are. A branch would often be mispredicted here."""
    count = 0
    for i in range(len(words)):
        flagged_words[count] = i * WORD
        count += int(words[i] != 0)
    n_found = 0
    for first in flagged_words[:count]:
        for i in range(first, first + WORD):
            found[n_found] = i
            n_found += int(flags[i])
    return n_found


@compiled
def _hides(neighbor: Any, value: Any, highest: Any) -> bool:
    """Return whether a neighbour keeps a positive pixel from being an event."""
    hides: bool = (neighbor >= value) & (neighbor <= highest)
    return hides


@compiled
def _is_peak(frame: npt.NDArray[Any], y: int, x: int, lowest: Any, highest: Any) -> bool:
    """Return whether a pixel exceeds each of its neighbours, those outside `lowest` to `highest` taken as 0."""
    value = frame[y, x]
    for row in range(max(y - 1, 0), min(y + 2, frame.shape[0])):
        for column in range(max(x - 1, 0), min(x + 2, frame.shape[1])):
            if row == y and column == x:
                continue
            neighbor = frame[row, column]
            if lowest <= neighbor <= highest:
                if neighbor >= value:
                    return False
            elif value <= 0:
                return False
    return True


@compiled
def _is_inner_peak(frame: npt.NDArray[Any], y: int, x: int, highest: Any) -> bool:
    """Return what `_is_peak` does of a positive pixel that is not at an edge."""
    value = frame[y, x]
    above, row, below = frame[y - 1, x - 1 : x + 2], frame[y, x - 1 : x + 2], frame[y + 1, x - 1 : x + 2]
    is_hidden = _hides(row[0], value, highest) | _hides(row[2], value, highest)
    for i in range(3):
        is_hidden |= _hides(above[i], value, highest) | _hides(below[i], value, highest)
    return not is_hidden


@compiled
def count_until_full(
    frames: npt.NDArray[Any],
    which: npt.NDArray[np.int64],
    first: int,
    lowest: Any,
    highest: Any,
    events: npt.NDArray[np.uint32],
    used: int,
    counts: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Append the events of frames to `events` as long as there is room for any frame's.

    Parameters
    ----------
    frames : real[n, rows, columns]
        All frames.
    which : int64[m]
        Indices of the frames to be counted.
    first : int
        Where in `which` to go on.
    lowest, highest : scalars of the frames' dtype
        An event's value is between them, both included.
    events : uint32[size]
        Flat indices of events; the first `used` are there already.
    counts : int64[m]
        Events of each frame.

    Returns
    -------
    next, used : int
        Where in `which` to go on, and how many events there are now.
    """
    rows, columns = frames.shape[1], frames.shape[2]
    most = ((rows + 1) // 2) * ((columns + 1) // 2) + 1  # two events are never neighbours; one more to be tried
    n_words = (columns + WORD - 1) // WORD
    flags = np.zeros(n_words * WORD, np.uint8)
    words = flags.view(np.uint64)
    flagged_words = np.empty(n_words + 1, np.int64)
    found = np.empty(n_words * WORD + 1, np.int64)
    for k in range(first, len(which)):
        if len(events) - used < most:
            return k, used
        frame = frames[which[k]]
        before = used
        for y in range(rows):
            _flag(frame[y], lowest, highest, flags)
            for x in found[: _find_flagged(flags, words, flagged_words, found)]:
                is_inner = (0 < y < rows - 1) & (0 < x < columns - 1)
                if is_inner and frame[y, x] > 0:
                    is_event = _is_inner_peak(frame, y, x, highest)
                else:
                    is_event = _is_peak(frame, y, x, lowest, highest)
                events[used] = y * columns + x
                used += int(is_event)
        counts[k] = used - before
    return len(which), used
