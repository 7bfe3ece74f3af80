"""Medians are numpy's bit for bit, and means and sums numpy's in float64."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.images import clipped_mean_planes, mean, median, nansum, weighted_mean

DTYPES = ["f2", "<f4", ">f4", "<f8", ">f8", "u1", "i1", "<u2", ">u2", "<i2", ">i2", "<i4", ">i4", "u4", "i8", "u8"]


@st.composite
def stacks(draw: st.DrawFn, dtypes: list[str] = DTYPES, most: int = 80) -> NDArray[Any]:
    n = draw(st.integers(1, most))
    shape = (n, draw(st.integers(1, 9)), draw(st.integers(1, 90)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    if dtype.kind == "f":
        values = rng.normal(draw(st.sampled_from([0.0, 1000.0])), draw(st.sampled_from([1e-3, 10.0])), shape)
        if draw(st.booleans()):
            values = np.round(values)
        for special in (np.inf, -np.inf, -0.0):
            if draw(st.booleans()):
                values[rng.random(shape) < 0.1] = special
    else:
        limits = np.iinfo(dtype)
        low, high = draw(st.sampled_from([(limits.min, limits.max), (0, 5)]))
        values = rng.integers(low, high, shape, dtype.newbyteorder("="), endpoint=True)
    return values.astype(dtype)


def holes(stack: NDArray[Any], seed: int, share: float) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(stack.shape) < share


def assert_same_bits(actual: NDArray[Any], expected: NDArray[Any]) -> None:
    """Equal in dtype and value; zeros may differ in sign, since numpy's own depends on its way of selecting."""
    assert actual.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(actual, expected)


def reference(function: Any, *arguments: Any, **keywords: Any) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*arguments, **keywords)


@settings(max_examples=120, deadline=None)
@given(stacks())
def test_median_is_that_of_numpy(stack: NDArray[Any]) -> None:
    assert_same_bits(median(stack), reference(np.median, stack, axis=0))


@settings(max_examples=60, deadline=None)
@given(stacks(["f2", "<f4", ">f4", "<f8", ">f8"]), st.integers(0, 9), st.sampled_from([0.001, 0.3, 0.95, 1.1]))
def test_median_ignores_nan_as_numpy_does(stack: NDArray[Any], seed: int, share: float) -> None:
    stack[holes(stack, seed, share)] = np.nan

    assert_same_bits(median(stack), reference(np.nanmedian, stack, axis=0))


@settings(max_examples=60, deadline=None)
@given(stacks(), st.integers(0, 9), st.sampled_from([0.001, 0.3, 0.95, 1.1]))
def test_median_ignores_what_a_mask_flags_as_numpy_does(stack: NDArray[Any], seed: int, share: float) -> None:
    mask = holes(stack, seed, share)
    # numpy's masked median of wide integers replaces masked values by the largest number, and mistakes one for them.
    exact = stack.astype(np.float64) if stack.dtype.kind in "iu" else stack
    expected = reference(np.ma.median, np.ma.array(exact, mask=mask), axis=0)
    expected = np.ma.filled(expected.astype(exact.dtype), np.nan)

    assert_same_bits(median(stack, mask=mask), expected)
    assert_same_bits(median(np.ma.array(stack, mask=mask)), expected)


def test_masked_array_and_mask_both_count() -> None:
    stack = np.ma.array([[1.0], [2.0], [9.0]], mask=[[True], [False], [False]])

    assert median(stack, mask=np.array([[False], [False], [True]])).tolist() == [2.0]


def test_nan_under_the_mask_and_beside_it_are_both_ignored() -> None:
    stack = np.array([np.nan, np.nan, 3.0, 8.0, 5.0]).reshape(5, 1, 1)
    mask = np.array([True, False, False, True, False]).reshape(5, 1, 1)

    assert median(stack, mask=mask).tolist() == [[4.0]]


def test_mask_of_one_image_applies_to_all() -> None:
    stack = np.arange(12.0).reshape(3, 2, 2)
    mask = np.array([[False, True], [False, False]])

    np.testing.assert_array_equal(median(stack, mask=mask), [[4, np.nan], [6, 7]])


def test_negative_zero_keeps_its_sign() -> None:
    for n in (1, 2, 5, 6):
        result = median(np.full((n, 1, 70), -0.0, np.float32))
        np.testing.assert_array_equal(np.signbit(result), True)


def test_middle_value_is_not_doubled_where_others_are_ignored() -> None:
    large = np.float32(3e38)

    assert median(np.array([[large], [np.nan]], np.float32)).tolist() == [large]


def test_order_of_images_does_not_matter_to_a_median() -> None:
    rng = np.random.default_rng(1)
    stack = rng.normal(size=(31, 5, 70)).astype(np.float32)
    stack[holes(stack, 2, 0.1)] = np.nan

    assert median(stack).tobytes() == median(stack[rng.permutation(31)]).tobytes()


def test_large_stacks_are_spread_over_processors_with_the_same_result() -> None:
    stack = np.random.default_rng(3).normal(size=(9, 600, 601)).astype(np.float32)

    np.testing.assert_array_equal(median(stack), np.median(stack, axis=0))
    np.testing.assert_array_equal(nansum(stack), stack.sum(axis=0, dtype=np.float64))


def test_stack_need_not_be_contiguous_or_writeable() -> None:
    base = np.random.default_rng(4).normal(size=(7, 20, 30)).astype(np.float32)
    base.flags.writeable = False
    for stack in (base[:, ::2, ::-1], base.transpose(2, 0, 1), np.asfortranarray(base)):
        np.testing.assert_array_equal(median(stack), np.median(stack, axis=0))


