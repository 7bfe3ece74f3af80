"""One pass over frames: exact sums, whatever the split, the order, the threads and the kind of frames."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.frames import (
    Counting,
    DenseFrames,
    FramePass,
    Frames,
    Partial,
    SparseFrames,
    count_electrons,
    merge_partials,
)

Array = np.ndarray[Any, Any]
MASKS = np.zeros((3, 11, 40), bool)
MASKS[0, 3:8, 5:30] = True
MASKS[1, ::2, ::3] = True
CROP = np.zeros((11, 40), bool)
CROP[2:9, 33:] = True
WEIGHTS = np.random.default_rng(5).normal(size=(2, 11, 40))
STEP = np.tile(np.where(np.arange(700) < 300, 300, -300), (1, 30, 1))
WHOLE = np.random.default_rng(6).integers(-300, 300, (2, 11, 40))


def make_frames(dtype: str, n: int = 21, seed: int = 0, largest: float = 0) -> DenseFrames:
    """Frames out of order, some positions twice, some without a frame, two frames without a position."""
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        pixels = rng.normal(100, 20, (n, 11, 40)).astype(dtype)
    else:
        pixels = rng.integers(0, largest or np.iinfo(dtype).max, (n, 11, 40), endpoint=True).astype(dtype)
    positions = rng.integers(0, 2 * n, n)
    positions[::10] = -1
    return DenseFrames(positions, pixels)


def take(frames: Frames, which: Array) -> Frames:
    if isinstance(frames, DenseFrames):
        return DenseFrames(frames.positions[which], frames.pixels[which])
    events = [frames.frame(k) for k in which.tolist()]
    starts = np.cumsum([0, *map(len, events)])
    return SparseFrames(
        frames.positions[which], starts, np.concatenate([np.empty(0, np.uint32), *events]), frames.frame_shape
    )


def to_dense(frames: SparseFrames, dtype: str = "u2") -> DenseFrames:
    pixels = np.zeros((len(frames), *frames.frame_shape), dtype)
    for k in range(len(frames)):
        np.add.at(pixels[k].reshape(-1), frames.frame(k), 1)
    return DenseFrames(frames.positions, pixels)


def make_events(n: int = 21, seed: int = 0) -> SparseFrames:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 60, n)
    positions = rng.integers(0, 2 * n, n)
    positions[::10] = -1
    return SparseFrames(
        positions,
        np.concatenate([[0], np.cumsum(counts)]),
        rng.integers(0, 440, counts.sum()).astype(np.uint32),
        (11, 40),
    )


def transform(pixels: Array, bin_by: int, shifts: Array | None) -> Array:
    """Frames binned and moved, in int64 or float64."""
    wide = pixels.astype(np.float64 if pixels.dtype.kind == "f" else np.int64)
    n, rows, columns = len(pixels), pixels.shape[1] // bin_by, pixels.shape[2] // bin_by
    cut = wide[:, : rows * bin_by, : columns * bin_by]
    binned = cut.reshape(n, rows, bin_by, columns, bin_by).sum((2, 4))
    if shifts is None:
        return binned
    moved = np.zeros_like(binned)
    for k, (dy, dx) in enumerate(shifts.tolist()):
        for y in range(rows):
            for x in range(columns):
                if 0 <= y + dy < rows and 0 <= x + dx < columns:
                    moved[k, y + dy, x + dx] = binned[k, y, x]
    return moved


def reference(
    frames: DenseFrames,
    *,
    bin_by: int = 1,
    shifts: Array | None = None,
    crop: Array | None = None,
    masks: Array | None = None,
) -> dict[str, Array]:
    known = frames.positions >= 0
    pixels = transform(frames.pixels, bin_by, shifts)[known]
    positions, inverse = np.unique(frames.positions[known], return_inverse=True)
    sums = np.zeros((len(positions), *pixels.shape[1:]), pixels.dtype)
    np.add.at(sums, inverse, pixels)
    inside = sums if crop is None else np.where(crop, sums, 0)
    return {
        "positions": positions,
        "frames": np.bincount(inverse, minlength=len(positions)),
        "intensity": inside.sum((1, 2)),
        "row_moment": (inside.sum(2) * np.arange(sums.shape[1])).sum(1),
        "column_moment": (inside.sum(1) * np.arange(sums.shape[2])).sum(1),
        "detected": np.array([(sums * mask).sum((1, 2)) for mask in masks]) if masks is not None else np.empty(0),
        "pattern": pixels.sum(0),
    }


def assert_same(partial: Partial, expected: dict[str, Array], rtol: float = 0) -> None:
    for name, values in expected.items():
        actual = getattr(partial, name)
        if actual is None:
            assert not values.size
        elif rtol:
            np.testing.assert_allclose(actual, values, rtol=rtol, err_msg=name)
        else:
            np.testing.assert_array_equal(actual, values, err_msg=name)


def to_dict(partial: Partial) -> dict[str, Array]:
    arrays = {field.name: getattr(partial, field.name) for field in fields(Partial)}
    events = arrays.pop("events")
    if events is not None:
        arrays |= {"event_positions": events.positions, "starts": events.starts, "the_events": events.events}
    return {name: np.asarray(array) for name, array in arrays.items() if array is not None}


def assert_equal(one: Partial, other: Partial, rtol: float = 0) -> None:
    first, second = to_dict(one), to_dict(other)
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert array.dtype == second[name].dtype, name
        np.testing.assert_allclose(array, second[name], rtol=rtol, err_msg=name)


@pytest.mark.parametrize("masks", [None, MASKS, WHOLE], ids=["none", "bool", "integers"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_sums_of_integer_frames_are_exact(dtype: str, masks: Array | None) -> None:
    frames = make_frames(dtype)
    for crop in (None, CROP):
        partial = FramePass((11, 40), dtype, crop=crop, masks=masks).process(frames)
        assert_same(partial, reference(frames, crop=crop, masks=masks))


def test_sums_of_float_frames_are_those_of_float64() -> None:
    frames = make_frames("float32")
    partial = FramePass((11, 40), "f4", crop=CROP, masks=MASKS).process(frames)
    assert_same(partial, reference(frames, crop=CROP, masks=MASKS), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_float_weights_give_float64(dtype: str) -> None:
    frames = make_frames(dtype)
    partial = FramePass((11, 40), dtype, masks=WEIGHTS).process(frames)
    assert_same(partial, reference(frames, masks=WEIGHTS), rtol=1e-9)
    assert partial.detected is not None
    assert partial.intensity is not None
    assert (partial.detected.dtype.kind, partial.intensity.dtype.kind) == ("f", "i" if dtype == "uint16" else "f")


def test_a_pixel_of_weight_0_does_not_count_even_if_it_is_not_a_number() -> None:
    pixels = np.ones((1, 11, 40), np.float32)
    pixels[0, 0, 1] = np.nan
    partial = FramePass((11, 40), "f4", masks=MASKS, crop=CROP, sum_frames=False).process(
        DenseFrames(np.zeros(1, np.int64), pixels)
    )
    assert partial.detected is not None
    assert partial.detected[:, 0].tolist() == [float(mask.sum()) for mask in MASKS]
    assert partial.intensity == [CROP.sum()]


@pytest.mark.parametrize("masks", [MASKS, np.full((1, 30, 700), -32768), np.full((1, 30, 700), 1 << 40), STEP])
def test_the_largest_pixels_and_weights_do_not_overflow(masks: Array) -> None:
    pixels = np.full((9, 30, 700), 65535, "u2")
    pixels[:, :, 300:] = 0
    frames = DenseFrames(np.arange(9), pixels)
    masks = np.ones((1, 30, 700), bool) if masks is MASKS else masks
    assert_same(FramePass((30, 700), "u2", masks=masks).process(frames), reference(frames, masks=masks))


def test_the_largest_weights_that_16_bits_can_sum_do_not_overflow() -> None:
    pixels = np.array([[[0, 65535]], [[65535, 0]], [[0, 0]]], "u2")
    partial = FramePass((1, 2), "u2", masks=np.array([[[-32768, 32767]]])).process(
        DenseFrames(np.arange(3), pixels)
    )
    assert partial.detected is not None
    assert partial.detected.tolist() == [[65535 * 32767, -65535 * 32768, 0]]


def test_the_largest_pixels_of_32_bits_do_not_overflow() -> None:
    frames = DenseFrames(np.zeros(20, np.int64), np.full((20, 12, 12), 2**32 - 1, "u4"))
    for bin_by in (1, 3):
        partial = FramePass((12, 12), "u4", bin_by=bin_by).process(frames)
        assert_same(partial, reference(frames, bin_by=bin_by))


def test_more_frames_than_16_bit_sums_can_hold_are_added_exactly() -> None:
    n = (1 << 16) + 9
    pixels = np.full((n, 1, 2), 65535, "u2")
    partial = FramePass((1, 2), "u2", threads=1).process(DenseFrames(np.arange(n), pixels))
    assert partial.pattern is not None
    assert partial.pattern.tolist() == [[n * 65535] * 2]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("bin_by", [1, 3])
def test_frames_are_binned_and_then_moved(dtype: str, bin_by: int) -> None:
    frames = make_frames(dtype)
    shifts = np.random.default_rng(1).integers(-5, 6, (21, 2)).astype(np.int32)
    shifts[:4] = [[11, 0], [0, -40], [2**31 - 1, 0], [0, -(2**31)]]
    for moves in (None, shifts):
        partial = FramePass((11, 40), dtype, bin_by=bin_by).process(frames, moves)
        assert_same(
            partial, reference(frames, bin_by=bin_by, shifts=moves), rtol=1e-12 if dtype == "float32" else 0
        )


@pytest.mark.parametrize("masks", [MASKS, WHOLE], ids=["bool", "integers"])
@pytest.mark.parametrize("is_moved", [False, True])
def test_events_give_the_same_as_the_frames_that_they_make(masks: Array, is_moved: bool) -> None:
    sparse = make_events()
    shifts = np.random.default_rng(1).integers(-5, 6, (21, 2)).astype(np.int32) if is_moved else None
    frame_pass = FramePass((11, 40), "u2", masks=masks, crop=CROP)
    assert_equal(frame_pass.process(sparse, shifts), frame_pass.process(to_dense(sparse), shifts))


def test_events_on_float_weights_give_the_same_as_frames() -> None:
    sparse = make_events()
    frame_pass = FramePass((11, 40), "u2", masks=WEIGHTS)
    assert_same(frame_pass.process(sparse), reference(to_dense(sparse), masks=WEIGHTS), rtol=1e-9)


@pytest.mark.parametrize("bin_by", [2, 3])
def test_binned_events_give_the_same_as_binned_frames(bin_by: int) -> None:
    sparse = make_events()
    shifts = np.random.default_rng(1).integers(-3, 4, (21, 2)).astype(np.int32)
    frame_pass = FramePass((11, 40), "u2", bin_by=bin_by)
    assert_equal(frame_pass.process(sparse, shifts), frame_pass.process(to_dense(sparse), shifts))


def test_counted_frames_give_the_same_as_their_events() -> None:
    frames = make_frames("uint16", largest=200)
    events = count_electrons(DenseFrames(np.abs(frames.positions), frames.pixels), 28, 150)
    events = SparseFrames(frames.positions, events.starts, events.events, events.frame_shape)
    shifts = np.random.default_rng(1).integers(-3, 4, (21, 2)).astype(np.int32)
    frame_pass = FramePass(
        (11, 40),
        "u2",
        bin_by=2,
        keep_events=True,
        counting=Counting(background_threshold=28, xray_threshold=150),
        masks=MASKS[:, :5, :20],
    )
    assert_equal(frame_pass.process(frames, shifts), frame_pass.process(events, shifts))


def test_events_are_kept_as_counted_in_the_order_of_positions() -> None:
    pixels = np.zeros((4, 4, 4), "u2")
    pixels[:, 2, 1] = [50, 0, 60, 70]
    pixels[2, 0, 3] = 50
    frames = DenseFrames(np.array([5, 2, 2, -1]), pixels)
    partial = FramePass((4, 4), "u2", counting=Counting(), bin_by=2, keep_events=True).process(
        frames, np.ones((4, 2), np.int32)
    )
    events = partial.events
    assert events is not None
    assert (events.positions.tolist(), events.starts.tolist(), events.events.tolist(), events.frame_shape) == (
        [2, 2, 5],
        [0, 0, 2, 3],
        [3, 9, 9],
        (4, 4),
    )


@st.composite
def splits(draw: st.DrawFn) -> tuple[str, list[Array], list[int]]:
    kind = draw(st.sampled_from(["uint16", "uint8", "float32", "counted", "sparse"]))
    order = np.array(draw(st.permutations(range(21))))
    edges = sorted(draw(st.lists(st.integers(0, 21), max_size=5)))
    threads = draw(st.lists(st.integers(1, 4), min_size=len(edges) + 1, max_size=len(edges) + 1))
    return kind, np.split(order, edges), threads


@settings(deadline=None, max_examples=60)
@given(splits())
def test_any_split_and_order_gives_the_same(split: tuple[str, list[Array], list[int]]) -> None:
    kind, parts, threads = split
    frames: Frames = (
        make_events() if kind == "sparse" else make_frames(kind.replace("counted", "uint16"), largest=200)
    )
    counting = Counting(background_threshold=28, xray_threshold=150) if kind == "counted" else None
    dtype = {"counted": "uint16"}.get(kind, kind)

    def process(part: Frames, n_threads: int) -> Partial:
        return FramePass(
            (11, 40),
            dtype,
            counting=counting,
            masks=MASKS,
            crop=CROP,
            keep_events=kind in ("counted", "sparse"),
            threads=n_threads,
        ).process(part)

    merged = merge_partials(
        [process(take(frames, part), n_threads) for part, n_threads in zip(parts, threads, strict=True)]
    )
    assert_equal(merged, process(frames, 1), rtol=1e-12 if kind == "float32" else 0)


@pytest.mark.parametrize("is_counted", [False, True])
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_no_bit_of_integers(threads: int, is_counted: bool) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 200, (1000, 64, 64)).astype("u2")
    frames = DenseFrames(rng.permutation(1000), pixels)
    masks = rng.random((2, 64, 64)) < 0.1
    counting = Counting(background_threshold=28, xray_threshold=150) if is_counted else None

    def process(n_threads: int) -> Partial:
        return FramePass(
            (64, 64), "u2", counting=counting, masks=masks, keep_events=is_counted, threads=n_threads
        ).process(frames)

    assert_equal(process(1), process(threads))


@pytest.mark.parametrize("kind", ["dense", "counted", "sparse"])
def test_arrays_that_may_not_be_written_are_read(kind: str) -> None:
    frames: Frames = make_events() if kind == "sparse" else make_frames("uint16", largest=200)
    shifts = np.ones((21, 2), np.int32)
    masks = MASKS.copy()
    counting = Counting() if kind == "counted" else None
    before = FramePass((11, 40), "u2", counting=counting, masks=masks).process(frames, shifts)
    arrays = [frames.pixels] if isinstance(frames, DenseFrames) else [frames.starts, frames.events]
    for array in [frames.positions, shifts, masks, *arrays]:
        array.setflags(write=False)
    assert_equal(before, FramePass((11, 40), "u2", counting=counting, masks=masks).process(frames, shifts))


def test_the_compiler_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, runstart.frames; sys.exit(any(name in sys.modules for name in ('numba', 'scipy', 'h5py')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_what_is_asked_for_is_there() -> None:
    frames = make_frames("uint16")
    partial = FramePass((11, 40), "u2", center_of_mass=False, sum_frames=False, masks=MASKS[:0]).process(frames)
    assert to_dict(partial).keys() == {"frame_shape", "positions", "frames"}


@pytest.mark.parametrize("kind", ["dense", "counted", "sparse"])
def test_no_frame_gives_sums_of_nothing(kind: str) -> None:
    frames: Frames = take(make_events() if kind == "sparse" else make_frames("uint16"), np.arange(0))
    partial = FramePass(
        (11, 40),
        "u2",
        masks=MASKS,
        counting=Counting() if kind == "counted" else None,
        keep_events=kind != "dense",
    ).process(frames)
    assert partial.detected is not None
    assert partial.pattern is not None
    assert (len(partial.positions), partial.detected.shape, int(partial.pattern.sum())) == (0, (3, 0), 0)


def test_an_event_outside_the_frame_is_named() -> None:
    sparse = SparseFrames(np.arange(3), np.array([0, 1, 1, 3]), np.array([0, 5, 12], np.uint32), (3, 4))
    with pytest.raises(ValueError, match=r"event 1 of frame 2 is pixel 12, outside a frame of 3 x 4"):
        FramePass((3, 4), "sparse").process(sparse)


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "int32"},
        {"frame_shape": (2, 5), "bin_by": 3},
        {"bin_by": 0},
        {"threads": 0},
        {"crop": np.ones((3, 3), bool)},
        {"crop": np.ones((3, 4), "u1")},
        {"masks": np.ones((3, 4), bool)},
        {"masks": np.ones((1, 4, 3), bool)},
        {"masks": np.ones((1, 3, 4), complex)},
        {"masks": np.full((1, 3, 4), np.nan)},
        {"masks": np.full((1, 3, 4), 2**63, np.uint64)},
    ],
)
def test_a_pass_that_does_not_fit_its_frames_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        FramePass(**{"frame_shape": (3, 4), "dtype": "u2"} | options)


@pytest.mark.parametrize(
    ("frames", "shifts"),
    [
        (DenseFrames(np.arange(2), np.zeros((2, 4, 3), "u2")), None),
        (DenseFrames(np.arange(2), np.zeros((2, 3, 4), "u1")), None),
        (DenseFrames(np.arange(2), np.zeros((4, 3, 2), "u2").T), None),
        (DenseFrames(np.arange(3), np.zeros((2, 3, 4), "u2")), None),
        (DenseFrames(np.arange(2, dtype=np.int32), np.zeros((2, 3, 4), "u2")), None),
        (DenseFrames(np.arange(2), np.zeros((2, 3, 4), "u2")), np.zeros((3, 2), np.int32)),
        (DenseFrames(np.arange(2), np.zeros((2, 3, 4), "u2")), np.zeros((2, 2), np.int64)),
        (SparseFrames(np.arange(1), np.array([0, 3]), np.zeros(2, np.uint32), (3, 4)), None),
        (SparseFrames(np.arange(2), np.array([0, 2, 1]), np.zeros(2, np.uint32), (3, 4)), None),
        (SparseFrames(np.arange(1), np.array([-1, 1]), np.zeros(2, np.uint32), (3, 4)), None),
        (SparseFrames(np.arange(1), np.array([0, 1, 2]), np.zeros(2, np.uint32), (3, 4)), None),
        (SparseFrames(np.arange(1), np.array([0, 1]), np.zeros(2, np.int64), (3, 4)), None),
    ],
)
def test_frames_that_do_not_fit_the_pass_are_refused(frames: Frames, shifts: Array | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        FramePass((3, 4), "u2").process(frames, shifts)


def test_events_of_frames_that_are_not_counted_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="not counted"):
        FramePass((11, 40), "u2", keep_events=True).process(make_frames("uint16"))
