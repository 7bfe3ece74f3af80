"""Median, Stacking and Mean Stack, compared with numpy and astropy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.stats import sigma_clip
from astropy.wcs import WCS
from data_operation_kit import Bench, sky_header
from star_fields import add_stars

from runstart.errors import Alert
from runstart.images import MaskBit

SHAPE = (60, 70)


def _images(n: int, shape: tuple[int, int] = SHAPE, dtype: str = "f4") -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.normal(1000, 30, shape).astype(dtype) for _ in range(n)]


def _put(bench: Bench, images: list[np.ndarray], **planes: list[np.ndarray]) -> list[str]:
    return [
        bench.put(f"im{k:02d}.fits", image, {"EXPTIME": 10.0 + k}, **{p: v[k] for p, v in planes.items()})
        for k, image in enumerate(images)
    ]


@pytest.mark.parametrize("dtype", ["f4", "u2"])
def test_the_median_is_that_of_numpy(bench: Bench, dtype: str) -> None:
    images = _images(4, dtype=dtype)
    made = bench.run_one("Median", input_files=_put(bench, images))
    np.testing.assert_array_equal(made.data, np.median(images, axis=0))
    assert made.header["EXPTIME"] == 10.0  # of the first


def test_the_median_ignores_nan_and_crops_from_the_first_pixel(bench: Bench) -> None:
    images = [_images(1, (60, 50))[0], _images(1, (40, 70))[0], _images(1, (50, 60))[0]]
    images[0][3, 4] = np.nan
    made = bench.run_one("Median", input_files=_put(bench, images))
    np.testing.assert_array_equal(made.data, np.nanmedian([image[:40, :50] for image in images], axis=0))


def test_the_simple_stack_is_numpys_nansum(bench: Bench) -> None:
    images = _images(3)
    images[1][5, 6] = np.nan
    made = bench.run_one("Stacking", input_files=_put(bench, images))
    np.testing.assert_array_equal(made.data, np.nansum(np.array(images, np.float64), axis=0))


def test_the_order_of_the_files_does_not_matter(bench: Bench) -> None:
    references = _put(bench, _images(3))
    first = bench.compute("Stacking", input_files=references)
    second = bench.compute("Stacking", input_files=references[::-1], stacking_mode="simple")
    assert first.computed
    assert not second.computed
    assert second.entry.key == first.entry.key


def test_the_reprojected_stack_keeps_flux_and_place_of_a_star(bench: Bench) -> None:
    references = []
    for k, (dx, dy) in enumerate([(0.0, 0.0), (5.0, -3.0), (-2.5, 4.5)]):
        image = np.zeros(SHAPE)
        add_stars(image, [35.5 + dx], [30.5 + dy], [1e4], 4.0)
        header = sky_header(SHAPE, dx=dx, dy=dy, angle=10.0 * k)
        references.append(bench.put(f"im{k}.fits", image.astype("f4"), header))
    made = bench.run_one("Stacking", input_files=references, stacking_mode="reproject")
    assert made.data.sum() == pytest.approx(3e4, rel=0.01)
    y, x = np.indices(made.data.shape)
    center = [(made.data * axis).sum() / made.data.sum() for axis in (x, y)]
    place = WCS(made.header).pixel_to_world(*center)
    assert abs(place.ra.deg - 150.0) * 3600 < 0.1
    assert abs(place.dec.deg - 2.0) * 3600 < 0.1


@pytest.mark.parametrize("name", ["Stacking", "Mean Stack"])
def test_a_missing_wcs_names_the_file(bench: Bench, name: str) -> None:
    references = [bench.put("a.fits", _images(1)[0], sky_header(SHAPE)), bench.put("b.fits", _images(1)[0])]
    how = {"stacking_mode": "reproject"} if name == "Stacking" else {"registration": "wcs"}
    with pytest.raises(Alert, match=r"b\.fits has no WCS of the sky"):
        bench.compute(name, input_files=references, **how)


def test_the_clipped_mean_is_that_of_astropys_clipping(bench: Bench) -> None:
    images = _images(12)
    images[3][10:14, 10:14] += 5000
    made = bench.run_one("Mean Stack", input_files=_put(bench, images), sigma=2.5, max_iterations=4)
    clipped = sigma_clip(np.array(images, np.float64), sigma=2.5, maxiters=4, axis=0)
    expected = clipped.mean(axis=0)
    np.testing.assert_allclose(made.data, expected, rtol=1e-6)
    n = clipped.count(axis=0)
    np.testing.assert_allclose(made.planes["ERR"], clipped.std(axis=0, ddof=1) / np.sqrt(n), rtol=1e-5)
    assert not made.planes["BPM"].any()
    assert made.header["NCOMBINE"] == made.figures["images"] == 12
    assert made.figures["rejected_fraction"] == pytest.approx(1 - n.sum() / (12 * n.size), abs=1e-6)


def test_bands_give_what_the_whole_stack_gives(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    images, errors = _images(5), [np.full(SHAPE, 3.0 + k, "f4") for k in range(5)]
    small = Bench.make(tmp_path_factory.mktemp("small"), memory_limit=60_000)
    one, other = (
        each.run_one("Mean Stack", input_files=_put(each, images, uncertainty=errors), method="weighted")
        for each in (bench, small)
    )
    np.testing.assert_array_equal(one.data, other.data)
    np.testing.assert_array_equal(one.planes["ERR"], other.planes["ERR"])


def test_too_little_memory_says_how_much_is_needed(tmp_path: Path) -> None:
    bench = Bench.make(tmp_path, memory_limit=1000)
    with pytest.raises(Alert, match=r"too small for one row.*at least [0-9,]+ bytes"):
        bench.compute("Mean Stack", input_files=_put(bench, _images(3)))


def test_a_grid_of_the_sky_that_exceeds_the_memory_limit_is_refused(tmp_path: Path) -> None:
    bench = Bench.make(tmp_path, memory_limit=100_000)
    references = [bench.put(f"{k}.fits", image, sky_header(SHAPE)) for k, image in enumerate(_images(2))]
    with pytest.raises(Alert, match=r"common grid of 60 x 70 pixels, about 168,000 bytes; memory_limit is 100,000"):
        bench.compute("Stacking", input_files=references, stacking_mode="reproject")


def test_the_plain_mean_propagates_uncertainties(bench: Bench) -> None:
    images, errors = _images(3), [np.full(SHAPE, s, "f4") for s in (3.0, 4.0, 12.0)]
    made = bench.run_one("Mean Stack", input_files=_put(bench, images, uncertainty=errors), method="mean")
    np.testing.assert_allclose(made.data, np.mean(images, axis=0, dtype="f8"), rtol=1e-6)
    np.testing.assert_allclose(made.planes["ERR"], 13 / 3, rtol=1e-6)


def test_weights_are_the_inverse_of_each_images_median_variance(bench: Bench) -> None:
    images, sigmas = _images(3), np.array([30.0, 60.0, 120.0])
    errors = [np.full(SHAPE, s, "f4") for s in sigmas]
    errors[0][20, 20] = 1500.0  # a star has more noise, and must not weigh less for it
    made = bench.run_one(
        "Mean Stack", input_files=_put(bench, images, uncertainty=errors), method="weighted", sigma=10.0
    )
    weights = sigmas**-2
    np.testing.assert_allclose(made.data, np.average(images, axis=0, weights=weights), rtol=1e-6)
    expected = np.full(SHAPE, weights.sum() ** -0.5)
    expected[20, 20] = np.sqrt((1500.0 * weights[0]) ** 2 + weights[1] + weights[2]) / weights.sum()
    np.testing.assert_allclose(made.planes["ERR"], expected, rtol=1e-6)


def test_a_weight_needs_an_uncertainty(bench: Bench) -> None:
    with pytest.raises(Alert, match=r"im00\.fits has no plane of uncertainty.*sigma_clipped"):
        bench.compute("Mean Stack", input_files=_put(bench, _images(2)), method="weighted")


def test_flagged_pixels_are_ignored_and_those_flagged_everywhere_keep_their_flags(bench: Bench) -> None:
    images, masks = _images(3), [np.zeros(SHAPE, "u1") for _ in range(3)]
    images[0][5, 5] = 1e6
    masks[0][5, 5] = MaskBit.COSMIC_RAY
    for mask in masks:
        mask[7, 8] = MaskBit.BAD
    made = bench.run_one("Mean Stack", input_files=_put(bench, images, mask=masks), method="mean")
    assert made.data[5, 5] == pytest.approx((images[1][5, 5] + images[2][5, 5]) / 2, rel=1e-6)
    assert made.planes["BPM"][5, 5] == 0
    assert np.isnan(made.data[7, 8])
    assert made.planes["BPM"][7, 8] == MaskBit.BAD | MaskBit.NO_DATA
    assert made.figures["empty_pixels"] == 1


@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_registration_brings_every_star_onto_the_first_image(bench: Bench, angle: float) -> None:
    references = []
    for k, (dx, dy) in enumerate([(0.0, 0.0), (3.3, -2.6), (-4.0, 5.0)]):
        header = sky_header(SHAPE, dx=dx, dy=dy, angle=angle * k)
        x, y = WCS(header).world_to_pixel(WCS(sky_header(SHAPE)).pixel_to_world([20.0, 45.0], [25.0, 30.0]))
        image = np.full(SHAPE, 50.0)
        add_stars(image, x + 1, y + 1, [4e4, 2e4], 5.0)
        error = np.full(SHAPE, 4.0, "f4")
        references.append(bench.put(f"im{k}.fits", image.astype("f4"), header, uncertainty=error))
    made = bench.run_one("Mean Stack", input_files=references, registration="wcs", method="mean")
    expected = np.full(SHAPE, 50.0)
    add_stars(expected, [21.0, 46.0], [26.0, 31.0], [4e4, 2e4], 5.0)
    inner = slice(15, 45), slice(15, 55)
    assert (made.data - 50)[inner].sum() == pytest.approx((expected - 50)[inner].sum(), rel=0.005)
    assert np.unravel_index(np.nanargmax(made.data), SHAPE) == (25, 20)
    assert made.planes["ERR"][30, 30] == pytest.approx(4 / np.sqrt(3), rel=0.01)
    assert WCS(made.header).wcs.crpix.tolist() == [35.5, 30.5]


def test_an_image_that_reaches_half_way_gives_half_and_a_bad_pixel_stays_small(bench: Bench) -> None:
    first, second = np.full(SHAPE, 10.0, "f4"), np.full(SHAPE, 20.0, "f4")
    mask = np.zeros(SHAPE, "u1")
    mask[30, 20] = MaskBit.SATURATED
    second[30, 20] = 6e4
    references = [
        bench.put("a.fits", first, sky_header(SHAPE)),
        bench.put("b.fits", second, sky_header(SHAPE, dx=-30.5), mask=mask),
    ]
    made = bench.run_one("Mean Stack", input_files=references, registration="wcs", method="mean")
    assert set(np.unique(made.data)) == {10.0, 15.0}
    assert (made.data[:, :31] == 10).all()
    assert (made.data[:, 31:] == 10).sum() <= 4  # pixels that need the saturated one
    assert (made.data[30, 50:52] == 10).all()


def test_images_of_other_places_are_named(bench: Bench) -> None:
    references = [
        bench.put("a.fits", _images(1)[0], sky_header(SHAPE)),
        bench.put("far.fits", _images(1)[0], sky_header(SHAPE, CRVAL1=151.0)),
    ]
    with pytest.raises(Alert, match=re.escape("far.fits has no good pixel on the grid of a.fits")):
        bench.compute("Mean Stack", input_files=references, registration="wcs")


def test_the_seeing_of_a_stack_is_told(bench: Bench) -> None:
    from star_fields import star_field

    field = star_field(fwhm=3.2)
    header = sky_header(field.image.shape)
    references = [bench.put(f"{k}.fits", star_field(fwhm=3.2, seed=1).image, header) for k in range(2)]
    made = bench.run_one("Mean Stack", input_files=references)
    assert made.figures["seeing_arcsec"] == pytest.approx(3.2, abs=0.25)


def test_registration_follows_a_wcs_that_no_shift_and_turn_describes(bench: Bench) -> None:
    wide = {"CD1_1": -0.2, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.2}
    headers = [sky_header(SHAPE, **wide), sky_header(SHAPE, **wide, CRVAL1=151.0, CRVAL2=4.0)]
    first = WCS(headers[0])
    references = []
    for k, header in enumerate(headers):
        x, y = WCS(header).world_to_pixel(first.pixel_to_world([20.0, 50.0], [20.0, 40.0]))
        image = np.zeros(SHAPE)
        add_stars(image, x + 1, y + 1, [1e4, 1e4], 4.0)
        references.append(bench.put(f"{k}.fits", image.astype("f4"), header))
    made = bench.run_one("Mean Stack", input_files=references, registration="wcs", method="mean")
    expected = np.zeros(SHAPE)
    add_stars(expected, [21.0, 51.0], [21.0, 41.0], [1e4, 1e4], 4.0)
    for y, x in ((20, 20), (40, 50)):
        box = slice(y - 7, y + 8), slice(x - 7, x + 8)
        assert made.data[box].sum() == pytest.approx(expected[box].sum(), rel=0.01)
        across, along = np.arange(x - 7, x + 8), np.arange(y - 7, y + 8)
        assert (made.data[box].sum(axis=0) * across).sum() / made.data[box].sum() == pytest.approx(x, abs=0.03)
        assert (made.data[box].sum(axis=1) * along).sum() / made.data[box].sum() == pytest.approx(y, abs=0.03)


def _exposures(n: int, skies: list[float], fwhms: list[float]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return images of one field in electrons, and their uncertainties."""
    rng = np.random.default_rng(n)
    images, errors = [], []
    for k in range(n):
        truth = np.full(SHAPE, skies[k % len(skies)])
        add_stars(truth, STARS[0], STARS[1], STARS[2], fwhms[k % len(fwhms)])
        errors.append(np.sqrt(truth + 25).astype("f4"))
        images.append(rng.normal(truth, errors[-1]).astype("f4"))
    return images, errors


