"""Frames of electron events, put into an order that depends on nothing but the frames.

Frames are ordered by scan position; those of one position by their number of events, then by their events, compared one
by one. Equal frames cannot be told apart, so that any split of a set of frames, merged in any order, gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from runstart.frames.model import SparseFrames


def merge_events(parts: Sequence[SparseFrames]) -> SparseFrames:
    """Return the frames of all parts, which are of one shape, in the order that depends on nothing but the frames.

    Parameters
    ----------
    parts : sequence of SparseFrames
        At least one; in any order.
    """
    counts = [len(part) for part in parts]
    positions = np.concatenate([part.positions for part in parts])
    lengths = np.concatenate([np.diff(part.starts) for part in parts])
    part_of = np.repeat(np.arange(len(parts)), counts)
    frame_of = np.concatenate([np.arange(count) for count in counts])
    order = _order(parts, positions, lengths, part_of, frame_of)
    starts = np.zeros(len(order) + 1, np.int64)
    np.cumsum(lengths[order], out=starts[1:])
    events = np.empty(starts[-1], np.uint32)
    part_of, frame_of = part_of[order], frame_of[order]
    # Frames that follow each other in their part are copied together.
    follows = (np.diff(part_of) == 0) & (np.diff(frame_of) == 1)
    edges = np.unique(np.concatenate([[0], np.flatnonzero(~follows) + 1, [len(order)]]))
    for begin, end in pairwise(edges.tolist()):
        part = parts[part_of[begin]]
        first, last = part.starts[frame_of[begin]], part.starts[frame_of[end - 1] + 1]
        events[starts[begin] : starts[end]] = part.events[first:last]
    return SparseFrames(positions[order], starts, events, parts[0].frame_shape)


def _order(
    parts: Sequence[SparseFrames],
    positions: NDArray[np.int64],
    lengths: NDArray[np.int64],
    part_of: NDArray[np.int64],
    frame_of: NDArray[np.int64],
) -> NDArray[np.int64]:
    firsts = np.concatenate([_first_events(part) for part in parts])
    order = np.lexsort((firsts, lengths, positions))
    keys = np.stack([positions[order], lengths[order], firsts[order]])
    is_tie = (keys[:, 1:] == keys[:, :-1]).all(axis=0) & (keys[1, 1:] > 1)
    # Rare: frames of one position that agree in length and first event are compared in full.
    ends = np.flatnonzero(np.diff(np.concatenate([[False], is_tie, [False]]).astype(np.int8)))
    for begin, last in ends.reshape(-1, 2):
        tied: list[int] = order[begin : last + 1].tolist()
        order[begin : last + 1] = sorted(
            tied, key=lambda at: parts[int(part_of[at])].frame(int(frame_of[at])).astype(">u4").tobytes()
        )
    return order


def _first_events(part: SparseFrames) -> NDArray[np.int64]:
    firsts = np.full(len(part), -1, np.int64)
    has_events = np.diff(part.starts) > 0
    firsts[has_events] = part.events[part.starts[:-1][has_events]]
    return firsts
