"""Electron counting against a plain reference, edges, ties, x-rays and thresholds beyond a type included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.frames import DenseFrames, SparseFrames, count_electrons

DTYPES = ("uint8", "uint16", "uint32", "float32")


def reference(frame: np.ndarray[Any, Any], background: float, xray: float) -> list[int]:
    """The definition, in float64, which holds all values of all types."""
    values = frame.astype(np.float64)
    is_event = (values > background) & (values < xray)
    values[~is_event] = 0
    padded = np.pad(values, 1, constant_values=-np.inf)
    rows, columns = frame.shape
    for y in range(3):
        for x in range(3):
            if (y, x) != (1, 1):
                is_event &= values > padded[y : y + rows, x : x + columns]
    return np.flatnonzero(is_event).tolist()


def count(pixels: Any, background: float = 10, xray: float = 100, **options: Any) -> list[list[int]]:
    events = count_electrons(np.asarray(pixels), background, xray, **options)
    return [events.frame(k).tolist() for k in range(len(events))]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], float, float]:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 9), st.sampled_from([1, 2, 3, 7, 8, 9, 20])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = rng.integers(0, draw(st.sampled_from([3, 12, 250])), shape).astype(dtype)
    if dtype.kind == "f":
        pixels -= np.float32(draw(st.sampled_from([0, 0.5, 4])))
        for value in (np.nan, np.inf, -np.inf):
            pixels[rng.random(shape) < 0.05] = value
    else:
        pixels[rng.random(shape) < 0.05] = np.iinfo(dtype).max
    background = draw(st.sampled_from([-7.5, -1, 0, 0.5, 4, 5.25, 100, 300, 1e12]))
    xray = background + draw(st.sampled_from([0.25, 1, 3, 8.5, 150, 2000, 1e20, 1e300]))
    return pixels, background, max(xray, float(np.nextafter(background, np.inf)))


@settings(deadline=None, max_examples=150)
@given(scenes())
def test_events_are_those_of_the_definition(scene: tuple[np.ndarray[Any, Any], float, float]) -> None:
    pixels, background, xray = scene
    assert count(pixels, background, xray) == [reference(frame, background, xray) for frame in pixels]


@pytest.mark.parametrize("dtype", DTYPES)
def test_events_of_larger_frames_are_those_of_the_definition(dtype: str) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.poisson(8, (6, 61, 203)).astype(dtype)
    pixels[rng.random(pixels.shape) < 0.1] += np.array(60, dtype)
    pixels[rng.random(pixels.shape) < 0.01] += np.array(120, dtype)
    assert count(pixels, 28, 130) == [reference(frame, 28, 130) for frame in pixels]


def test_the_row_above_does_not_go_on_into_the_next() -> None:
    assert count(np.array([[[0, 0, 50], [40, 0, 0], [0, 0, 60]]], "u2")) == [[2, 3, 8]]


def test_an_x_ray_is_no_event_and_hides_none() -> None:
    assert count(np.array([[[0, 0, 0], [50, 100, 40], [0, 0, 0]]], "u2")) == [[3, 5]]


def test_of_equal_neighbors_none_is_an_event() -> None:
    assert count(np.array([[[50, 50, 0, 0, 20]]], "u2")) == [[4]]


def test_thresholds_are_excluded() -> None:
    assert count(np.array([[[10, 0, 11, 0, 99, 0, 100]]], "u1")) == [[2, 4]]


def test_thresholds_between_values_and_beyond_a_type_are_taken_as_they_are() -> None:
    pixels = np.array([[[10, 0, 11, 0, 255]]], "u1")
    assert count(pixels, 10.5, 2000) == [[2, 4]]
    assert count(pixels, 10, 10.5) == [[]]
    assert count(pixels, 256, 2000) == [[]]
    assert count(pixels, -5, 11) == [[0]]


def test_a_float_threshold_is_not_rounded_to_float32() -> None:
    value = np.float32(0.1)  # a little more than 0.1
    assert count(np.array([[[value]]]), 0.1, 1) == [[0]]
    assert count(np.array([[[value]]]), float(value), 1) == [[]]


def test_a_pixel_that_is_not_a_number_is_background() -> None:
    assert count(np.array([[[np.nan, 50, np.nan]]], np.float32)) == [[1]]


def test_the_most_events_that_a_frame_can_have_are_found() -> None:
    pixels = np.zeros((40, 9, 9), "u2")
    pixels[:, ::2, ::2] = 50
    assert count(pixels) == [np.flatnonzero(pixels[0]).tolist()] * 40


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_events(threads: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (300, 128, 96)).astype("u2")
    one, other = count_electrons(pixels, 28, 150, threads=1), count_electrons(pixels, 28, 150, threads=threads)
    np.testing.assert_array_equal(one.events, other.events)
    np.testing.assert_array_equal(one.starts, other.starts)


def test_frames_keep_their_positions_and_those_without_are_left_out() -> None:
    pixels = np.zeros((4, 1, 3), "u2")
    pixels[:, 0, 1] = [50, 0, 60, 70]
    events = count_electrons(DenseFrames(np.array([9, 3, -1, 3]), pixels), 10, 100)
    assert events.positions.tolist() == [9, 3, 3]
    assert events.starts.tolist() == [0, 1, 1, 2]
    assert events.frame_shape == (1, 3)


def test_a_scan_is_counted_row_by_row() -> None:
    pixels = np.zeros((2, 3, 4, 5), "u2")
    pixels[1, 2, 3, 4] = 50
    events = count_electrons(pixels, 10, 100)
    assert (len(events), events.frame(5).tolist()) == (6, [19])


def test_pixels_in_another_byte_order_or_layout_are_counted_too() -> None:
    pixels = np.zeros((2, 3, 4), ">u2")
    pixels[:, 1, 2] = 50
    assert count(pixels) == [[6], [6]]
    assert count(np.zeros((4, 3, 2), "u2").T + pixels[..., ::-1].astype("u2")) == [[5], [5]]


def test_no_frame_has_no_events() -> None:
    assert len(count_electrons(np.zeros((0, 3, 3), "u2"), 10, 100).events) == 0


@pytest.mark.parametrize(
    ("pixels", "background", "xray"),
    [
        (np.zeros((2, 3, 3), "i4"), 1, 2),
        (np.zeros((2, 3, 3), "f8"), 1, 2),
        (np.zeros((3, 3), "u2"), 1, 2),
        (np.zeros((3, 0, 3), "u2"), 1, 2),
        (np.zeros((2, 3, 3), "u2"), 2, 2),
        (np.zeros((2, 3, 3), "u2"), np.nan, 2),
        (DenseFrames(np.arange(3), np.zeros((2, 3, 3), "u2")), 1, 2),
        (DenseFrames(np.array([-2]), np.zeros((1, 3, 3), "u2")), 1, 2),
        (SparseFrames(np.arange(1), np.zeros(2, np.int64), np.zeros(0, np.uint32), (2, 2)), 1, 2),
    ],
)
def test_frames_and_thresholds_that_do_not_fit_are_refused(pixels: Any, background: float, xray: float) -> None:
    with pytest.raises(ValueError, match=r"."):
        count_electrons(pixels, background, xray)