STARS = [15.3, 50.6, 30.2], [20.4, 40.1, 48.0], [3e5, 3e4, 2e3]


@pytest.mark.parametrize("method", ["sigma_clipped", "weighted"])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_an_outlier_of_few_images_is_rejected(bench: Bench, n: int, method: str) -> None:
    images, errors = _exposures(n, [300.0], [3.0])
    clean = bench.run_one("Mean Stack", input_files=_put(bench, images, uncertainty=errors), method=method)
    images[1][5, 6] += 5000
    images[0][30:32, :] += 400  # a satellite
    for k in (0, 1):
        errors[k] = np.sqrt(np.maximum(images[k], 0) + 25)
    made = bench.run_one("Mean Stack", input_files=_put(bench, images, uncertainty=errors), method=method)
    assert made.data[5, 6] == pytest.approx(300, abs=4 * 18 / np.sqrt(n - 1))
    trail = made.data[30:32][:, np.r_[0:8, 23:42]]
    assert np.median(trail) == pytest.approx(300, abs=5 * 18 / np.sqrt((n - 1) * trail.size))
    away = made.planes["ERR"][5, 6] / clean.planes["ERR"][5, 6]
    assert away == pytest.approx(np.sqrt(n / (n - 1)), rel=0.1)
    assert made.figures["rejected_fraction"] < clean.figures["rejected_fraction"] + 0.05


