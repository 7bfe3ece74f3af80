"""Cutting to a common size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.images import crop_center, crop_to_common

SHAPES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5)


def _image(shape: tuple[int, int]) -> np.ndarray:
    return np.arange(shape[0] * shape[1], dtype=np.float64).reshape(shape)


@given(SHAPES)
def test_the_first_rows_and_columns_that_all_have_are_kept(shapes: list[tuple[int, int]]) -> None:
    images = [_image(shape) for shape in shapes]
    rows, columns = (min(sizes) for sizes in zip(*shapes, strict=True))
    for image, cropped in zip(images, crop_to_common(images), strict=True):
        np.testing.assert_array_equal(cropped, image[:rows, :columns])
        assert np.shares_memory(cropped, image)


@given(SHAPES)
def test_the_middle_is_kept_to_half_a_pixel(shapes: list[tuple[int, int]]) -> None:
    images = [_image(shape) for shape in shapes]
    for image, cropped in zip(images, crop_center(images), strict=True):
        first = int(cropped[0, 0])
        for size, left, kept in zip(image.shape, divmod(first, image.shape[1]), cropped.shape, strict=True):
            surplus = size - kept
            assert left in (surplus // 2, surplus - surplus // 2)


def test_rows_and_columns_are_compared_separately_where_the_reference_compares_pairs() -> None:
    assert [image.shape for image in crop_to_common([np.zeros((5, 9)), np.zeros((7, 3))])] == [(5, 3), (5, 3)]


@pytest.mark.parametrize("crop", [crop_to_common, crop_center])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "there is no image"),
        ([np.zeros((2, 2)), np.zeros((2, 2, 2))], "image 2 has 3 axes"),
        ([np.zeros(3)], "image 1 has 1 axes"),
        ([np.zeros((0, 4))], "image 1 has no pixels"),
        ([np.zeros((2, 2), complex)], "image 1 is of type complex128"),
        ([np.array([["a"]])], "image 1 is of type <U1"),
    ],
)
def test_what_is_no_image_is_an_alert(crop: object, images: list[np.ndarray], message: str) -> None:
    with pytest.raises(Alert, match=message):
        crop(images)  # type: ignore[operator]
