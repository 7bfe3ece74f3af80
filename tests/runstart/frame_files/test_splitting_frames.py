"""Frames are put into batches by their bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runstart.frame_files import RawWriter, ScanHeader, open_frames, read_batches, split_into_batches

SIZES = st.lists(st.integers(1, 50), max_size=40).map(lambda sizes: np.array(sizes, np.int64))


@given(SIZES, st.integers(1, 120), st.integers(0, 9))
def test_every_frame_is_in_one_batch_in_order(sizes: NDArray[np.int64], limit: int, start: int) -> None:
    ranges = list(split_into_batches(sizes, limit, start))
    covered = [index for first, last in ranges for index in range(first, last)]
    assert covered == list(range(start, start + len(sizes)))


@given(SIZES, st.integers(1, 120))
def test_a_batch_exceeds_the_limit_only_by_a_frame_alone_and_none_could_be_longer(
    sizes: NDArray[np.int64], limit: int
) -> None:
    for first, last in split_into_batches(sizes, limit):
        assert sizes[first:last].sum() <= limit or last == first + 1
        assert last == len(sizes) or sizes[first : last + 1].sum() > limit


def test_a_batch_of_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        list(split_into_batches(np.ones(2, np.int64), 0))


def test_batches_give_all_frames(tmp_path: Path, header: ScanHeader, pixels: NDArray[np.uint16]) -> None:
    with RawWriter(tmp_path / "a.frames", header) as writer:
        writer.append(pixels)
    with open_frames(tmp_path / "a.frames") as source:
        batches = list(read_batches(source, 5 * 60))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    assert np.array_equal(np.concatenate([batch.pixels for batch in batches]), pixels)
