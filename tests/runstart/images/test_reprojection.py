"""Adding images on a grid of the sky."""

from __future__ import annotations

import numpy as np
import pytest
import sep
from astropy.io.fits import Header
from astropy.wcs import WCS
from star_fields import add_stars

from runstart.errors import Alert
from runstart.images import reproject_and_sum

STARS = np.array([[150.0, 20.0], [150.004, 20.002], [149.997, 19.996], [150.002, 19.995]])
FLUX = np.array([1e5, 5e4, 8e4, 6e4])
SCALE = 2e-4  # degrees


def _header(angle: float = 0.0, shift: tuple[float, float] = (0, 0), scale: float = SCALE) -> Header:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 20.0]
    wcs.wcs.crpix = [60.5 + shift[0], 50.5 + shift[1]]
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    wcs.wcs.cd = [[-c, s], [s, c]]
    header = wcs.to_header()
    header["OBJECT"] = "M 1"
    header["EXPTIME"] = 30.0
    return header


def _image(header: Header, shape: tuple[int, int] = (100, 120)) -> np.ndarray:
    image = np.zeros(shape)
    x, y = WCS(header).all_world2pix(STARS, 1).T
    add_stars(image, x, y, FLUX, 4.0)
    return image


def _fluxes(total: np.ndarray, header: Header) -> np.ndarray:
    x, y = WCS(header).all_world2pix(STARS, 1).T
    return sep.sum_circle(np.ascontiguousarray(total), x - 1, y - 1, 10.0, subpix=0)[0]


def test_flux_is_conserved_and_stars_are_where_the_header_says() -> None:
    headers = [_header(), _header(0.03, (2.3, -4.1)), _header(-0.02, (-1.7, 3.3))]
    done: list[float] = []
    total, header = reproject_and_sum([_image(h) for h in headers], headers, done.append)
    np.testing.assert_allclose(_fluxes(total, header), 3 * FLUX, rtol=0.01)
    assert done == pytest.approx([1 / 3, 2 / 3, 1])
    assert total.dtype == np.float64


def test_a_coarser_image_adds_the_same_flux() -> None:
    headers = [_header(), _header(scale=SCALE * 1.5)]
    total, header = reproject_and_sum([_image(h) for h in headers], headers)
    np.testing.assert_allclose(_fluxes(total, header), 2 * FLUX, rtol=0.02)


def test_the_sum_is_cut_to_where_all_images_are() -> None:
    headers = [_header(), _header(shift=(30, -20))]
    total, _ = reproject_and_sum([np.ones((100, 120)), np.ones((100, 120), ">i2")], headers)
    assert np.abs(np.subtract(total.shape, (80, 90))).max() <= 6
    np.testing.assert_allclose(total, 2, rtol=1e-3)


def test_a_turned_image_is_cut_to_a_box_without_corners() -> None:
    headers = [_header(), _header(np.pi / 4)]
    total, _ = reproject_and_sum([np.ones((100, 120))] * 2, headers)
    assert min(total.shape) > 40
    np.testing.assert_allclose(total, 2, rtol=1e-3)


def test_a_dead_column_does_not_cut_the_box_where_the_reference_cuts_to_nothing() -> None:
    headers = [_header(), _header(0.01)]
    whole, _ = reproject_and_sum([np.ones((100, 120))] * 2, headers)
    dead = np.ones((100, 120))
    dead[:, 60] = np.nan
    dead[30, 30] = np.inf
    total, _ = reproject_and_sum([dead, np.ones((100, 120))], headers)
    assert total.shape == whole.shape
    np.testing.assert_allclose(total, 2, rtol=0.02)


def test_an_image_of_nan_adds_nothing() -> None:
    total, _ = reproject_and_sum([np.ones((50, 50)), np.full((50, 50), np.nan)], [_header(), _header()])
    np.testing.assert_allclose(total, 1, rtol=1e-3)


