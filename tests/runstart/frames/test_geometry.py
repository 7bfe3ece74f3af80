"""Crops, virtual detectors and the centre of a pattern."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.frames.geometry import crop_mask, detector_masks, find_center
from runstart.frames.recipe import Crop, Detector

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
CENTERS = st.tuples(*[st.integers(-8, 40).map(lambda quarters: quarters / 4)] * 2)
LENGTHS = st.integers(0, 30).map(lambda quarters: quarters / 4)
RING = Detector(name="ring", inner=1, outer=2)


@settings(max_examples=60)
@given(SHAPES, CENTERS, LENGTHS, LENGTHS)
def test_a_rectangle_is_open_before_the_centre_and_closed_behind_it(
    shape: tuple[int, int], center: tuple[float, float], half_rows: float, half_columns: float
) -> None:
    mask = crop_mask(Crop(half_rows=half_rows, half_columns=half_columns), center, shape)

    for row, column in np.ndindex(shape):
        inside = -half_rows < row - center[0] <= half_rows and -half_columns < column - center[1] <= half_columns
        assert mask[row, column] == inside


@settings(max_examples=60)
@given(SHAPES, CENTERS, LENGTHS)
def test_a_circle_is_closed(shape: tuple[int, int], center: tuple[float, float], radius: float) -> None:
    mask = crop_mask(Crop(shape="circle", radius=radius), center, shape)

    for row, column in np.ndindex(shape):
        assert mask[row, column] == ((row - center[0]) ** 2 + (column - center[1]) ** 2 <= radius**2)


def test_pixels_on_the_edge_of_a_crop() -> None:
    rectangle = crop_mask(Crop(half_rows=1, half_columns=2), (2, 2), (5, 5))
    circle = crop_mask(Crop(shape="circle", radius=2), (2, 2), (5, 5))

    assert np.argwhere(rectangle.any(axis=1)).ravel().tolist() == [2, 3]
    assert np.argwhere(rectangle.any(axis=0)).ravel().tolist() == [1, 2, 3, 4]
    assert circle.sum(axis=1).tolist() == [1, 3, 5, 3, 1]


def test_no_crop_takes_the_whole_frame() -> None:
    assert crop_mask(None, (0, 0), (2, 3)).tolist() == [[True] * 3] * 2


@settings(max_examples=60)
@given(SHAPES, CENTERS, st.lists(st.tuples(LENGTHS, LENGTHS.map(lambda x: x + 0.25)), max_size=3))
def test_a_detector_begins_with_its_inner_radius_and_ends_before_its_outer_one(
    shape: tuple[int, int], center: tuple[float, float], rings: list[tuple[float, float]]
) -> None:
    detectors = [Detector(name="d", inner=inner, outer=inner + width) for inner, width in rings]
    masks = detector_masks(detectors, center, shape)

    assert masks.shape == (len(rings), *shape)
    for mask, (inner, width) in zip(masks, rings, strict=True):
        for row, column in np.ndindex(shape):
            square = (row - center[0]) ** 2 + (column - center[1]) ** 2
            assert mask[row, column] == (inner**2 <= square < (inner + width) ** 2)


def test_rings_that_touch_share_no_pixel_and_leave_none_out() -> None:
    radii = [0, 3, 5, 30]
    detectors = [Detector(name="d", inner=inner, outer=outer) for inner, outer in pairwise(radii)]

    assert (detector_masks(detectors, (7, 8), (16, 16)).sum(axis=0) == 1).all()


@pytest.mark.parametrize(
    ("center", "shape"), [((math.nan, 0), (2, 2)), ((0, math.inf), (2, 2)), ((0, 0), (0, 2)), ((0, 0), (2, -1))]
)
def test_a_centre_that_is_not_finite_and_a_frame_without_pixels_are_errors(
    center: tuple[float, float], shape: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match=r"not finite|no pixels"):
        crop_mask(None, center, shape)
    with pytest.raises(ValueError, match=r"not finite|no pixels"):
        detector_masks([RING], center, shape)


@settings(max_examples=60)
@given(SHAPES, st.integers(0, 99), st.sampled_from(["uint8", "uint64", "int32", "float32", "bool"]))
def test_the_centre_is_the_mean_place_of_what_was_detected(shape: tuple[int, int], seed: int, dtype: str) -> None:
    pattern = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
    pattern[0, 0] = 1
    values = pattern.astype(object)
    total = sum(int(value) for value in values.ravel())
    moments = [sum(int(values[at]) * at[axis] for at in np.ndindex(shape)) for axis in (0, 1)]

    assert find_center(pattern) == pytest.approx([moment / total for moment in moments], rel=1e-14, abs=1e-14)


def test_the_centre_of_large_sums_does_not_overflow() -> None:
    pattern = np.full((3, 2), 2**60, np.uint64)

    assert find_center(pattern) == (1.0, 0.5)


def test_small_floats_add_up_in_double_precision() -> None:
    pattern = np.full((2000, 2000), 0.1, np.float32)

    assert find_center(pattern) == pytest.approx((999.5, 999.5), rel=1e-12)


@pytest.mark.parametrize(
    "pattern",
    [
        np.zeros((3, 3)),
        np.zeros((0, 3)),
        np.full((2, 2), -1.0),
        np.array([[1.0, np.nan]]),
        np.array([[1.0, np.inf]]),
        np.ones(3),
    ],
)
def test_a_pattern_without_a_centre_is_an_error(pattern: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"empty|not finite|two axes"):
        find_center(pattern)
