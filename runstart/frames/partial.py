"""Partial results: sums over any set of frames, which merge exactly and in any order.

Sums of integer frames and of events are integers, so that any split and any order give the same bits, as long as no sum
exceeds 2**63. Sums of float32 frames are float64: orders differ by rounding, relatively by less than 1e-12.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.frames._archive import pack_arrays, unpack_arrays
from runstart.frames._event_order import merge_events
from runstart.frames.model import Shape, SparseFrames

_MOMENTS = ("intensity", "row_moment", "column_moment")
_SUM_DTYPES = (np.dtype(np.int64), np.dtype(np.float64))
_PATTERN_DTYPES = (np.dtype(np.uint64), np.dtype(np.float64))
_EVENTS = ("event_positions", "event_starts", "events", "event_frame_shape")


@dataclass(frozen=True)
class Partial:
    """Sums over some frames of a scan.

    Attributes
    ----------
    frame_shape : tuple of int
        Rows and columns of the frames as they were analysed.
    positions : ndarray of int64, shape (p,)
        The scan positions that have frames, ascending, each once.
    frames : ndarray of uint32, shape (p,)
        Frames of each position.
    intensity, row_moment, column_moment : ndarray of int64 or float64, shape (p,), or None
        Sums of pixels, of pixels times their row and of pixels times their column, inside the crop; None if no centre
        of mass is wanted.
    detected : ndarray of int64 or float64, shape (k, p), or None
        Sums of pixels on each of `k` virtual detectors; None if there is none.
    pattern : ndarray of uint64 or float64, shape (rows, columns), or None
        Sum of all frames.
    events : SparseFrames or None
        The events of counted frames, empty ones too, by position. Once merged, frames of one position are ordered by
        their number of events, then by their events, so that the order in which they came does not matter.
    """

    frame_shape: Shape
    positions: NDArray[np.int64]
    frames: NDArray[np.uint32]
    intensity: NDArray[Any] | None = None
    row_moment: NDArray[Any] | None = None
    column_moment: NDArray[Any] | None = None
    detected: NDArray[Any] | None = None
    pattern: NDArray[Any] | None = None
    events: SparseFrames | None = None


def merge_partials(partials: Iterable[Partial]) -> Partial:
    """Return the sums over the frames of all partials.

    Raises
    ------
    ValueError
        If there is none, or they are of different frame shapes or recipes.
    """
    parts = list(partials)
    if not parts:
        raise ValueError("there is no partial")
    kind = _kind(parts[0])
    for part in parts[1:]:
        if _kind(part) != kind:
            raise ValueError(f"partials of different recipes do not merge: {kind} and {_kind(part)}")
    positions, places = np.unique(np.concatenate([part.positions for part in parts]), return_inverse=True)
    of_part = np.split(places, np.cumsum([len(part.positions) for part in parts[:-1]]))
    sums = {name: _sum(name, parts, of_part, len(positions)) for name in (*_MOMENTS, "detected")}
    frames = np.zeros(len(positions), np.uint32)
    for part, at in zip(parts, of_part, strict=True):
        frames[at] += part.frames
    return Partial(
        frame_shape=parts[0].frame_shape,
        positions=positions,
        frames=frames,
        pattern=_sum_patterns(parts),
        events=_merge_events(parts),
        **sums,
    )


def partial_to_bytes(partial: Partial) -> bytes:
    """Return a partial as an uncompressed `.npz` archive; the same partial gives the same bytes.

    Raises
    ------
    ValueError
        If the arrays of the partial do not fit each other.
    """
    _check(partial)
    arrays: dict[str, NDArray[Any]] = {
        "frame_shape": np.array(partial.frame_shape, np.int64),
        "positions": partial.positions,
        "frames": partial.frames,
    }
    for name in (*_MOMENTS, "detected", "pattern"):
        if (array := getattr(partial, name)) is not None:
            arrays[name] = array
    if (events := partial.events) is not None:
        shape = np.array(events.frame_shape, np.int64)
        arrays |= zip(_EVENTS, (events.positions, events.starts, events.events, shape), strict=True)
    return pack_arrays(arrays)


def partial_from_bytes(data: bytes) -> Partial:
    """Return the partial that `partial_to_bytes` wrote, without a pickle.

    Raises
    ------
    ValueError
        If the data are damaged.
    """
    arrays = unpack_arrays(data)
    if missing := {"frame_shape", "positions", "frames"} - set(arrays):
        raise ValueError(f"the partial has no {', '.join(sorted(missing))}")
    shape, positions, frames = (arrays.pop(name) for name in ("frame_shape", "positions", "frames"))
    events = None
    if any(name in arrays for name in _EVENTS):
        if missing := set(_EVENTS) - set(arrays):
            raise ValueError(f"the partial has no {', '.join(sorted(missing))}")
        event_positions, starts, flat, event_shape = (arrays.pop(name) for name in _EVENTS)
        events = SparseFrames(event_positions, starts, flat, _to_shape(event_shape))
    sums = {name: arrays.pop(name, None) for name in (*_MOMENTS, "detected", "pattern")}
    if arrays:
        raise ValueError(f"the partial has unknown arrays: {', '.join(sorted(map(repr, arrays)))}")
    partial = Partial(_to_shape(shape), positions, frames, events=events, **sums)
    _check(partial)
    return partial


def _kind(partial: Partial) -> dict[str, Any]:
    """Return what partials must have in common to be merged."""
    kind: dict[str, Any] = {"frame_shape": tuple(partial.frame_shape)}
    for name in (*_MOMENTS, "pattern"):
        array = getattr(partial, name)
        kind[name] = None if array is None else str(array.dtype)
    detected, events = partial.detected, partial.events
    kind["detected"] = None if detected is None else (len(detected), str(detected.dtype))
    kind["events"] = None if events is None else tuple(events.frame_shape)
    return kind


def _sum(
    name: str, parts: Sequence[Partial], places: Sequence[NDArray[np.intp]], length: int
) -> NDArray[Any] | None:
    first = getattr(parts[0], name)
    if first is None:
        return None
    total = np.zeros((*first.shape[:-1], length), first.dtype)
    for part, at in zip(parts, places, strict=True):
        # No place is twice in `at`: a partial has each position once.
        total[..., at] += getattr(part, name)
    return total


def _sum_patterns(parts: Sequence[Partial]) -> NDArray[Any] | None:
    patterns = [part.pattern for part in parts if part.pattern is not None]
    if not patterns:
        return None
    total: NDArray[Any] = patterns[0].copy()
    for pattern in patterns[1:]:
        total += pattern
    return total


def _merge_events(parts: Sequence[Partial]) -> SparseFrames | None:
    events = [part.events for part in parts if part.events is not None]
    return merge_events(events) if events else None


def _to_shape(sizes: NDArray[Any]) -> Shape:
    if sizes.shape != (2,) or sizes.dtype != np.int64:
        raise ValueError("a frame shape is two whole numbers")
    return int(sizes[0]), int(sizes[1])


def _check(partial: Partial) -> None:
    """Raise ValueError if the arrays of a partial do not fit each other."""
    p = partial.positions.size
    _check_array("positions", partial.positions, (p,), (np.dtype(np.int64),))
    _check_array("frames", partial.frames, (p,), (np.dtype(np.uint32),))
    _require(min(partial.frame_shape) > 0, "a frame has rows and columns")
    _require(not p or partial.positions[0] >= 0, "positions are not negative")
    _require(bool((np.diff(partial.positions) > 0).all()), "positions ascend, each once")
    _require(bool((partial.frames > 0).all()), "each position has a frame")
    moments = [getattr(partial, name) for name in _MOMENTS if getattr(partial, name) is not None]
    _require(len(moments) in (0, 3), f"{', '.join(_MOMENTS)} are there together or not at all")
    for name, array in zip(_MOMENTS, moments, strict=False):
        _check_array(name, array, (p,), _SUM_DTYPES)
    _require(len({array.dtype for array in moments}) < 2, f"{', '.join(_MOMENTS)} are of one type")
    if partial.detected is not None:
        _check_array("detected", partial.detected, (*partial.detected.shape[:1], p), _SUM_DTYPES)
    if partial.pattern is not None:
        _check_array("pattern", partial.pattern, tuple(partial.frame_shape), _PATTERN_DTYPES)
    if partial.events is not None:
        _check_events(partial, partial.events)


def _check_events(partial: Partial, events: SparseFrames) -> None:
    n = events.positions.size
    _check_array("event_positions", events.positions, (n,), (np.dtype(np.int64),))
    _check_array("event_starts", events.starts, (n + 1,), (np.dtype(np.int64),))
    _check_array("events", events.events, (events.events.size,), (np.dtype(np.uint32),))
    _require(min(events.frame_shape) > 0, "a frame of events has rows and columns")
    _require(int(partial.frames.sum(dtype=np.uint64)) == n, "each frame has events, if only none")
    expected = np.repeat(partial.positions, partial.frames)
    _require(np.array_equal(expected, events.positions), "events are ordered by position")
    is_whole = events.starts[0] == 0 and events.starts[-1] == len(events.events)
    _require(bool(is_whole and (np.diff(events.starts) >= 0).all()), "event_starts ascend from 0 to all events")
    pixels = events.frame_shape[0] * events.frame_shape[1]
    _require(not len(events.events) or int(events.events.max()) < pixels, "events lie inside the frame")


def _check_array(name: str, array: NDArray[Any], shape: tuple[int, ...], dtypes: tuple[np.dtype[Any], ...]) -> None:
    if array.shape != shape or array.dtype not in dtypes:
        wanted = " or ".join(map(str, dtypes))
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape} and should be {wanted} of shape {shape}")


def _require(condition: bool, rule: str) -> None:
    if not condition:
        raise ValueError(f"the partial is damaged: {rule}")
