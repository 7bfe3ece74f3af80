"""Networks sort, and pruned ones find the median, for every number of values."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runstart.images._networks import BLOCK, empty_block, median_network, sort_block, sorting_network

PAD = np.float32(np.inf)


def sort(network: NDArray[np.int32], values: NDArray[Any]) -> NDArray[Any]:
    """Sort columns in blocks, all of them in the same block, as the kernels do."""
    n, n_columns = values.shape
    block = empty_block(values, PAD)
    result = np.empty_like(values)
    for first in range(0, n_columns, BLOCK):
        n_here = min(BLOCK, n_columns - first)
        block[:n, :n_here] = values[:, first : first + n_here]
        sort_block(network, block)
        result[:, first : first + n_here] = block[:n, :n_here]
        assert (block[n:] == PAD).all()
    return result


def assert_sorts(values: NDArray[Any]) -> None:
    n = len(values)
    expected = np.sort(values, axis=0)
    middle = sort(median_network(n), values)

    np.testing.assert_array_equal(sort(sorting_network(n), values), expected)
    for row in ((n - 1) // 2, n // 2):
        np.testing.assert_array_equal(middle[row], expected[row])


@pytest.mark.parametrize("n", range(1, 13))
def test_network_that_sorts_all_zeros_and_ones_sorts_everything(n: int) -> None:
    assert_sorts(np.array(list(itertools.product([0, 1], repeat=n)), np.float32).T.copy())


@pytest.mark.parametrize("n", [16, 24, 40, 65])
def test_groups_with_any_number_of_ones_are_sorted(n: int) -> None:
    # All groups are sorted first, so only the number of ones in each matters.
    n_groups = -(-n // 8)
    choices = range(9) if n_groups <= 3 else (0, 3, 4, 8) if n_groups <= 5 else (0, 8)
    ones = np.array(list(itertools.product(choices, repeat=n_groups))).T
    values = np.arange(8)[None, :, None] < ones[:, None, :]

    assert_sorts(values.reshape(8 * n_groups, -1)[:n].astype(np.float32))


@pytest.mark.parametrize("n", [*range(13, 100), 127, 128, 257, 999])
def test_network_sorts_random_values(n: int) -> None:
    assert_sorts(np.random.default_rng(n).integers(0, 1000, (n, BLOCK + 3)).astype(np.float32))


def test_finding_the_median_takes_fewer_merges_than_sorting() -> None:
    assert len(median_network(100)) < len(sorting_network(100))