@pytest.mark.parametrize("level", [0.0, 100.0])
def test_an_outlier_of_few_images_without_uncertainties_is_rejected(bench: Bench, level: float) -> None:
    images = [np.full(SHAPE, level, "f4") for _ in range(5)]
    images[2][7, 8] += 5000
    assert (bench.run_one("Mean Stack", input_files=_put(bench, images)).data == level).all()
    rng = np.random.default_rng(1)
    noisy = [image + rng.normal(0, 10, SHAPE).astype("f4") for image in images]
    assert bench.run_one("Mean Stack", input_files=_put(bench, noisy)).data[7, 8] == pytest.approx(level, abs=20)


@pytest.mark.parametrize("has_errors", [True, False])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_few_images_of_another_sky_and_seeing_keep_the_flux_of_their_stars(
    bench: Bench, n: int, has_errors: bool
) -> None:
    images, errors = _exposures(n, [300.0, 200.0, 400.0], [3.0, 3.3, 2.8])
    planes = {"uncertainty": errors} if has_errors else {}
    made = bench.run_one("Mean Stack", input_files=_put(bench, images, **planes))
    plain = bench.run_one("Mean Stack", input_files=_put(bench, images, **planes), method="mean")
    assert made.figures["rejected_fraction"] < 0.01
    for x, y, flux in zip(*STARS, strict=True):
        box = slice(round(y) - 7, round(y) + 6), slice(round(x) - 7, round(x) + 6)
        assert made.data[box].sum() == pytest.approx(plain.data[box].sum(), abs=0.002 * flux + 60)


