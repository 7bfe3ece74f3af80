"""Sums over some frames of a batch, by frame: what one thread does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames._counting import count_frames
from runstart.frames._inputs import outside_frame
from runstart.frames._weight_plan import WeightPlan, fits_int16, make_plan
from runstart.frames.model import DenseFrames, Shape, SparseFrames
from runstart.frames.recipe import Counting

_CHUNK_BYTES = 1 << 22  # frames that are gone through twice stay in the cache meanwhile
_MOST_HITS = 1 << 32  # so many events may fall on a pixel of a uint32


@dataclass(frozen=True)
class Analysis:
    """What is summed of frames of one shape, checked.

    Attributes
    ----------
    frame_shape, shape : tuple of int
        Of frames as they are read, and binned.
    bin_by : int
        Pixels added together along each axis.
    moments, pattern : bool
        Whether moments are summed, and frames.
    crop : ndarray of bool, shape (rows, columns), or None
        The pixels that count for the moments.
    masks : ndarray of bool, int64 or float64, shape (k, rows, columns), or None
        Virtual detectors.
    """

    frame_shape: Shape
    shape: Shape
    bin_by: int
    moments: bool
    pattern: bool
    crop: NDArray[np.bool_] | None
    masks: NDArray[Any] | None

    @classmethod
    def of(
        cls,
        frame_shape: Shape,
        bin_by: int,
        *,
        center_of_mass: bool,
        crop: NDArray[np.bool_] | None,
        masks: NDArray[Any] | None,
        sum_frames: bool,
    ) -> Analysis:
        """Return it; raise ValueError if shapes or types do not fit."""
        shape = binned_shape(frame_shape, bin_by)
        if crop is not None and (crop.shape != shape or crop.dtype != np.bool_):
            raise ValueError(f"a crop is bool of shape {shape}, not {crop.dtype} of shape {crop.shape}")
        return cls(
            frame_shape=frame_shape,
            shape=shape,
            bin_by=bin_by,
            moments=center_of_mass,
            pattern=sum_frames,
            crop=None if crop is None or crop.all() else crop,
            masks=_to_masks(masks, shape),
        )

    @property
    def is_weighted(self) -> bool:
        """Whether masks are float weights."""
        return self.masks is not None and self.masks.dtype.kind == "f"


@dataclass(frozen=True)
class Sums:
    """Sums over frames.

    Attributes
    ----------
    moments : ndarray of int64 or float64, shape (3, m), or None
        Intensity, row moment and column moment of each frame.
    detected : ndarray of int64 or float64, shape (k, m), or None
        On each virtual detector.
    pattern : ndarray of uint64 or float64, shape (rows, columns), or None
        Sum of the frames.
    events : list of (starts, events), or None
        Of successive frames.
    """

    moments: NDArray[Any] | None
    detected: NDArray[Any] | None
    pattern: NDArray[Any] | None
    events: list[tuple[NDArray[np.int64], NDArray[np.uint32]]] | None = None


def join_sums(parts: Sequence[Sums]) -> Sums:
    """Return the sums of parts, one after the other."""
    patterns = [part.pattern for part in parts if part.pattern is not None]
    events = [part.events for part in parts if part.events is not None]
    return Sums(
        moments=_join([part.moments for part in parts if part.moments is not None]),
        detected=_join([part.detected for part in parts if part.detected is not None]),
        pattern=sum(patterns[1:], patterns[0]) if patterns else None,
        events=[pair for part in events for pair in part] if events else None,
    )


def binned_shape(frame_shape: Shape, bin_by: int) -> Shape:
    """Return rows and columns of binned frames; raise ValueError if there are none."""
    if bin_by < 1:
        raise ValueError(f"frames cannot be binned by {bin_by}")
    rows, columns = frame_shape[0] // bin_by, frame_shape[1] // bin_by
    if min(rows, columns) < 1:
        raise ValueError(f"frames of {frame_shape[0]} x {frame_shape[1]} binned by {bin_by} have no pixels")
    return rows, columns


class EventSummer:
    """Sums over electron events.

    Parameters
    ----------
    analysis : Analysis
        What is wanted.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        pixels = analysis.shape[0] * analysis.shape[1]
        crop, masks = analysis.crop, analysis.masks
        self._crop = np.ones(pixels, np.uint8) if crop is None else crop.astype(np.uint8).ravel()
        if masks is None:
            self._weights: NDArray[Any] = np.empty((0, pixels), np.uint8)
        else:
            self._weights = masks.reshape(len(masks), pixels)
            if masks.dtype.kind == "b":
                self._weights = self._weights.view(np.uint8)

    def of_sparse(
        self, frames: SparseFrames, which: NDArray[np.int64], shifts: NDArray[np.int32], *, keep: bool
    ) -> Sums:
        """Return sums over events; raise ValueError if one lies outside its frame."""
        from runstart.frames._sparse_kernels import find_outside

        rows, columns = self._analysis.frame_shape
        starts = np.require(frames.starts, requirements=["W"])  # else all would be compiled once more
        wrong = find_outside(starts, frames.events, which, rows * columns)
        if wrong >= 0:
            raise outside_frame(frames, wrong)
        moments, detected, pattern = self._add(starts, frames.events, which, shifts)
        return Sums(moments, detected, pattern, [_select(frames, which)] if keep else None)

    def of_counted(
        self,
        frames: DenseFrames,
        which: NDArray[np.int64],
        shifts: NDArray[np.int32],
        counting: Counting,
        *,
        keep: bool,
    ) -> Sums:
        """Return sums over the events that are counted in frames."""
        starts, events = count_frames(frames.pixels, which, counting)
        chosen = shifts[which] if len(shifts) else shifts
        moments, detected, pattern = self._add(starts, events, np.arange(len(which)), chosen)
        return Sums(moments, detected, pattern, [(starts, events)] if keep else None)

    def _add(
        self,
        starts: NDArray[np.int64],
        events: NDArray[np.uint32],
        which: NDArray[np.int64],
        shifts: NDArray[np.int32],
    ) -> tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None]:
        from runstart.frames._sparse_kernels import sum_events

        analysis = self._analysis
        moments = np.zeros((3, len(which) if analysis.moments else 0), np.int64)
        detected = np.zeros((len(self._weights), len(which)), np.float64 if analysis.is_weighted else np.int64)
        pixels = len(self._crop) if analysis.pattern else 0
        pattern = np.zeros(pixels, np.uint32 if len(events) < _MOST_HITS else np.uint64)
        columns = analysis.frame_shape[1]
        if moments.size or detected.size or pattern.size:
            sum_events(
                starts,
                events,
                which,
                columns,
                analysis.bin_by,
                shifts,
                analysis.shape,
                self._crop,
                self._weights,
                moments,
                detected,
                pattern,
            )
        return (
            moments if analysis.moments else None,
            None if analysis.masks is None else detected,
            pattern.astype(np.uint64).reshape(analysis.shape) if analysis.pattern else None,
        )


