"""Sums of events inside a rectangle are those of the frames' own pass, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_messages import make_events, scan_info

from runstart.errors import Alert
from runstart.frame_messages import Batch, ScanInfo, partial_message, read_partial, sum_moments
from runstart.frames import Crop, FramePass, Partial, SparseFrames, crop_mask
from runstart.operators import BytesMessage, MessageHeader

LENGTHS = st.integers(1, 5000)
HALVES = st.floats(0, 3000, allow_nan=False)
CENTERS = st.floats(-10, 5000, allow_nan=False)


def _equal(one: Partial, other: Partial) -> bool:
    names = ("positions", "frames", "intensity", "row_moment", "column_moment")
    return all(
        getattr(one, name).dtype == getattr(other, name).dtype
        and np.array_equal(getattr(one, name), getattr(other, name))
        for name in names
    )


@settings(deadline=None)  # the first call loads numba
@given(LENGTHS, LENGTHS, HALVES, HALVES, CENTERS, CENTERS, st.integers(0, 2**32))
def test_they_equal_the_pass_over_the_frames_for_any_shape_and_rectangle(
    rows: int, columns: int, half_rows: float, half_columns: float, row: float, column: float, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    lengths = chance.integers(0, 30, 8)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    events = chance.integers(0, rows * columns, starts[-1]).astype(np.uint32)
    events[:1] = rows * columns - 1
    frames = SparseFrames(chance.integers(0, 5, 8), starts, events, (rows, columns))
    crop, center = Crop(half_rows=half_rows, half_columns=half_columns), (row, column)
    found = sum_moments(Batch(ScanInfo(1, (1, 5), (rows, columns)), frames), crop, center)
    mask = crop_mask(crop, center, (rows, columns))
    assert _equal(found, FramePass((rows, columns), "sparse", crop=mask, sum_frames=False).process(frames))


@pytest.mark.parametrize("shape", [(2**26, 1), (1, 2**26), (8191, 8192), (8192, 8191), (5793, 11583)])
def test_rows_are_exact_in_the_largest_frames(shape: tuple[int, int]) -> None:
    edges = np.arange(max(shape[0] - 1000, 0), shape[0]) * shape[1]
    events = np.unique(np.concatenate([edges, edges - 1, [0, math.prod(shape) - 1]]).clip(0)).astype(np.uint32)
    frames = SparseFrames(np.arange(len(events)), np.arange(len(events) + 1), events, shape)
    batch = Batch(ScanInfo(1, (1, len(events)), shape), frames)
    found = sum_moments(batch, Crop(half_rows=1e5, half_columns=1e5), (shape[0] - 1.0, shape[1] - 1.0))
    rows, columns = np.divmod(events.astype(np.int64), shape[1])
    inside = (rows > shape[0] - 1 - 1e5) & (columns > shape[1] - 1 - 1e5)
    assert found.row_moment is not None
    assert found.column_moment is not None
    assert np.array_equal(found.row_moment, rows * inside)
    assert np.array_equal(found.column_moment, columns * inside)


def test_sums_travel_as_they_are() -> None:
    batch = Batch(scan_info(3, 42), make_events())
    partial = sum_moments(batch, Crop(half_rows=9, half_columns=9), (12.0, 15.0))
    scan, found = read_partial(partial_message(batch.scan, partial))
    assert scan == batch.scan
    assert _equal(found, partial)


def test_what_are_no_sums_of_the_scan_that_is_named_is_refused() -> None:
    batch = Batch(scan_info(), make_events())
    good = partial_message(batch.scan, sum_moments(batch, Crop(half_rows=9, half_columns=9), (12.0, 15.0)))
    bare = partial_message(batch.scan, Partial(batch.scan.frame_shape, np.arange(1), np.ones(1, np.uint32)))
    meta = good.header.meta
    assert isinstance(meta, dict)
    for message, told in (
        (BytesMessage(good.header, b"PK garbage"), "holds no sums: the archive"),
        (BytesMessage(MessageHeader(meta={}), good.data), "scan_number of its meta"),
        (BytesMessage(MessageHeader(meta=meta | {"frame_shape": [4, 4]}), good.data), "not of a scan of"),
        (BytesMessage(MessageHeader(meta=meta | {"scan_shape": [2**20, 2**20]}), good.data), "cannot be"),
        (bare, "holds no moments"),
    ):
        with pytest.raises(Alert, match=told):
            read_partial(message)