@pytest.mark.parametrize("method", ["sigma_clipped", "weighted"])
def test_an_outlier_leaves_no_hole_where_skies_differ(bench: Bench, method: str) -> None:
    images, errors = _exposures(5, [200.0, 200.0, 200.0, 200.0, 1200.0], [3.0])
    images[4][5:9, 40:60] += 9000
    made = bench.run_one("Mean Stack", input_files=_put(bench, images, uncertainty=errors), method=method)
    around = np.median(made.data[:12])
    assert np.median(made.data[5:9, 40:60]) == pytest.approx(around, abs=10)


def test_uncertainties_that_are_too_small_reject_little(bench: Bench) -> None:
    images, errors = _exposures(5, [300.0], [3.0])
    references = _put(bench, images, uncertainty=[error / 5 for error in errors])
    assert bench.run_one("Mean Stack", input_files=references).figures["rejected_fraction"] < 0.02


@pytest.mark.parametrize("has_errors", [True, False])
def test_outliers_of_few_images_are_the_same_in_any_bands(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory, has_errors: bool
) -> None:
    images, errors = _exposures(4, [300.0, 320.0], [3.0])
    images[1][::7, ::9] += 900
    planes = {"uncertainty": errors} if has_errors else {}
    small = Bench.make(tmp_path_factory.mktemp("small"), memory_limit=150_000)
    one, other = (each.run_one("Mean Stack", input_files=_put(each, images, **planes)) for each in (bench, small))
    np.testing.assert_array_equal(one.data, other.data)
    assert one.figures == other.figures
