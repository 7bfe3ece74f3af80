"""The sky of an image."""

from __future__ import annotations

import numpy as np
import pytest
from star_fields import star_field

from runstart.errors import Alert
from runstart.images import subtract_background


def test_a_sloping_sky_is_taken_off_and_its_noise_told() -> None:
    image = star_field(shape=(300, 400)).image
    slope = np.linspace(0, 200, 400, dtype=np.float32)
    found = subtract_background(image + slope)
    assert np.abs(found.background - 400 - slope)[:, 20:-20].max() < 10
    assert np.median(found.rms) == pytest.approx(np.sqrt(425), rel=0.1)
    np.testing.assert_allclose(found.subtracted, image + slope - found.background, atol=1e-3)
    assert {plane.dtype for plane in found} == {np.dtype(np.float32)}


def test_masked_and_lost_pixels_do_not_count() -> None:
    image = np.random.default_rng(1).normal(100, 3, (128, 128)).astype(">f8")
    expected = subtract_background(image).background
    mask = np.zeros(image.shape, np.uint16)
    mask[:, 60:64] = 1
    image[:, 60:62] = np.nan
    image[:, 62:64] = 1e9
    found = subtract_background(image, mask)
    np.testing.assert_allclose(found.background, expected, atol=1)
    assert np.isnan(found.subtracted).sum() == 2 * 128


@pytest.mark.parametrize("dtype", [">i2", "u2", "?", "f8"])
@pytest.mark.parametrize("shape", [(8, 8), (9, 300), (100, 100)])
def test_a_constant_image_is_all_sky(dtype: str, shape: tuple[int, int]) -> None:
    found = subtract_background(np.ones(shape, dtype))
    np.testing.assert_allclose(found.background, 1, atol=1e-6)
    np.testing.assert_allclose(found.subtracted, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((1, 1)), {}, "too small"),
        (np.zeros((20, 20, 3)), {}, "3 axes"),
        (np.full((20, 20), np.nan), {}, "no good pixel"),
        (np.zeros((20, 20)), {"mask": np.ones((20, 20))}, "no good pixel"),
        (np.zeros((20, 20)), {"box": 0}, "box of 0"),
    ],
)
def test_what_has_no_sky_is_an_alert(image: np.ndarray, options: dict[str, object], message: str) -> None:
    with pytest.raises(Alert, match=message):
        subtract_background(image, **options)  # type: ignore[arg-type]
