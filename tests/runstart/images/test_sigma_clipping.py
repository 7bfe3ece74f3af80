"""Sigma clipping keeps what astropy's keeps, to the last bit of a bound, and its mean is numpy's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from astropy.stats import sigma_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.images import clipped_mean_planes, sigma_clipped_mean

MOST_ULP = 1


def clip_with_astropy(stack: Any, sigma: float, max_iterations: int | None) -> np.ma.MaskedArray[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sigma_clip(stack, sigma=sigma, maxiters=max_iterations, cenfunc="median", stdfunc="std", axis=0)


def assert_clips_like_astropy(
    stack: NDArray[Any], sigma: float, max_iterations: int | None, mask: NDArray[np.bool_] | None = None
) -> None:
    given_stack = stack if mask is None else np.ma.array(stack, mask=mask)
    clipped = clip_with_astropy(given_stack, sigma, max_iterations)
    kept = ~np.ma.getmaskarray(clipped)
    expected = np.ma.array(stack, mask=~kept).mean(axis=0, dtype=np.float64).filled(np.nan)

    result = sigma_clipped_mean(stack, sigma, max_iterations, mask=mask)
    planes = clipped_mean_planes(stack, sigma, max_iterations, mask=mask)

    assert result.dtype == np.float64
    np.testing.assert_array_equal(planes.n_kept, kept.sum(axis=0))
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    is_number = ~np.isnan(expected)
    np.testing.assert_array_max_ulp(result[is_number], expected[is_number], MOST_ULP)
    np.testing.assert_array_max_ulp(planes.mean[is_number], expected[is_number], MOST_ULP)


def make_stack(n: int, seed: int, kind: str, dtype: str) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    shape = (n, 3, 67)
    if kind == "sky":
        values = rng.normal(1000, 10, shape)
        values[rng.random(shape) < 0.05] += 500
    elif kind == "few values":
        # Distances from the median that are whole numbers of standard deviations.
        values = rng.integers(0, 3, shape).astype(float)
    elif kind == "one outlier":
        values = np.full(shape, rng.integers(0, 1000) / 10.0)
        values[0] += rng.integers(1, 50) / 10.0
    elif kind == "two groups":
        values = np.where(rng.random(shape) < 0.7, 0.0, 100.0) + rng.exponential(5, shape)
    elif kind == "constant":
        values = np.full(shape, 0.1) * rng.integers(1, 9, shape[1:])
    else:
        values = rng.standard_cauchy(shape) * 1e-3 + 12345.678
    return values.astype(dtype)


KINDS = ["sky", "few values", "one outlier", "two groups", "constant", "cauchy"]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 80),
    st.integers(0, 2**32 - 1),
    st.sampled_from(KINDS),
    st.sampled_from(["<f4", ">f4", "<f8", ">u2", "<i4"]),
    st.sampled_from([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0]),
    st.sampled_from([1, 2, 5, 20, None]),
)
def test_clips_like_astropy(
    n: int, seed: int, kind: str, dtype: str, sigma: float, max_iterations: int | None
) -> None:
    assert_clips_like_astropy(make_stack(n, seed, kind, dtype), sigma, max_iterations)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from(KINDS),
    st.sampled_from(["<f4", ">f8"]),
    st.sampled_from([1.5, 2.5, 3.0]),
    st.sampled_from([0.02, 0.5, 0.97]),
)
def test_ignores_nan_infinity_and_masked_values_like_astropy(
    n: int, seed: int, kind: str, dtype: str, sigma: float, share: float
) -> None:
    stack = make_stack(n, seed, kind, dtype)
    rng = np.random.default_rng(seed)
    for special in (np.nan, np.inf, -np.inf):
        stack[rng.random(stack.shape) < share / 3] = special

    assert_clips_like_astropy(stack, sigma, 5, mask=rng.random(stack.shape) < share)


@pytest.mark.parametrize("n", [5, 13, 20])
def test_value_that_lies_on_the_bound_is_judged_as_astropy_judges_it(n: int) -> None:
    # One outlier among equal values is n / sqrt(n - 1) standard deviations away.
    sigma = float(n / np.sqrt(n - 1))
    rng = np.random.default_rng(n)
    stack = np.full((n, 1, 500), 1.0) * rng.random(500)
    stack[rng.integers(0, n, 500), 0, np.arange(500)] += rng.random(500)

    for nudged in (np.nextafter(sigma, 0), sigma, np.nextafter(sigma, 9)):
        assert_clips_like_astropy(stack, float(nudged), 5)


def test_many_images_clip_like_astropy() -> None:
    stack = np.random.default_rng(1).standard_t(3, (300, 2, 40)).astype(np.float32)

    assert_clips_like_astropy(stack, 3.0, 5)


def test_huge_values_do_not_upset_the_bounds() -> None:
    stack = np.random.default_rng(2).normal(size=(9, 1, 20))
    stack[4] = 1e200

    assert_clips_like_astropy(stack, 3.0, 5)


def test_pixel_with_nothing_left_is_nan() -> None:
    assert np.isnan(sigma_clipped_mean(np.full((4, 2, 2), np.nan))).all()
    assert np.isnan(sigma_clipped_mean(np.ones((4, 2, 2)), mask=np.ones((4, 2, 2), bool))).all()


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.nan, np.inf])
def test_sigma_out_of_range_is_an_alert(sigma: float) -> None:
    with pytest.raises(Alert, match="sigma is"):
        sigma_clipped_mean(np.ones((3, 2, 2)), sigma=sigma)


def test_no_iteration_is_an_alert() -> None:
    with pytest.raises(Alert, match="max_iterations is 0"):
        sigma_clipped_mean(np.ones((3, 2, 2)), max_iterations=0)
