"""The centre of mass of a scan against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runstart.frames import DenseFrames, SparseFrames, center_of_mass, count_electrons

Array = np.ndarray[Any, Any]


def make_scan(dtype: str, shape: tuple[int, ...] = (3, 4, 9, 70)) -> Array:
    rng = np.random.default_rng(2)
    return rng.integers(0, 200, shape).astype(dtype) if dtype != "float32" else rng.random(shape, np.float32)


def reference(pixels: Array) -> Array:
    """Centres of mass of frames `(..., rows, columns)` in float64."""
    wide = pixels.astype(np.float64)
    rows, columns = np.indices(wide.shape[-2:])
    with np.errstate(invalid="ignore"):
        centers = [(wide * index).sum((-2, -1)) / wide.sum((-2, -1)) for index in (columns, rows)]
    return np.stack(centers)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_it_is_the_mean_column_and_row_rounded_to_float32(dtype: str) -> None:
    pixels = make_scan(dtype)
    centers = center_of_mass(pixels, (3, 4))
    assert centers.dtype == np.float32
    np.testing.assert_array_equal(centers, reference(pixels).astype(np.float32))


def test_it_is_that_of_float_frames_to_the_last_bits_of_float32() -> None:
    pixels = make_scan("float32")
    np.testing.assert_allclose(center_of_mass(pixels, (3, 4)), reference(pixels), rtol=1.2e-7)


def test_it_does_not_drift_where_float32_sums_would() -> None:
    pixels = np.full((1, 600, 600), 65535, "u2")
    pixels[0, 0, 0] = 0
    np.testing.assert_array_equal(center_of_mass(pixels, (1, 1)), reference(pixels).astype(np.float32)[:, None])


def test_only_the_crop_counts() -> None:
    pixels = make_scan("uint16")
    crop = np.zeros((9, 70), bool)
    crop[2:5, 40:69] = True
    expected = reference(np.where(crop, pixels, 0)).astype(np.float32)
    np.testing.assert_array_equal(center_of_mass(pixels, (3, 4), crop=crop), expected)


def test_frames_of_one_position_are_taken_together_and_others_are_not_a_number() -> None:
    pixels = np.zeros((4, 2, 5), "u2")
    pixels[[0, 1, 2, 3], [0, 1, 0, 1], [1, 4, 4, 3]] = [3, 1, 9, 5]
    frames = DenseFrames(np.array([2, 2, -1, 0]), pixels)
    expected = [[[3, np.nan], [1.75, np.nan]], [[1, np.nan], [0.25, np.nan]]]
    np.testing.assert_array_equal(center_of_mass(frames, (2, 2)), np.array(expected, np.float32))


def test_a_frame_without_intensity_is_not_a_number() -> None:
    pixels = np.zeros((2, 2, 2), "u2")
    pixels[1, 1, 1] = 1
    np.testing.assert_array_equal(center_of_mass(pixels, (1, 3)), [[[np.nan, 1, np.nan]]] * 2)


def test_events_give_the_same_as_the_frames_of_ones_that_they_make() -> None:
    events = count_electrons(make_scan("uint16"), 20, 150)
    pixels = np.zeros((12, 9 * 70), "u1")
    for k in range(12):
        pixels[k, events.frame(k)] = 1
    np.testing.assert_array_equal(center_of_mass(events, (3, 4)), center_of_mass(pixels.reshape(12, 9, 70), (3, 4)))


def test_a_pixel_that_was_hit_twice_counts_twice() -> None:
    events = SparseFrames(np.zeros(1, np.int64), np.array([0, 3]), np.array([0, 3, 3], np.uint32), (1, 4))
    assert center_of_mass(events, (1, 1)).ravel().tolist() == [2, 0]


@pytest.mark.parametrize(
    ("frames", "scan_shape"),
    [
        (np.zeros((3, 4, 2, 2), "u2"), (4, 3)),
        (np.zeros((13, 2, 2), "u2"), (4, 3)),
        (np.zeros((2, 2, 2), "u2"), (0, 3)),
        (np.zeros((2, 2), "u2"), (1, 1)),
        (np.zeros((1, 2, 2), "i2"), (1, 1)),
        (DenseFrames(np.array([3]), np.zeros((1, 2, 2), "u2")), (1, 3)),
    ],
)
def test_frames_that_do_not_fit_the_scan_are_refused(frames: Any, scan_shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"."):
        center_of_mass(frames, scan_shape)
