"""Stacks with planes in scratch files."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.operations._spilled_stack import SpilledStack


@settings(max_examples=30, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5),
    memory_limit=st.integers(3_000, 30_000),
    has_planes=st.booleans(),
)
def test_bands_put_together_are_the_cropped_stack(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, int]], memory_limit: int, has_planes: bool
) -> None:
    rng = np.random.default_rng(1)
    stack = SpilledStack(tmp_path_factory.mktemp("spilled"))
    images, masks = [], []
    for shape in shapes:
        images.append(rng.normal(size=shape).astype("f4"))
        masks.append(rng.integers(0, 3, shape).astype("u2"))
        stack.add(images[-1], np.full(shape, 2.0, "f4") if has_planes else None, masks[-1] if has_planes else None)
    bands = list(stack.bands(memory_limit))
    rows, columns = stack.shape
    assert (rows, columns) == tuple(np.min(shapes, axis=0))
    assert [band.rows.start for band in bands[1:]] == [band.rows.stop for band in bands[:-1]]
    np.testing.assert_array_equal(
        np.concatenate([band.data for band in bands], axis=1), [image[:rows, :columns] for image in images]
    )
    cropped = np.array([mask[:rows, :columns] if has_planes else np.zeros((rows, columns)) for mask in masks])
    np.testing.assert_array_equal(np.concatenate([band.flagged for band in bands], axis=1), cropped != 0)
    bits = np.bitwise_or.reduce(cropped.astype("u2"), axis=0)
    np.testing.assert_array_equal(np.concatenate([band.bits for band in bands]), bits)
    assert all((band.variance is not None) == has_planes for band in bands)


def test_what_is_not_finite_or_of_unknown_uncertainty_is_out(tmp_path: Path) -> None:
    stack = SpilledStack(tmp_path)
    data, uncertainty = np.ones((2, 4), "f4"), np.ones((2, 4), "f4")
    data[0, :2] = np.nan, np.inf
    uncertainty[1, :3] = np.nan, 0, np.inf
    stack.add(data, uncertainty)
    (band,) = stack.bands(10**6)
    assert band.flagged[0].tolist() == [[True, True, False, False], [True, True, True, False]]


def test_one_image_without_uncertainty_leaves_all_without(tmp_path: Path) -> None:
    stack = SpilledStack(tmp_path)
    stack.add(np.ones((2, 4), "f4"), np.ones((2, 4), "f4"))
    stack.add(np.ones((2, 4), "f4"))
    (band,) = stack.bands(10**6)
    assert band.variance is None


def test_a_limit_below_one_row_is_an_alert(tmp_path: Path) -> None:
    stack = SpilledStack(tmp_path)
    stack.add(np.ones((2, 1000), "f4"))
    with pytest.raises(Alert, match="too small for one row of 1 images"):
        next(stack.bands(1000))


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    (tmp_path / "stack-0000.data").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        SpilledStack(tmp_path).add(np.ones((100, 1000), "f4"))
    assert caught.value.errno == errno.ENOSPC