class DenseSummer:
    """Sums over camera images.

    Parameters
    ----------
    analysis : Analysis
        What is wanted.
    dtype : dtype
        Of the pixels.
    """

    def __init__(self, analysis: Analysis, dtype: np.dtype[Any]) -> None:
        self._analysis = analysis
        masks = analysis.masks
        # Float weights of integer pixels are the only sums that go another way than the rest.
        self._is_split = analysis.is_weighted and dtype.kind != "f"
        together = None if self._is_split else masks
        if dtype.kind == "f":
            kind = "float64"
        else:
            is_narrow = dtype.itemsize <= 2 and analysis.bin_by == 1 and fits_int16(together, analysis.shape[1])
            kind = "int16" if is_narrow else "int64"
        self._main = self._plan(kind, together, moments=analysis.moments)
        self._weighted = self._plan("float64", masks, moments=False) if self._is_split else None

    def __call__(self, pixels: NDArray[Any], which: NDArray[np.int64], shifts: NDArray[np.int32]) -> Sums:
        """Return sums over the frames with some indices."""
        analysis = self._analysis
        kind = self._main.weights.dtype
        pattern_dtype = {"int16": np.uint32, "int64": np.uint64, "float64": np.float64}[str(kind)]
        pattern = np.zeros(analysis.shape if analysis.pattern else (0, 0), pattern_dtype)
        plans = [self._main] if self._weighted is None else [self._main, self._weighted]
        sums = [np.zeros((len(which), plan.channels), plan.constant.dtype) for plan in plans]
        step = _chunk_frames(pixels) if len(plans) > 1 else len(which)
        for begin in range(0, len(which), max(step, 1)):
            chunk = slice(begin, begin + step)
            self._run(self._main, pixels, which[chunk], shifts, sums[0][chunk], pattern)
            if self._weighted is not None:
                self._run(self._weighted, pixels, which[chunk], shifts, sums[1][chunk], np.empty((0, 0)))
        by_channel = [np.ascontiguousarray(of_plan.T) for of_plan in sums]
        return Sums(
            moments=self._main.moments(by_channel[0]) if analysis.moments else None,
            detected=None if analysis.masks is None else plans[-1].detected(by_channel[-1]),
            pattern=_to_pattern(pattern) if analysis.pattern else None,
        )

    def _plan(self, kind: str, masks: NDArray[Any] | None, *, moments: bool) -> WeightPlan:
        analysis = self._analysis
        return make_plan(analysis.shape, np.dtype(kind), analysis.crop, masks, moments=moments)

    def _run(
        self,
        plan: WeightPlan,
        pixels: NDArray[Any],
        which: NDArray[np.int64],
        shifts: NDArray[np.int32],
        sums: NDArray[Any],
        pattern: NDArray[Any],
    ) -> None:
        """Add sums of frames to `sums` and `pattern`."""
        from runstart.frames._dense_kernels import sum_dense

        analysis, kind = self._analysis, plan.weights.dtype
        is_flipped = kind == np.int16 and pixels.dtype == np.uint16
        flip = kind.type(-(1 << 15) if is_flipped else 0)
        binned_dtype = np.float64 if pixels.dtype.kind == "f" else np.int64
        sum_dense(
            pixels,
            which,
            analysis.bin_by,
            shifts,
            flip,
            np.empty(analysis.shape[1], pixels.dtype if analysis.bin_by == 1 else binned_dtype),
            plan.row_starts,
            plan.runs,
            plan.weights,
            np.empty(0, np.int32 if kind == np.int16 else kind),
            sums,
            pattern,
        )
        if is_flipped:
            sums -= plan.constant * int(flip)


