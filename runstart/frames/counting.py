"""Electron counting: from camera images to the pixels that electrons hit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames._counting import count_frames
from runstart.frames._inputs import to_frames
from runstart.frames._threads import check_threads, spread
from runstart.frames.model import DenseFrames, SparseFrames
from runstart.frames.recipe import Counting


def count_electrons(
    frames: DenseFrames | NDArray[Any],
    background_threshold: float,
    xray_threshold: float,
    *,
    threads: int | None = None,
) -> SparseFrames:
    """Return the electron events of frames: ascending in each frame, the frames in their order.

    A pixel at or below the background threshold, or at or above the x-ray threshold, is set to 0, and so is NaN. An
    event is a pixel that was not, and is greater than each of its neighbours: eight, or fewer at the edges of the
    frame. So an x-ray does not hide an electron beside it, and of two equal neighbours neither is an event. Thresholds
    are compared as they are, whatever values the type of the pixels can hold.

    Parameters
    ----------
    frames : DenseFrames, or ndarray of shape (n, rows, columns) or (scan_rows, scan_columns, rows, columns)
        Of uint8, uint16, uint32 or float32. An array's positions are 0, 1, 2 and so on. A frame that belongs to no
        scan position (`MISSING_POSITION`) is left out.
    background_threshold, xray_threshold : float
        Pixels between them, both excluded, may be events.
    threads : int, optional
        By default as many as there are cores for this process.

    Raises
    ------
    ValueError
        If a threshold is not finite, the background is not below the x-rays, or the frames are of another kind.
    """
    counting = Counting(background_threshold=background_threshold, xray_threshold=xray_threshold)
    dense = to_frames(frames)
    if isinstance(dense, SparseFrames):
        raise ValueError("the frames are counted already")
    which = np.flatnonzero(dense.positions >= 0).astype(np.int64)

    def run(begin: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        return count_frames(dense.pixels, which[begin:end], counting)

    parts = spread(len(which), dense.pixels.nbytes, check_threads(threads), max(len(which), 1), run)
    starts = np.zeros(len(which) + 1, np.int64)
    np.cumsum(np.concatenate([np.diff(part_starts) for part_starts, _ in parts]), out=starts[1:])
    return SparseFrames(
        dense.positions[which], starts, np.concatenate([events for _, events in parts]), dense.frame_shape
    )
