"""Binning of camera images and of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runstart.frames import DenseFrames, Frames, SparseFrames, bin_frames


def pixels_of(frames: Frames) -> np.ndarray[Any, Any]:
    assert isinstance(frames, DenseFrames)
    return frames.pixels


@pytest.mark.parametrize(
    ("dtype", "bin_by", "binned"),
    [
        ("uint8", 2, "uint16"),
        ("uint8", 17, "uint32"),
        ("uint16", 3, "uint32"),
        ("uint32", 2, "uint32"),
        ("float32", 3, "float32"),
        ("uint16", 1, "uint16"),
    ],
)
def test_pixels_are_added_in_a_type_that_holds_them(dtype: str, bin_by: int, binned: str) -> None:
    largest = 2**30 - 1 if dtype == "uint32" else 1000 if dtype == "float32" else np.iinfo(dtype).max
    pixels = np.full((3, 37, 20), largest, dtype)
    pixels[1] = np.random.default_rng(0).integers(0, largest, (37, 20))
    rows, columns = 37 // bin_by, 20 // bin_by
    cut = pixels[:, : rows * bin_by, : columns * bin_by].astype(np.float64)
    expected = cut.reshape(3, rows, bin_by, columns, bin_by).sum((2, 4))
    result = pixels_of(bin_frames(pixels, bin_by))
    assert result.dtype == binned
    np.testing.assert_array_equal(result, expected)


def test_a_sum_beyond_32_bits_is_refused_with_its_frame() -> None:
    pixels = np.full((3, 2, 2), 2**30, "u4")
    pixels[[0, 2], 0, 0] -= 1
    with pytest.raises(ValueError, match="frame 1 exceeds uint32"):
        bin_frames(pixels, 2)


def test_float_pixels_are_added_in_float64() -> None:
    pixels = np.array([[[2**24, 1], [1, 0]]], np.float32)
    assert pixels_of(bin_frames(pixels, 2)).tolist() == [[[2**24 + 2]]]


def test_events_stay_apart_in_their_order_and_what_is_left_over_is_cut_off() -> None:
    events = np.array([0, 6, 1, 4, 14, 8, 12], np.uint32)  # of frames of 3 x 5
    frames = SparseFrames(np.array([7, 7, -1]), np.array([0, 4, 4, 7]), events, (3, 5))
    binned = bin_frames(frames, 2)
    assert isinstance(binned, SparseFrames)
    assert (binned.positions.tolist(), binned.starts.tolist(), binned.events.tolist(), binned.frame_shape) == (
        [7, 7, -1],
        [0, 3, 3, 4],
        [0, 0, 0, 1],
        (1, 2),
    )


def test_an_event_outside_the_frame_is_named() -> None:
    frames = SparseFrames(np.arange(2), np.array([0, 1, 2]), np.array([0, 15], np.uint32), (3, 5))
    with pytest.raises(ValueError, match="event 0 of frame 1 is pixel 15"):
        bin_frames(frames, 2)


@pytest.mark.parametrize(("shape", "bin_by"), [((1, 3, 5), 4), ((1, 3, 5), 0), ((3, 5), 2)])
def test_frames_that_cannot_be_binned_are_refused(shape: tuple[int, ...], bin_by: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        bin_frames(np.zeros(shape, "u2"), bin_by)
