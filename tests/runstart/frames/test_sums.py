"""The sum of frames."""

from __future__ import annotations

import numpy as np
import pytest

from runstart.frames import DenseFrames, SparseFrames, sum_frames


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_the_sum_of_integer_frames_is_exact(dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (2, 9, 5, 7), endpoint=True, dtype=dtype)
    total = sum_frames(pixels)
    assert total.dtype == np.uint64
    np.testing.assert_array_equal(total, pixels.sum((0, 1), dtype=np.uint64))


def test_the_sum_of_float_frames_is_float64() -> None:
    pixels = np.array([[[2**24, 0.1]], [[1, 0.2]]], np.float32)
    total = sum_frames(pixels)
    assert total.dtype == np.float64
    np.testing.assert_array_equal(total, pixels.sum(0, dtype=np.float64))


def test_each_event_counts() -> None:
    events = SparseFrames(np.zeros(3, np.int64), np.array([0, 2, 2, 3]), np.array([3, 3, 0], np.uint32), (2, 2))
    np.testing.assert_array_equal(sum_frames(events), [[1, 0], [0, 2]])


def test_a_frame_without_a_position_is_left_out() -> None:
    frames = DenseFrames(np.array([0, -1]), np.array([[[1, 2]], [[10, 20]]], "u2"))
    np.testing.assert_array_equal(sum_frames(frames), [[1, 2]])


def test_the_sum_of_no_frame_is_zero() -> None:
    np.testing.assert_array_equal(sum_frames(np.zeros((0, 2, 3), "u2")), np.zeros((2, 3)))
