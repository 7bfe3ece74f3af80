"""Aligning images by their stars."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from star_fields import add_stars

from runstart.errors import Alert
from runstart.images import LEAST_STARS, align_images, extract_sources

SHAPE = (220, 260)


def _stars(n: int = 30, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return places, counted from 0 and brightest first, and fluxes."""
    rng = np.random.default_rng(seed)
    return rng.uniform([40, 40], [220, 180], (n, 2)), np.geomspace(1e5, 5e3, n)


def _moved(places: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    z = (places @ [1, 1j]) * scale * np.exp(1j * angle) + complex(*shift)
    return np.column_stack([z.real, z.imag])


def _image(places: np.ndarray, flux: np.ndarray, seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    image = np.zeros(shape)
    add_stars(image, places[:, 0] + 1, places[:, 1] + 1, flux, 4.0)
    return (image + np.random.default_rng(seed).normal(50, 5, shape)).astype(np.float32)


@pytest.mark.parametrize("by_catalog", [True, False])
@pytest.mark.parametrize(
    ("angle", "scale", "shift"),
    [(0, 1, (3.4, -7.6)), (0.05, 1, (20, -9)), (np.pi, 1, (260, 220)), (0.02, 0.8, (9, 9))],
)
def test_stars_come_to_lie_on_those_of_the_first_image(
    by_catalog: bool, angle: float, scale: float, shift: tuple[float, float]
) -> None:
    places, flux = _stars()
    others = _moved(places, angle, scale, shift)
    images = [_image(places, flux, 1), _image(others, flux, 2, (230, 250))]
    found = align_images(images, [places + 1, others + 1] if by_catalog else None)
    assert found.aligned
    assert found.reasons == ["", ""]
    assert found.images[0] is images[0]
    assert found.images[1].shape == SHAPE
    back = np.column_stack([others, np.ones(len(others))]) @ found.transforms[1].T
    assert np.abs(back[:, :2] - places).max() < (1e-6 if by_catalog else 0.15)
    inner = np.nan_to_num(found.images[1] - 50)
    table = extract_sources(inner, threshold=10)
    distance = np.hypot(table["x"][:, None] - 1 - places[:, 0], table["y"][:, None] - 1 - places[:, 1]).min(axis=1)
    assert np.median(distance) < 0.1


def test_the_result_is_the_same_each_time() -> None:
    places, flux = _stars()
    images = [_image(places, flux, 1), _image(_moved(places, 0.1, 1, (5, -9)), flux, 2)]
    first = align_images(images)
    for _ in range(3):
        np.testing.assert_array_equal(align_images(images).transforms[1], first.transforms[1])


def test_what_an_image_does_not_reach_is_nan_and_nan_does_not_spread() -> None:
    places, _ = _stars()
    other = np.ones(SHAPE, ">i2").astype(">f4")
    other[100, 100] = np.nan
    found = align_images([np.zeros(SHAPE), other], [places + 1, _moved(places, 0, 1, (10.5, 0)) + 1])
    aligned = found.images[1]
    assert np.isnan(aligned[:, -10:]).all()
    assert np.isnan(aligned[2:-2, 2:-13]).sum() <= 16
    np.testing.assert_allclose(aligned[np.isfinite(aligned)], 1, rtol=1e-5)


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_all_stay_as_they_are_if_one_fails_and_the_reason_is_told_where_the_reference_is_silent(
    failing: int,
) -> None:
    places, flux = _stars()
    images = [_image(places, flux, 1), _image(places + 3, flux, 2), _image(places - 2, flux, 3)]
    catalogs = [places, places + 3, places - 2]
    catalogs[failing] = places[: LEAST_STARS - 1]
    found = align_images(images, catalogs)
    assert not found.aligned
    assert all(given is kept for given, kept in zip(images, found.images, strict=True))
    assert found.reasons[failing] == "it has 3 stars, 4 are needed."
    assert found.transforms[failing] is None
    others = [reason for i, reason in enumerate(found.reasons) if i != failing]
    assert others == (["the first image has not enough stars to align with."] * 2 if failing == 0 else ["", ""])


def test_stars_of_another_place_do_not_match() -> None:
    for seed in range(5):
        here, there = _stars(seed=seed)[0], _stars(seed=100 + seed)[0]
        found = align_images([np.zeros(SHAPE)] * 2, [here, there])
        assert not found.aligned
        assert "pattern" in found.reasons[1] or "match" in found.reasons[1]


@settings(max_examples=60)
@given(*[hnp.arrays(float, st.tuples(st.integers(0, 8), st.just(2)), elements=st.floats(allow_nan=True))] * 2)
def test_any_positions_give_an_answer(here: np.ndarray, there: np.ndarray) -> None:
    found = align_images([np.zeros((20, 20))] * 2, [here, there])
    assert found.aligned == (found.reasons == ["", ""])


@pytest.mark.parametrize("steps", [(1, 0), (1, 1), (1e-9, 0), (1e300, 1)])
def test_stars_in_a_row_or_heap_give_an_answer(steps: tuple[float, float]) -> None:
    row = np.arange(1, 9)[:, None] * np.array(steps)
    found = align_images([np.zeros((20, 20))] * 2, [row, row])
    assert found.aligned == (found.reasons == ["", ""])


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_images_without_stars_are_left_with_a_reason(value: float) -> None:
    images = [np.full((30, 30), value), np.full((30, 30), value), np.zeros((1, 1), ">i2")]
    found = align_images(images)
    assert not found.aligned
    assert all(found.reasons)


def test_equal_and_infinite_positions_count_once_or_not_at_all() -> None:
    places, _ = _stars()
    messy = np.vstack([[[np.nan, 1]], places, places, [[np.inf, 0]]])
    assert align_images([np.zeros(SHAPE)] * 2, [messy, places]).aligned
    assert align_images([np.zeros(SHAPE)] * 2, [np.ones((9, 2)), places]).reasons[0].startswith("it has 1 stars")
    assert align_images([np.zeros(SHAPE)] * 2, [[], places]).reasons[0].startswith("it has 0 stars")


def test_one_image_is_aligned_with_itself() -> None:
    image = np.zeros((5, 5))
    found = align_images([image])
    assert found.aligned
    assert found.images[0] is image


def test_what_does_not_fit_is_an_alert() -> None:
    image = np.zeros((30, 30))
    with pytest.raises(Alert, match="there is no image"):
        align_images([])
    with pytest.raises(Alert, match="image 2 has 3 axes"):
        align_images([image, np.zeros((3, 3, 3))])
    with pytest.raises(Alert, match="1 catalogues for 2 images"):
        align_images([image, image], [None])
    with pytest.raises(Alert, match="catalogue 1 is of shape"):
        align_images([image, image], [np.zeros((5, 3)), None])
