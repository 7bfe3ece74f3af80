"""One pass over frames: counting, binning, centre of mass, virtual detectors and sum while each frame is in the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from runstart.frames._event_order import merge_events
from runstart.frames._inputs import check_frames, dense_dtype
from runstart.frames._summing import Analysis, DenseSummer, EventSummer, Sums, join_sums
from runstart.frames._threads import check_threads, spread
from runstart.frames.model import DenseFrames, Frames, Shape, SparseFrames
from runstart.frames.partial import Partial
from runstart.frames.recipe import Counting

# So many frames of 16-bit pixels can be added in a uint32.
_MOST_FRAMES = 1 << 16


class FramePass:
    """What is computed of each frame, made ready for frames of one shape and type.

    Frames that belong to no scan position (`MISSING_POSITION`) are left out.

    Parameters
    ----------
    frame_shape : tuple of int
        Rows and columns of the frames as they are read.
    dtype : dtype-like
        Of dense frames (uint8, uint16, uint32, float32); ignored for sparse ones, for which it may be "sparse".
    counting : Counting, optional
        Electrons are counted first; sparse frames are counted already and are taken as they are.
    bin_by : int, optional
        Pixels added together along each axis, after counting; rows and columns that are left over are cut off.
    center_of_mass : bool, optional
        Whether moments are summed.
    crop : ndarray of bool, shape (rows, columns) after binning, optional
        The pixels that count for the centre of mass, as `crop_mask` returns it; by default all.
    masks : ndarray, shape (k, rows, columns) after binning, optional
        Virtual detectors; of bool (or integers), or float weights. With weights of bool or integers, sums of integer
        pixels and of events are int64, all others float64.
    sum_frames : bool, optional
        Whether the frames are summed.
    keep_events : bool, optional
        Whether the events of counted frames are kept, as counted: neither binned nor moved.
    threads : int, optional
        By default as many as there are cores for this process.

    Raises
    ------
    ValueError
        If shapes or types do not fit.
    """

    def __init__(
        self,
        frame_shape: Shape,
        dtype: DTypeLike,
        *,
        counting: Counting | None = None,
        bin_by: int = 1,
        center_of_mass: bool = True,
        crop: NDArray[np.bool_] | None = None,
        masks: NDArray[Any] | None = None,
        sum_frames: bool = True,
        keep_events: bool = False,
        threads: int | None = None,
    ) -> None:
        self._frame_shape = (int(frame_shape[0]), int(frame_shape[1]))
        self._dtype = None if isinstance(dtype, str) and dtype == "sparse" else dense_dtype(dtype)
        self._counting = counting
        self._keeps_events = keep_events
        self._threads = check_threads(threads)
        self._analysis = Analysis.of(
            self._frame_shape, bin_by, center_of_mass=center_of_mass, crop=crop, masks=masks, sum_frames=sum_frames
        )

    def process(self, frames: Frames, shifts: NDArray[np.int32] | None = None) -> Partial:
        """Return the sums over frames.

        Parameters
        ----------
        frames : DenseFrames or SparseFrames
            Of the pass's shape; dense ones of its type.
        shifts : ndarray of int32, shape (n, 2), optional
            Rows and columns that each frame's content is moved by after binning (beam compensation); what leaves the
            frame is dropped, and what comes in is 0.

        Raises
        ------
        ValueError
            If the frames do not fit, or a sparse event lies outside the frame.
        """
        self._check(frames)
        moves = _to_shifts(shifts, len(frames))
        which = np.flatnonzero(frames.positions >= 0).astype(np.int64)
        size = frames.pixels.nbytes if isinstance(frames, DenseFrames) else frames.events.nbytes

        sums = join_sums(spread(len(which), size, self._threads, _MOST_FRAMES, self._runner(frames, which, moves)))
        return self._to_partial(frames, which, sums)

    def _check(self, frames: Frames) -> None:
        check_frames(frames)
        if tuple(frames.frame_shape) != self._frame_shape:
            raise ValueError(f"frames are of shape {tuple(frames.frame_shape)}, not {self._frame_shape}")
        if isinstance(frames, DenseFrames) and frames.pixels.dtype != self._dtype:
            raise ValueError(f"pixels are {frames.pixels.dtype}, not {self._dtype or 'sparse events'}")
        if self._keeps_events and self._counting is None and isinstance(frames, DenseFrames):
            raise ValueError("frames that are not counted have no events to be kept")

    def _runner(
        self, frames: Frames, which: NDArray[np.int64], shifts: NDArray[np.int32]
    ) -> Callable[[int, int], Sums]:
        """Return what a thread does: the sums over a range of the frames with the indices `which`."""
        counting, keep = self._counting, self._keeps_events
        if isinstance(frames, SparseFrames):
            of_events = self._sum_events
            return lambda begin, end: of_events.of_sparse(frames, which[begin:end], shifts, keep=keep)
        if counting is not None:
            of_events = self._sum_events
            return lambda begin, end: of_events.of_counted(frames, which[begin:end], shifts, counting, keep=keep)
        of_pixels = self._sum_dense
        return lambda begin, end: of_pixels(frames.pixels, which[begin:end], shifts)

    @cached_property
    def _sum_events(self) -> EventSummer:
        return EventSummer(self._analysis)

    @cached_property
    def _sum_dense(self) -> DenseSummer:
        return DenseSummer(self._analysis, dense_dtype(self._dtype))

    def _to_partial(self, frames: Frames, which: NDArray[np.int64], sums: Sums) -> Partial:
        """Return sums by scan position, made of sums by frame."""
        of_frame = frames.positions[which]
        order = np.argsort(of_frame, kind="stable")
        ordered = of_frame[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1)) if len(ordered) else np.empty(0, np.int64)
        counts = np.diff(starts, append=len(ordered))

        def add(values: NDArray[Any]) -> NDArray[Any]:
            if len(starts) == values.shape[-1]:
                return np.ascontiguousarray(values[..., order])
            return np.ascontiguousarray(np.add.reduceat(values[..., order], starts, axis=-1))

        moments = (None, None, None) if sums.moments is None else tuple(add(moment) for moment in sums.moments)
        return Partial(
            frame_shape=self._analysis.shape,
            positions=ordered[starts],
            frames=counts.astype(np.uint32),
            intensity=moments[0],
            row_moment=moments[1],
            column_moment=moments[2],
            detected=None if sums.detected is None else add(sums.detected),
            pattern=sums.pattern,
            events=None if sums.events is None else merge_events(self._to_sparse(of_frame, sums.events)),
        )

    def _to_sparse(
        self, positions: NDArray[np.int64], parts: list[tuple[NDArray[np.int64], NDArray[np.uint32]]]
    ) -> list[SparseFrames]:
        edges = np.cumsum([0, *(len(starts) - 1 for starts, _ in parts)])
        return [
            SparseFrames(positions[begin:end], starts, events, self._frame_shape)
            for begin, end, (starts, events) in zip(edges[:-1], edges[1:], parts, strict=True)
        ]


def _to_shifts(shifts: NDArray[np.int32] | None, count: int) -> NDArray[np.int32]:
    if shifts is None:
        return np.empty((0, 2), np.int32)
    if shifts.shape != (count, 2) or shifts.dtype != np.int32:
        raise ValueError(f"shifts are int32 of shape ({count}, 2), not {shifts.dtype} of shape {shifts.shape}")
    return np.require(shifts, requirements=["C", "W"])
