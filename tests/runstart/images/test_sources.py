"""Catalogues of sources against fields with known truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS
from scipy.spatial import KDTree
from star_fields import Field, add_stars, star_field

from runstart.errors import Alert
from runstart.images import (
    SOURCE_DTYPE,
    SourceFlag,
    extract_sources,
    measure_seeing,
    subtract_background,
)


def _matched(table: np.ndarray, field: Field) -> np.ndarray:
    """Return the row of each star of the truth."""
    distance, row = KDTree(np.column_stack([table["x"], table["y"]])).query(np.column_stack([field.x, field.y]))
    assert distance.max() < 0.5
    return table[row]


def _uncertainty(field: Field) -> np.ndarray:
    return np.sqrt(np.maximum(field.image, 0) + 25)


@pytest.mark.parametrize("told", [True, False])
def test_every_star_is_found_with_place_and_flux_within_the_noise(told: bool) -> None:
    pulls: list[Any] = []
    for seed in range(4):
        field = star_field(seed=seed)
        noise = _uncertainty(field) if told else None
        table = extract_sources(subtract_background(field.image).subtracted, uncertainty=noise)
        assert len(table) == 25
        stars = _matched(table, field)
        signal = stars["flux"] / stars["flux_err"]
        assert (np.hypot(stars["x"] - field.x, stars["y"] - field.y) < 0.05 + 3.0 / signal).all()
        pulls.extend((stars["flux"] - field.flux * 0.998) / np.hypot(stars["flux_err"], 0.003 * field.flux))
    assert abs(np.mean(pulls)) < 0.5
    assert np.std(pulls) < 1.5


def test_the_brightest_come_first_and_only_so_many() -> None:
    field = star_field()
    data = subtract_background(field.image).subtracted
    table = extract_sources(data)
    assert (np.diff(table["flux"]) <= 0).all()
    for name in ("x", "y", "flux"):
        np.testing.assert_array_equal(extract_sources(data, most=7)[name], table[name][:7])


@pytest.mark.parametrize("fwhm", [2.5, 3.5, 6.0])
def test_width_roundness_and_seeing_are_those_of_the_stars(fwhm: float) -> None:
    field = star_field(fwhm=fwhm, shape=(400, 400))
    table = extract_sources(subtract_background(field.image).subtracted)
    pixelated = math.hypot(fwhm, 2.3548 / math.sqrt(12))
    assert measure_seeing(table, 0.4) == pytest.approx(0.4 * pixelated, rel=0.06)
    assert np.median(table["ellipticity"]) < 0.1
    assert not table["flag"].any()


def test_no_good_star_no_seeing() -> None:
    assert math.isnan(measure_seeing(np.zeros(0, SOURCE_DTYPE), 1.0))
    assert math.isnan(measure_seeing(np.zeros(5, SOURCE_DTYPE), 1.0))


def test_positions_on_the_sky_are_those_of_the_wcs() -> None:
    field = star_field()
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [359.999, -30.0]
    wcs.wcs.crpix = [120.0, 100.0]
    wcs.wcs.cd = [[-1e-4, 2e-5], [2e-5, 1e-4]]
    wcs.wcs.radesys = "ICRS"
    table = extract_sources(subtract_background(field.image).subtracted, wcs=wcs)
    ra, dec = wcs.all_pix2world(table["x"], table["y"], 1)
    np.testing.assert_allclose(table["ra"], ra, rtol=0, atol=1e-10)
    np.testing.assert_allclose(table["dec"], dec, rtol=0, atol=1e-10)
    assert np.isnan(extract_sources(subtract_background(field.image).subtracted)["ra"]).all()
    with pytest.raises(Alert, match="no position on the sky"):
        extract_sources(subtract_background(field.image).subtracted, wcs=WCS(naxis=2))


def test_what_is_wrong_with_a_source_is_flagged() -> None:
    image = np.zeros((100, 100))
    x, y = np.array([20.0, 50.0, 56.0, 80.0, 99.5]), np.array([20.0, 50.0, 50.0, 80.0, 30.0])
    add_stars(image, x, y, np.full(5, 2e4), 3.0)
    image += np.random.default_rng(1).normal(0, 5, image.shape)
    mask = np.zeros(image.shape, np.uint16)
    mask[80, 82] = 1
    image[82, 79] = np.nan
    table = extract_sources(image, mask=mask)
    assert len(table) == 5
    flags = {(round(row["x"]), round(row["y"])): int(row["flag"]) for row in table}
    assert flags[20, 20] == 0
    assert flags[50, 50] & flags[56, 50] & SourceFlag.BLENDED
    assert flags[80, 80] == SourceFlag.MASKED
    assert sum(flag & SourceFlag.AT_EDGE for flag in flags.values()) == SourceFlag.AT_EDGE


def test_adu_and_electrons_give_the_same_electrons() -> None:
    field = star_field()
    data = subtract_background(field.image).subtracted
    noise = _uncertainty(field)
    in_electrons = extract_sources(data, uncertainty=noise)
    in_adu = extract_sources((data / 2).astype(">f8"), uncertainty=noise / 2, gain=2.0)
    for name in ("x", "y", "flux", "flux_err", "peak", "fwhm"):
        np.testing.assert_allclose(in_adu[name], in_electrons[name], rtol=1e-4)


@pytest.mark.parametrize("dtype", [">i2", "u2", "?", ">f4"])
def test_a_constant_image_has_no_sources(dtype: str) -> None:
    table = extract_sources(np.ones((20, 20), dtype))
    assert table.dtype == SOURCE_DTYPE
    assert table.shape == (0,)


def test_noise_has_no_sources_at_all() -> None:
    assert not len(extract_sources(np.random.default_rng(1).normal(0, 3, (256, 256)), threshold=6))


def test_an_object_of_more_pixels_than_seps_first_limit_is_found_all_the_same() -> None:
    y, x = np.indices((1000, 1000))
    cone = np.maximum(380 - np.hypot(y - 500, x - 480), 0)
    table = extract_sources(cone, uncertainty=np.ones(cone.shape))
    assert len(table) == 1
    assert (table["x"][0], table["y"][0]) == pytest.approx((481, 501), abs=0.01)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((1, 1)), {}, "too small"),
        (np.zeros((20, 20, 3)), {}, "3 axes"),
        (np.full((20, 20), np.nan), {}, "no good pixel"),
        (np.zeros((20, 20)), {"mask": np.ones((20, 20))}, "no good pixel"),
        (np.zeros((20, 20)), {"uncertainty": np.zeros((20, 20))}, "no good pixel"),
        (np.zeros((20, 20)), {"uncertainty": np.zeros((20, 21))}, "uncertainty is of shape"),
        (np.full((20, 20), 900.0), {"uncertainty": np.ones((20, 20))}, "100% of the image .* too crowded"),
        (np.zeros((20, 20)), {"threshold": 0}, "threshold is 0"),
        (np.zeros((20, 20)), {"most": 0}, "number of sources is 0"),
        (np.zeros((20, 20)), {"gain": math.nan}, "gain is nan"),
    ],
)
def test_what_cannot_be_searched_is_an_alert(image: np.ndarray, options: dict[str, object], message: str) -> None:
    with pytest.raises(Alert, match=message):
        extract_sources(image, **options)  # type: ignore[arg-type]


def test_a_blend_of_more_sources_than_sep_can_hold_is_an_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.images.sources._MOST_CHILDREN", 5)
    image = np.zeros((128, 128))
    y, x = np.divmod(np.arange(64), 8)
    add_stars(image, x * 8 + 34, y * 8 + 34, np.geomspace(1e5, 1e6, 64), 5.0)
    with pytest.raises(Alert, match="too crowded to separate"):
        extract_sources(image, uncertainty=np.full(image.shape, 8.0), threshold=3)
