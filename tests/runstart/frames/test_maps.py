"""Maps of a scan made of partial results."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.frames.maps import center_of_mass_map, frame_count_map, virtual_image_maps
from runstart.frames.partial import Partial

MAPS = [center_of_mass_map, virtual_image_maps, frame_count_map]


def partial(dtype: str = "int64") -> Partial:
    """Position 1 has two frames, 3 has one without intensity, 4 one."""
    return Partial(
        (8, 8),
        np.array([1, 3, 4]),
        np.array([2, 1, 1], np.uint32),
        np.array([8, 0, 3]).astype(dtype),
        np.array([24, 0, 1]).astype(dtype),
        np.array([12, 0, 21]).astype(dtype),
        np.array([[6, 0, 3], [1, 0, 0]]).astype(dtype),
    )


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_the_first_plane_is_the_mean_column_and_the_second_the_mean_row(dtype: str) -> None:
    found = center_of_mass_map(partial(dtype), (2, 3))

    nan = np.nan
    expected = np.array([[[nan, 1.5, nan], [nan, 7, nan]], [[nan, 3, nan], [nan, 1 / 3, nan]]], np.float32)
    np.testing.assert_array_equal(found, expected, strict=True)


@settings(max_examples=60)
@given(st.integers(1, 2**53), st.integers(0, 2**53))
def test_the_centre_of_mass_is_the_float64_quotient_rounded_to_float32(intensity: int, moment: int) -> None:
    one = np.array([intensity])
    found = center_of_mass_map(
        Partial((1, 1), np.array([0]), np.array([1], np.uint32), one, one, one * 0 + moment), (1, 1)
    )

    assert found[0, 0, 0] == np.float32(float(Fraction(moment, intensity)))


def test_no_intensity_above_zero_has_no_centre_of_mass() -> None:
    one = np.array([-2.0])
    found = center_of_mass_map(Partial((1, 1), np.array([0]), np.array([1], np.uint32), one, one, one), (1, 1))

    assert np.isnan(found).all()


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_a_virtual_image_is_the_mean_of_the_frames_and_nan_where_there_is_none(dtype: str) -> None:
    nan = np.nan
    expected = np.array([[[nan, 3, nan], [0, 3, nan]], [[nan, 0.5, nan], [0, 0, nan]]])

    np.testing.assert_array_equal(virtual_image_maps(partial(dtype), (2, 3)), expected, strict=True)


def test_frames_are_counted_and_0_where_there_is_none() -> None:
    expected = np.array([[0, 2, 0], [1, 1, 0]], np.uint32)

    np.testing.assert_array_equal(frame_count_map(partial(), (2, 3)), expected, strict=True)


def test_a_scan_of_no_frames_is_nan_everywhere() -> None:
    none = np.zeros(0, np.int64)
    empty = Partial((8, 8), none, none.astype(np.uint32), none, none, none, np.zeros((2, 0), np.int64))

    assert np.isnan(center_of_mass_map(empty, (2, 3))).all()
    assert np.isnan(virtual_image_maps(empty, (2, 3))).all()
    assert not frame_count_map(empty, (2, 3)).any()


@pytest.mark.parametrize("make", MAPS)
def test_a_position_outside_the_scan_is_an_error(make: object) -> None:
    with pytest.raises(ValueError, match="positions 1 to 4 are not of a scan of 4"):
        make(partial(), (2, 2))  # type: ignore[operator]


def test_what_was_not_computed_is_an_error() -> None:
    bare = Partial((8, 8), np.array([1]), np.array([1], np.uint32))

    with pytest.raises(ValueError, match="no moments"):
        center_of_mass_map(bare, (2, 3))
    with pytest.raises(ValueError, match="no virtual detector"):
        virtual_image_maps(bare, (2, 3))