def test_the_header_is_the_first_ones_with_one_new_wcs() -> None:
    first = _header()
    first["A_ORDER"], first["A_0_2"], first["B_ORDER"] = 2, 1e-7, 2
    first["CTYPE1"], first["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    first["CRPIX1P"] = 7.0
    first.add_history("flat-fielded")
    kept = first.copy()
    _, header = reproject_and_sum([_image(_header())] * 2, [first, _header(0.1)])
    assert header["OBJECT"] == "M 1"
    assert header["EXPTIME"] == 30.0
    assert list(header["HISTORY"]) == ["flat-fielded"]
    assert header["CTYPE1"] == "RA---TAN"
    assert not {"A_ORDER", "A_0_2", "B_ORDER", "CRPIX1P"} & set(header)
    assert first == kept


def test_images_of_different_places_are_an_alert() -> None:
    for shift in ((130, 0), (90000, 0)):
        with pytest.raises(Alert, match="do not overlap"):
            reproject_and_sum([np.ones((100, 120))] * 2, [_header(), _header(shift=shift)])


def test_a_grid_too_large_for_the_memory_is_an_alert() -> None:
    headers = [_header(), _header(scale=SCALE / 1000)]
    with pytest.raises(Alert, match="common grid of"):
        reproject_and_sum([np.ones((100, 120))] * 2, headers)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("CDELT1", 0.0, "WCS of image 2 is wrong: Linear transformation matrix is singular"),
        ("CTYPE1", "RA---XYZ", "WCS of image 2 is wrong: Unrecognized projection code"),
        ("CTYPE2", "LINEAR", "WCS of image 2 is wrong: Unmatched celestial axes"),
        ("CUNIT1", "m", "WCS of image 2 is wrong: In CUNIT1"),
        ("CRPIX1", 1e300, "WCS of image 2 gives its corners no place"),
        ("CRVAL2", -70.0, "do not overlap"),
    ],
)
def test_a_wcs_that_means_nothing_is_an_alert(key: str, value: object, message: str) -> None:
    wrong = _header()
    wrong[key] = value
    with pytest.raises(Alert, match=message):
        reproject_and_sum([np.ones((100, 120))] * 2, [_header(), wrong])


@pytest.mark.parametrize("shape", [(1, 1), (3, 3)])
def test_an_image_too_small_for_the_resampling_kernel_is_an_alert(shape: tuple[int, int]) -> None:
    with pytest.raises(Alert, match="do not overlap"):
        reproject_and_sum([np.ones(shape)] * 2, [_header()] * 2)


def test_galactic_coordinates_and_old_dates_are_understood() -> None:
    header = _header()
    header["CTYPE1"], header["CTYPE2"], header["DATE-OBS"] = "GLON-TAN", "GLAT-TAN", "01/02/99"
    total, merged = reproject_and_sum([np.ones((40, 50), ">u2")] * 2, [header, header])
    np.testing.assert_allclose(total, 2, rtol=1e-3)
    assert merged["CTYPE1"] == "GLON-TAN"


def test_an_image_without_a_place_on_the_sky_is_named() -> None:
    image = np.ones((100, 120))
    with pytest.raises(Alert, match="image 2 has no celestial WCS"):
        reproject_and_sum([image, image], [_header(), Header()])
    with pytest.raises(Alert, match="1 headers for 2 images"):
        reproject_and_sum([image, image], [_header()])
    with pytest.raises(Alert, match="image 1 has 3 axes"):
        reproject_and_sum([np.ones((2, 2, 2))], [_header()])
    with pytest.raises(Alert, match="there is no image"):
        reproject_and_sum([], [])


def test_a_grid_that_does_not_fit_into_memory_is_refused_before_it_is_made() -> None:
    headers = [_header(), _header(shift=(5, 5))]
    images = [_image(header) for header in headers]
    total, _ = reproject_and_sum(images, headers, memory_limit=10**6)
    assert total.size < 100 * 120
    with pytest.raises(
        Alert, match=r"common grid of 105 x 125 pixels, about 525,000 bytes; memory_limit is 400,000"
    ):
        reproject_and_sum(images, headers, memory_limit=400_000)
