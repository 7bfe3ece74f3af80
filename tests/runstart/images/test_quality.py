"""Statistics of one frame."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.stats import sigma_clipped_stats
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from star_fields import star_field

from runstart.errors import Alert
from runstart.images import measure_frame, robust_noise


def test_the_noise_is_that_of_the_sky_whatever_stars_are_on_it() -> None:
    image = star_field(shape=(400, 400)).image
    found = measure_frame(image)
    assert found.noise == pytest.approx(np.sqrt(400 + 25), rel=0.02)
    assert found.median == pytest.approx(400, abs=0.5)
    assert found.noise == pytest.approx(sigma_clipped_stats(image, sigma=4, maxiters=20)[2], rel=1e-6)


@pytest.mark.parametrize("sigma", [0.5, 0.8, 2.6])
def test_the_noise_of_whole_numbers_is_not_a_multiple_of_a_step(sigma: float) -> None:
    values = np.rint(np.random.default_rng(1).normal(200, sigma, (300, 300))).astype(np.uint16)
    assert robust_noise(values) == pytest.approx(np.hypot(sigma, np.sqrt(1 / 12)), rel=0.03)


def test_fractions_count_all_pixels() -> None:
    image = np.array([[1.0, np.nan, 60000.0, 70000.0], [2.0, 3.0, -np.inf, 0.0]])
    found = measure_frame(image, 60000)
    assert found[2:] == (0.0, 70000.0, 0.25, 0.25)
    assert measure_frame(image).saturated_fraction == 0


def test_an_image_of_nan_has_no_numbers() -> None:
    found = measure_frame(np.full((2, 2), np.nan), 5)
    assert np.isnan(found[:4]).all()
    assert found[4:] == (0.0, 1.0)
    assert measure_frame(np.full((1, 1), 5), 5)[:5] == (5.0, 0.0, 5.0, 5.0, 1.0)


@given(hnp.arrays(st.sampled_from([">i2", "<u2", ">f4", "f8"]), hnp.array_shapes(min_dims=2, max_dims=2)))
@example(np.full((1, 2), 9e307))
@example(np.array([[1.7e308, 1.7e308, -1.7e308, -1.7e308]]))
def test_any_image_is_measured(image: np.ndarray) -> None:
    found = measure_frame(image, 100)
    finite = image[np.isfinite(image)]
    if finite.size:
        assert (found.minimum, found.maximum) == (finite.min(), finite.max())
        assert found.noise >= 0


def test_a_cube_is_an_alert() -> None:
    with pytest.raises(Alert, match="3 axes"):
        measure_frame(np.zeros((2, 2, 2)))
