"""Networks sort, and pruned ones find the median, for every number of values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from runstart.images._networks import apply_network, median_network, sorting_network


@pytest.mark.parametrize("n", range(1, 12))
def test_network_that_sorts_all_zeros_and_ones_sorts_everything(n: int) -> None:
    values = np.array(list(itertools.product([0, 1], repeat=n)), np.int32).T.copy()
    expected = np.sort(values, axis=0)
    middle = values.copy()

    apply_network(sorting_network(n), values, values.shape[1])
    apply_network(median_network(n), middle, middle.shape[1])

    np.testing.assert_array_equal(values, expected)
    for row in ((n - 1) // 2, n // 2):
        np.testing.assert_array_equal(middle[row], expected[row])


@pytest.mark.parametrize("n", [17, 20, 33, 64, 81, 127, 128, 257, 999])
def test_network_sorts_random_values(n: int) -> None:
    values = np.random.default_rng(n).integers(0, 1000, (n, 64)).astype(np.int32)
    expected = np.sort(values, axis=0)
    middle = values.copy()

    apply_network(sorting_network(n), values, 64)
    apply_network(median_network(n), middle, 64)

    np.testing.assert_array_equal(values, expected)
    for row in ((n - 1) // 2, n // 2):
        np.testing.assert_array_equal(middle[row], expected[row])


def test_finding_the_median_takes_fewer_comparisons_than_sorting() -> None:
    assert len(median_network(20)) < 0.9 * len(sorting_network(20))


def test_pixels_behind_the_wanted_ones_are_left_alone() -> None:
    values = np.array([[3, 3], [1, 1]], np.int32)

    apply_network(sorting_network(2), values, 1)

    assert values.tolist() == [[1, 3], [3, 1]]
