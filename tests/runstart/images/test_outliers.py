"""Outliers among few values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.images.outliers import allow_for_sources, measure_level, reject_outliers, robust_center

NOTHING = np.zeros(1, "f4")


def _reject(values: list[float], variance: float = 1.0, rounds: int | None = 5, **changes: object) -> list[bool]:
    stack = np.array(values, "f4")[:, None]
    flagged = np.asarray(changes.get("flagged", np.zeros(stack.shape, bool)))
    return reject_outliers(stack, flagged, np.float32(variance), NOTHING, 3.0, rounds)[:, 0].tolist()


@settings(deadline=None)  # the kernel may have to be compiled first
@given(st.integers(3, 10), st.integers(0, 9), st.floats(20, 1e6), st.sampled_from([1, -1]), st.integers(0, 99))
def test_a_single_outlier_is_found_among_any_few_values(n: int, k: int, size: float, sign: int, seed: int) -> None:
    values = np.clip(np.random.default_rng(seed).normal(0, 1, n), -1.4, 1.4)
    values[k % n] += sign * size
    assert np.flatnonzero(_reject(values.tolist())).tolist() == [k % n]


def test_of_two_values_that_disagree_the_fainter_one_is_believed() -> None:
    assert _reject([50.0, 1.0]) == [True, False]
    assert _reject([4.0, 0.0]) == [False, False]  # 2.8 standard deviations of a difference
    assert _reject([4.5, 0.0]) == [True, False]


def test_what_is_flagged_neither_counts_nor_is_an_outlier() -> None:
    flagged = np.array([[True], [False], [False], [False]])
    assert _reject([np.nan, 0.0, 0.5, 90.0], flagged=flagged) == [False, False, False, True]
    assert _reject([7.0], flagged=np.array([[False]])) == [False]


def test_more_rounds_find_what_others_hid() -> None:
    values = [0.0, 0.0, 0.0, 3.4, 99.0, 99.0, 99.0]
    assert _reject(values, rounds=1) == [True, True, True, False, True, True, True]
    values = [0.0, 0.0, 0.0, 1.0, 2.9, 3.9, 99.0]
    assert _reject(values, rounds=1) == [False] * 6 + [True]
    assert _reject(values, rounds=None) == [False] * 5 + [True, True]


@pytest.mark.parametrize(("sigma", "rounds"), [(0.0, 5), (np.nan, 5), (3.0, 0)])
def test_a_threshold_out_of_range_is_an_alert(sigma: float, rounds: int) -> None:
    with pytest.raises(Alert):
        reject_outliers(np.zeros((3, 1)), np.zeros((3, 1), bool), np.ones(1), NOTHING, sigma, rounds)


def test_the_center_is_the_median_and_of_two_the_lower() -> None:
    values = np.array([[1.0, 1.0, 1.0], [5.0, 5.0, 5.0], [2.0, 2.0, 2.0]])
    flagged = np.array([[False, True, True], [False, False, True], [False, False, True]])
    np.testing.assert_array_equal(robust_center(values, flagged), [2.0, 2.0, np.nan])


def test_a_share_of_the_brightest_pixel_near_by_is_allowed_for() -> None:
    center = np.zeros((9, 9), "f4")
    center[4, 4] = 100
    center[0, 0] = np.nan
    allowed = allow_for_sources(center)
    assert (allowed[2:7, 2:7] == 20).all()
    assert np.count_nonzero(allowed) == 25


def test_level_and_noise_of_a_frame_are_robust() -> None:
    frame = np.random.default_rng(1).normal(300, 10, (100, 100))
    frame[:5] = 1e5
    frame[5] = np.nan
    assert measure_level(frame) == pytest.approx((300, 10), rel=0.03)
    assert measure_level(np.full((2, 2), np.nan)) == (0.0, 0.0)