def _chunk_frames(pixels: NDArray[Any]) -> int:
    frame_bytes = int(pixels[0].nbytes) if len(pixels) else 1
    return max(1, _CHUNK_BYTES // frame_bytes)


def _to_masks(masks: NDArray[Any] | None, shape: Shape) -> NDArray[Any] | None:
    if masks is None:
        return None
    if masks.ndim != 3 or masks.shape[1:] != shape:
        raise ValueError(f"masks are of shape (k, {shape[0]}, {shape[1]}), not {masks.shape}")
    if not len(masks):
        return None
    if masks.dtype.kind == "b":
        return np.require(masks, requirements=["C", "W"])
    if masks.dtype.kind in "iu":
        if int(masks.max()) > np.iinfo(np.int64).max:
            raise ValueError("integer weights are below 2**63")
        return np.require(masks, np.int64, ["C", "W"])
    if masks.dtype.kind != "f" or masks.dtype.itemsize > 8:
        raise ValueError(f"masks are of bool, integers or floats, not {masks.dtype}")
    if not np.isfinite(masks).all():
        raise ValueError("weights are finite")
    return np.require(masks, np.float64, ["C", "W"])


def _to_pattern(pattern: NDArray[Any]) -> NDArray[Any]:
    return pattern if pattern.dtype.kind == "f" else pattern.astype(np.uint64)


def _join(parts: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    return np.concatenate(parts, axis=1) if parts else None


def _select(frames: SparseFrames, which: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return `starts` and `events` of some frames, in the order of their indices."""
    counts = np.diff(frames.starts)[which]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    if len(which) and which[-1] - which[0] == len(which) - 1:
        return starts, frames.events[frames.starts[which[0]] : frames.starts[which[-1] + 1]]
    places = np.repeat(frames.starts[which] - starts[:-1], counts) + np.arange(starts[-1])
    return starts, frames.events[places]
