"""Sums for the centre of mass of a batch of frames, inside a rectangle about the beam.

They equal those of `runstart.frames.FramePass` with `crop_mask(Crop(...))`, bit for bit; of events they are faster.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from runstart.frame_messages.batches import Batch
from runstart.frames import Crop, DenseFrames, FramePass, Partial, Shape, SparseFrames, crop_mask

_EVENT_BITS = 26  # a frame has at most 2**26 pixels


def sum_moments(batch: Batch, crop: Crop, center: tuple[float, float]) -> Partial:
    """Return the sums over the frames of each position.

    Parameters
    ----------
    batch : Batch
        Events, or pixels.
    crop : Crop
        A rectangle; `Crop` states the rule.
    center : tuple of float
        (row, column) of the undeflected beam.

    Raises
    ------
    ValueError
        If the crop is no rectangle.
    """
    frames = batch.frames
    if isinstance(frames, DenseFrames):
        return _pixel_pass(frames.frame_shape, frames.pixels.dtype.str, crop, center).process(frames)
    return _of_events(frames, _rectangle(crop, center, frames.frame_shape))


def load_kernel() -> None:
    """Have the compiled sums over events ready, so that no message waits for them."""
    frames = SparseFrames(np.zeros(1, np.int64), np.zeros(2, np.int64), np.zeros(0, np.uint32), (1, 1))
    _of_events(frames, (0, 0, 0, 0))


@lru_cache(maxsize=8)
def _pixel_pass(frame_shape: Shape, dtype: str, crop: Crop, center: tuple[float, float]) -> FramePass:
    mask = crop_mask(crop, center, frame_shape)
    return FramePass(frame_shape, np.dtype(dtype), crop=mask, sum_frames=False, threads=1)


@lru_cache(maxsize=8)
def _rectangle(crop: Crop, center: tuple[float, float], frame_shape: Shape) -> tuple[int, int, int, int]:
    """Return first row, end of rows, first column, end of columns; raise ValueError if the crop is no rectangle."""
    if crop.half_rows is None or crop.half_columns is None:
        raise ValueError("the crop is no rectangle")
    rows = _inside(crop.half_rows, center[0], frame_shape[0])
    return rows + _inside(crop.half_columns, center[1], frame_shape[1])


def _inside(half: float, center: float, length: int) -> tuple[int, int]:
    """Return the first index inside along an axis, and the end."""
    mask = crop_mask(Crop(half_rows=half, half_columns=1), (center, 0.0), (length, 1))
    inside = np.flatnonzero(mask)
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, 0)


def _of_events(frames: SparseFrames, rectangle: tuple[int, int, int, int]) -> Partial:
    from runstart.frame_messages._moment_kernel import sum_moments as sum_compiled

    columns = frames.frame_shape[1]
    # Rounded up, the factor is exact for every event of 26 bits: Granlund and Montgomery, Division by invariant integers
    # using multiplication (1994), theorem 4.2.
    shift = _EVENT_BITS + (columns - 1).bit_length()
    factor = -(-(2**shift) // columns)
    moments = np.empty((3, len(frames)), np.int64)
    sum_compiled(frames.starts, frames.events, columns, factor, shift, rectangle, moments)
    order = np.argsort(frames.positions, kind="stable")
    ordered = frames.positions[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    counts = np.diff(first, append=len(ordered)).astype(np.uint32)
    intensity, rows, columns_moment = np.ascontiguousarray(np.add.reduceat(moments[:, order], first, axis=1))
    return Partial(frames.frame_shape, ordered[first], counts, intensity, rows, columns_moment)
