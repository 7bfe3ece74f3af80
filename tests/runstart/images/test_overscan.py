"""The level of the overscan."""

from __future__ import annotations

import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from runstart.errors import Alert
from runstart.images import subtract_overscan

BIAS, DATA = "[101:120,1:400]", "[1:100,1:400]"


def _raw(level: np.ndarray, noise: float = 3.0, seed: int = 1) -> np.ndarray:
    """Return 400 rows of 100 pixels of data at 50 above a level, and 20 of overscan."""
    rng = np.random.default_rng(seed)
    light = np.zeros((400, 120))
    light[:, :100] = 50
    return np.rint(level[:, None] + light + rng.normal(0, noise, light.shape)).astype(np.uint16)


def test_a_level_that_drifts_along_the_rows_is_followed() -> None:
    level = 300 + np.linspace(0, 40, 400)
    found = subtract_overscan(_raw(level), BIAS, DATA)
    assert found.image.shape == (400, 100)
    assert found.image.dtype == np.float32
    middle = found.image[16:-16].mean(axis=1)
    assert np.abs(middle - 50).max() < 1.5
    assert found.level == pytest.approx(320, abs=0.5)
    assert found.noise == pytest.approx(3.0, rel=0.03)


def test_smoothing_adds_less_noise_than_ccdprocs_row_by_row_subtraction() -> None:
    raw = _raw(np.full(400, 300.0))
    found = subtract_overscan(raw, BIAS, DATA).image.mean(axis=1)
    frame = CCDData(raw.astype(float), unit=u.adu)
    peer = ccdproc.subtract_overscan(frame, overscan=frame[:, 100:], median=True).data[:, :100].mean(axis=1)
    assert np.abs(found.mean() - peer.mean()) < 0.3
    assert found.std() < 0.6 * peer.std()


def test_an_overscan_above_the_data_gives_a_level_per_column() -> None:
    raw = _raw(300 + np.linspace(0, 40, 400))
    aside = subtract_overscan(raw, BIAS, DATA)
    turned = subtract_overscan(raw.T, "[1:400,101:120]", "[1:400,1:100]")
    np.testing.assert_array_equal(turned.image, aside.image.T)
    assert turned[1:] == aside[1:]


def test_an_overscan_elsewhere_gives_one_level() -> None:
    found = subtract_overscan(_raw(np.full(400, 300.0)), "[101:120,1:50]", "[1:100,1:400]")
    assert found.image.mean() == pytest.approx(50, abs=0.3)


def test_slices_and_text_are_alike() -> None:
    raw = _raw(np.full(400, 300.0))
    by_slices = subtract_overscan(raw, np.s_[:, 100:], np.s_[:, :100])
    np.testing.assert_array_equal(by_slices.image, subtract_overscan(raw, BIAS, DATA).image)


def test_cosmic_rays_and_rows_without_values_in_the_overscan_do_not_matter() -> None:
    raw = _raw(np.full(400, 300.0)).astype(">f4")
    raw[50, 105:108] = 60000
    raw[60, 100:] = np.nan
    found = subtract_overscan(raw, BIAS, DATA)
    assert np.isfinite(found.image).all()
    assert np.abs(found.image.mean(axis=1) - 50).max() < 1.5
    assert found.noise == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize(
    ("raw", "bias", "data", "message"),
    [
        (np.zeros((5, 5, 5)), "[1:1,1:5]", "[2:5,1:5]", "3 axes"),
        (np.full((5, 5), np.nan), "[1:1,1:5]", "[2:5,1:5]", "no finite value"),
        (np.zeros((5, 5)), "[1:9,1:5]", "[2:5,1:5]", "not inside"),
        (np.zeros((5, 5)), np.s_[:, 7:9], "[2:5,1:5]", "is empty"),
        (np.zeros((5, 5)), "[1:1,1:5]", np.s_[::2, :], "is empty"),
    ],
)
def test_wrong_sections_are_an_alert(raw: np.ndarray, bias: str, data: str, message: str) -> None:
    with pytest.raises(Alert, match=message):
        subtract_overscan(raw, bias, data)


def test_one_pixel_of_each_is_enough() -> None:
    found = subtract_overscan(np.array([[7, 10]], ">i2"), "[1:1,1:1]", "[2:2,1:1]")
    assert found == (np.array([[3]]), 7.0, 0.0)
