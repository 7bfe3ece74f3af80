"""Virtual detectors of a scan, of any kind of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runstart.frames import DenseFrames, Detector, SparseFrames, detector_masks, virtual_images

Array = np.ndarray[Any, Any]
PIXELS = np.random.default_rng(3).integers(0, 60000, (2, 3, 8, 50)).astype("u2")
RINGS = detector_masks(
    [Detector(name="bright", outer=3), Detector(name="dark", inner=3, outer=40), Detector(name="none", outer=0.1)],
    (3.7, 20),
    (8, 50),
)


def expected(masks: Array) -> Array:
    return np.einsum("abyx,kyx->kab", PIXELS.astype(np.int64), masks.astype(np.int64))


def test_an_image_is_what_a_detector_sees_of_each_frame() -> None:
    images = virtual_images(PIXELS, (2, 3), RINGS)
    assert images.dtype == np.float64
    np.testing.assert_array_equal(images, expected(RINGS))


def test_integers_weigh_exactly() -> None:
    masks = np.random.default_rng(4).integers(-70000, 70000, (2, 8, 50))
    np.testing.assert_array_equal(virtual_images(PIXELS, (2, 3), masks), expected(masks))


def test_float_weights_are_summed_in_float64() -> None:
    masks = np.random.default_rng(4).random((2, 8, 50), np.float32)
    images = virtual_images(PIXELS.reshape(-1, 8, 50), (2, 3), masks)
    np.testing.assert_allclose(images, np.einsum("abyx,kyx->kab", PIXELS, masks.astype(np.float64)), rtol=1e-12)


def test_an_image_is_the_mean_of_the_frames_of_a_position_and_not_a_number_where_there_is_none() -> None:
    frames = DenseFrames(np.array([4, 1, 4, -1]), np.array([[[1]], [[5]], [[8]], [[100]]], "u2"))
    image = virtual_images(frames, (2, 3), np.ones((1, 1, 1), bool))
    np.testing.assert_array_equal(image, [[[np.nan, 5, np.nan], [np.nan, 4.5, np.nan]]])


def test_events_give_the_same_as_the_frames_that_they_make() -> None:
    rng = np.random.default_rng(5)
    hits = rng.integers(0, 400, (6, 90)).astype(np.uint32)
    pixels = np.array([np.bincount(frame, minlength=400) for frame in hits]).astype("u1").reshape(6, 8, 50)
    events = SparseFrames(np.arange(6), np.arange(7) * 90, hits.ravel(), (8, 50))
    np.testing.assert_array_equal(virtual_images(events, (2, 3), RINGS), virtual_images(pixels, (2, 3), RINGS))


@pytest.mark.parametrize(
    ("scan_shape", "masks"),
    [
        ((3, 2), RINGS),
        ((2, 3), RINGS[0]),
        ((2, 3), RINGS[:, :7]),
        ((2, 3), RINGS[:0]),
        ((2, 3), RINGS.astype("c8")),
    ],
)
def test_what_does_not_fit_is_refused(scan_shape: tuple[int, int], masks: Array) -> None:
    with pytest.raises(ValueError, match=r"."):
        virtual_images(PIXELS, scan_shape, masks)
