"""Cosmic rays in one frame."""

from __future__ import annotations

import numpy as np
import pytest
from star_fields import star_field

from runstart.errors import Alert
from runstart.images import reject_cosmic_rays


def _hit(n: int = 60, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a star field, the same with tracks of three pixels, and where they are."""
    clean = star_field(shape=(256, 256), fwhm=3.5, fluxes=(3e3, 3e4)).image
    rng = np.random.default_rng(seed)
    truth = np.zeros(clean.shape, bool)
    for y, x in rng.integers(5, 250, (n, 2)):
        truth[y, x : x + 3] = True
    return clean, np.where(truth, clean + 3000, clean), truth


def test_cosmic_rays_are_found_and_replaced_and_stars_are_not() -> None:
    clean, image, truth = _hit()
    found = reject_cosmic_rays(image, read_noise=5.0)
    assert found.mask[truth].mean() > 0.98
    assert found.mask[~truth].mean() < 2e-3
    assert np.median(np.abs(found.cleaned - clean)[truth]) < 25
    np.testing.assert_array_equal(found.cleaned[~found.mask], image[~found.mask])


def test_the_unit_of_the_data_is_kept() -> None:
    _, image, _ = _hit()
    in_electrons = reject_cosmic_rays(image, read_noise=5.0, saturation=50000)
    in_adu = reject_cosmic_rays(image / 2, gain=2.0, read_noise=5.0, saturation=25000)
    np.testing.assert_array_equal(in_adu.mask, in_electrons.mask)
    np.testing.assert_allclose(in_adu.cleaned * 2, in_electrons.cleaned, rtol=1e-5)


def test_masked_and_lost_pixels_are_left_alone() -> None:
    _, image, truth = _hit()
    image = image.astype(">f8")
    mask = np.zeros(image.shape, np.uint16)
    mask[truth] = 4
    image[100, 100:104] = np.nan
    found = reject_cosmic_rays(image, read_noise=5.0, mask=mask)
    assert not found.mask[truth].any()
    assert np.isnan(found.cleaned[100, 100:104]).all()
    assert np.isnan(found.cleaned).sum() == 4
    np.testing.assert_array_equal(found.cleaned[truth], image[truth].astype(np.float32))


def test_hits_beside_a_bad_column_are_found() -> None:
    sky = np.random.default_rng(3).normal(200, 14, (96, 96)).astype(np.float32)
    mask = np.zeros(sky.shape, bool)
    mask[:, 40] = True
    sky[:, 40] = 30_000
    rows = np.arange(5, 90, 6)
    sky[rows, 39] += 2000
    sky[rows + 3, 41] += 2000
    found = reject_cosmic_rays(sky, read_noise=5.0, mask=mask)
    assert found.mask[rows, 39].all()
    assert found.mask[rows + 3, 41].all()
    assert not found.mask[:, 40].any()


@pytest.mark.parametrize("dtype", [">i2", "u2", "f8"])
def test_a_constant_image_has_none(dtype: str) -> None:
    found = reject_cosmic_rays(np.full((16, 16), 100, dtype), read_noise=5.0)
    assert not found.mask.any()
    assert (found.cleaned == 100).all()


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((1, 1)), {}, "too small"),
        (np.zeros((200, 15)), {}, "too small"),
        (np.zeros((20, 20, 3)), {}, "3 axes"),
        (np.full((20, 20), np.nan), {}, "no good pixel"),
        (np.zeros((20, 20)), {"mask": np.ones((20, 20))}, "no good pixel"),
        (np.zeros((20, 20)), {"mask": np.ones((20, 21))}, "mask is of shape"),
        (np.zeros((20, 20)), {"gain": 0}, "gain is 0"),
    ],
)
def test_what_cannot_be_judged_is_an_alert(image: np.ndarray, options: dict[str, object], message: str) -> None:
    with pytest.raises(Alert, match=message):
        reject_cosmic_rays(image, read_noise=5.0, **options)  # type: ignore[arg-type]