@pytest.mark.parametrize("shape", [(3, 0, 5), (3, 5, 0)])
def test_images_without_pixels_give_one_without_pixels(shape: tuple[int, ...]) -> None:
    assert median(np.ones(shape)).shape == shape[1:]


@settings(max_examples=40, deadline=None)
@given(stacks(["<f4", ">f8", "<u2", "i4", "u1"]), st.integers(0, 9), st.sampled_from([0.0, 0.3, 0.95]))
def test_mean_and_sum_are_those_of_numpy_in_float64(stack: NDArray[Any], seed: int, share: float) -> None:
    mask = holes(stack, seed, share)
    values = np.where(mask, np.nan, stack.astype(np.float64))
    # A lone pixel is added pairwise by numpy.
    values = np.concatenate([values, values], axis=2)
    stack, mask = np.concatenate([stack, stack], axis=2), np.concatenate([mask, mask], axis=2)

    np.testing.assert_array_equal(nansum(stack, mask=mask), reference(np.nansum, values, axis=0))
    np.testing.assert_array_equal(mean(stack, mask=mask), reference(np.nanmean, values, axis=0))


def test_pixel_with_nothing_left_is_nan_but_zero_in_a_sum() -> None:
    stack = np.full((3, 2, 2), np.nan, np.float32)

    assert np.isnan(median(stack)).all()
    assert np.isnan(mean(stack)).all()
    assert (nansum(stack) == 0).all()


def test_planes_are_mean_standard_error_and_number_of_values() -> None:
    stack = np.random.default_rng(5).normal(100, 5, (12, 4, 6))
    stack[3, 1, 2] = np.nan
    stack[7, 0, 0] = 1e6
    kept = np.ma.masked_invalid(stack)
    kept[7, 0, 0] = np.ma.masked

    planes = clipped_mean_planes(stack, sigma=3.0)

    assert planes.n_kept[0, 0] == 11
    assert planes.n_kept[1, 2] == 11
    np.testing.assert_array_equal(planes.n_kept, kept.count(axis=0))
    np.testing.assert_allclose(planes.mean, kept.mean(axis=0).filled(np.nan), rtol=1e-14)
    np.testing.assert_allclose(
        planes.uncertainty, kept.std(axis=0, ddof=1) / np.sqrt(kept.count(axis=0)), rtol=1e-12
    )


def test_uncertainty_of_a_single_value_is_not_known() -> None:
    planes = clipped_mean_planes(np.array([[5.0, 5.0, np.nan], [np.nan, 7.0, np.nan]]))

    np.testing.assert_array_equal(planes.mean, [5.0, 6.0, np.nan])
    np.testing.assert_array_equal(planes.uncertainty, [np.nan, 1.0, np.nan])
    assert planes.n_kept.tolist() == [1, 2, 0]


def test_weights_that_are_inverse_variances_give_the_propagated_error() -> None:
    stack = np.array([[10.0, 1.0], [20.0, np.nan], [30.0, np.nan]], np.float32)
    weights = np.array([1.0, 2.0, 1.0])

    planes = clipped_mean_planes(stack, None, weights=weights)

    np.testing.assert_array_equal(planes.mean, [20.0, 1.0])
    np.testing.assert_array_equal(planes.uncertainty, [0.5, 1.0])
    assert planes.n_kept.tolist() == [3, 1]


def test_weighted_mean_is_that_of_numpy() -> None:
    rng = np.random.default_rng(6)
    stack = rng.normal(size=(8, 5, 7))
    weights = rng.random(stack.shape)
    mask = holes(stack, 7, 0.2)
    expected = np.ma.average(np.ma.array(stack, mask=mask), axis=0, weights=weights)

    np.testing.assert_allclose(weighted_mean(stack, weights, mask=mask), expected.filled(np.nan), rtol=1e-13)


def test_value_without_a_usable_weight_is_ignored() -> None:
    stack = np.array([[1.0], [2.0], [3.0], [4.0], [9.0]])

    assert weighted_mean(stack, [1.0, 0.0, np.nan, np.inf, -1.0]).tolist() == [1.0]


def test_weights_do_not_change_what_is_clipped() -> None:
    stack = np.r_[np.zeros(15), 100.0].reshape(16, 1)

    planes = clipped_mean_planes(stack, weights=np.r_[np.ones(15), 1e9])

    assert planes.mean.tolist() == [0.0]
    assert planes.n_kept.tolist() == [15]


@pytest.mark.parametrize("stack", [np.empty((0, 3, 3)), np.float64(3)])
def test_no_image_is_an_alert(stack: Any) -> None:
    with pytest.raises(Alert, match="no images"):
        median(stack)


@pytest.mark.parametrize("stack", [np.ones((2, 2), complex), np.array([["a"]]), np.ones((2, 2), "M8[s]")])
def test_what_is_no_real_number_is_a_type_error(stack: Any) -> None:
    with pytest.raises(TypeError, match="no statistics"):
        median(stack)


def test_mask_or_weights_that_do_not_fit_are_an_alert() -> None:
    stack = np.ones((3, 4, 5))
    with pytest.raises(Alert, match=r"mask of shape \(3, 4\)"):
        median(stack, mask=np.zeros((3, 4), bool))
    with pytest.raises(TypeError, match="boolean"):
        median(stack, mask=np.zeros((3, 4, 5)))
    with pytest.raises(Alert, match=r"Weights of shape \(4, 5\)"):
        weighted_mean(stack, np.ones((4, 5)))
