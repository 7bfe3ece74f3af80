"""Finding bad pixels in master frames."""

from __future__ import annotations

import numpy as np
import pytest

from runstart.errors import Alert
from runstart.images import find_bad_pixels

SHAPE = (200, 160)


def _masters(seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    vignetting = 1 - ((y - 100) ** 2 + (x - 80) ** 2) / 60000
    dust = 1 - 0.2 * np.exp(-(((y - 60) ** 2 + (x - 50) ** 2) ** 2) / 8**4)
    return {
        "bias": (rng.normal(0, 1, SHAPE) + x / 100).astype(np.float32),
        "dark": (rng.normal(0.1, 0.01, SHAPE)).astype(np.float32),
        "flat": (vignetting * dust * rng.normal(1, 0.005, SHAPE)).astype(np.float32),
    }


def test_a_good_detector_with_vignetting_and_dust_has_no_bad_pixels() -> None:
    assert not find_bad_pixels(**_masters()).any()


def test_exactly_the_defects_are_found() -> None:
    masters = _masters()
    truth = np.zeros(SHAPE, bool)
    masters["dark"][20, 30] += 0.5
    masters["flat"][40, 50] *= 0.3
    masters["flat"][41, 52] = np.nan
    masters["bias"][60, 70] -= 30
    masters["flat"][:, 80] *= 0.8  # mildly, but all of it
    masters["bias"][90:, 100] += 12  # from a row on, more than half
    masters["dark"][:30, 120] += 0.3  # less than half
    for place in ((20, 30), (40, 50), (41, 52), (60, 70), np.s_[:, 80], np.s_[:, 100], np.s_[:30, 120]):
        truth[place] = True
    np.testing.assert_array_equal(find_bad_pixels(**masters), truth)


def test_half_a_column_makes_a_bad_column() -> None:
    dark = _masters()["dark"]
    dark[::2, 33] += 1
    dark[:99, 44] += 1
    bad = find_bad_pixels(dark=dark)
    assert bad[:, 33].all()
    assert bad[:, 44].sum() == 99
    assert bad.sum() == 200 + 99


@pytest.mark.parametrize("name", ["bias", "dark", "flat"])
def test_each_master_is_enough_and_nan_is_bad(name: str) -> None:
    master = _masters()[name].astype(">f8")
    master[3, 4] = np.nan
    bad = find_bad_pixels(**{name: master})
    assert bad[3, 4]
    assert bad.sum() == 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (30, 30)])
def test_constant_and_empty_masters_are_judged(shape: tuple[int, int]) -> None:
    assert not find_bad_pixels(np.zeros(shape), np.full(shape, 2), np.ones(shape, np.int16)).any()
    assert find_bad_pixels(np.full(shape, np.nan)).all()
    assert find_bad_pixels(flat=np.zeros(shape)).all()


def test_masters_that_do_not_fit_are_an_alert() -> None:
    with pytest.raises(Alert, match="no master frame"):
        find_bad_pixels()
    with pytest.raises(Alert, match="master dark is of shape"):
        find_bad_pixels(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(Alert, match="the master flat has 3 axes"):
        find_bad_pixels(flat=np.zeros((2, 2, 2)))
