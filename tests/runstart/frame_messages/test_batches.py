"""Batches as messages: read back as they were, by others too, and refused when anything about them cannot be."""

from __future__ import annotations

import math
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_messages import (
    FRAME,
    SCAN,
    images_message,
    make_events,
    make_images,
    read_as_others,
    scan_info,
    to_messages,
)

from runstart.errors import Alert
from runstart.frame_files import batch_header, encode_batch
from runstart.frame_messages import Batch, ScanInfo, batch_message, batches, read_batch
from runstart.frames import DenseFrames, Frames, SparseFrames
from runstart.operators import BytesMessage, MessageHeader


@st.composite
def _batches(draw: st.DrawFn) -> Batch:
    scan_shape = draw(st.tuples(st.integers(1, 300), st.integers(1, 300)))
    frame_shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    count = draw(st.integers(1, 12))
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    positions = chance.integers(0, math.prod(scan_shape), count)
    frames: Frames
    if draw(st.booleans()):
        dtype = draw(st.sampled_from(["uint8", "uint16", "float32"]))
        frames = DenseFrames(positions, chance.integers(0, 255, (count, *frame_shape)).astype(dtype))
    else:
        lengths = chance.integers(0, 5, count)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        events = chance.integers(0, math.prod(frame_shape), starts[-1]).astype(np.uint32)
        frames = SparseFrames(positions, starts, events, frame_shape)
    scan = ScanInfo(draw(st.integers(0, 2**40)), scan_shape, frame_shape, draw(st.none() | st.integers(0, 2**30)))
    numbers = chance.integers(0, 2**32, count) if draw(st.booleans()) else None
    return Batch(scan, frames, numbers, draw(st.none() | st.integers(0, 9)), draw(st.none() | st.integers(0, 9)))


def _same(one: Batch, other: Batch) -> bool:
    mine, its = one.frames, other.frames
    if isinstance(mine, DenseFrames) and isinstance(its, DenseFrames):
        equal = mine.pixels.dtype == its.pixels.dtype and np.array_equal(mine.pixels, its.pixels)
    else:
        assert isinstance(mine, SparseFrames)
        assert isinstance(its, SparseFrames)
        equal = np.array_equal(mine.events, its.events) and np.array_equal(mine.starts, its.starts)
    numbers = np.array_equal(one.numbers, other.numbers) if one.numbers is not None else other.numbers is None
    rest = (one.scan, one.index, one.total) == (other.scan, other.index, other.total)
    return bool(equal and numbers and rest and np.array_equal(mine.positions, its.positions))


@given(_batches())
def test_a_batch_is_read_back_as_it_was_by_us_and_by_others(batch: Batch) -> None:
    message = batch_message(batch)
    assert _same(read_batch(message), batch)
    header, frames = read_as_others(message)
    assert _same(Batch(batch.scan, frames, batch.numbers, batch.index, batch.total), batch)
    assert (header.scan_number, header.total_frames) == (batch.scan.scan_number, batch.scan.total_frames)
    assert [one.frame_number for one in header.headers] == (
        [None] * len(frames) if batch.numbers is None else batch.numbers.tolist()
    )


@pytest.mark.parametrize("number", [0, 2**32 - 1, 2**32])
def test_a_number_of_the_scan_is_not_taken_for_one_of_a_frame(number: int) -> None:
    batch = Batch(scan_info(number, number), make_events(), np.full(42, 2**32 - 1))
    assert _same(read_batch(batch_message(batch)), batch)


@given(_batches())
def test_a_batch_of_others_is_read(batch: Batch) -> None:
    header = batch_header(
        batch.frames,
        batch.scan.scan_shape,
        scan_number=batch.scan.scan_number,
        frame_numbers=batch.numbers,
        total_frames=batch.scan.total_frames,
        total_batches=batch.total,
        current_batch_index=batch.index,
    )
    meta, data = encode_batch(header, batch.frames)
    assert _same(read_batch(BytesMessage(MessageHeader(meta=meta), data)), batch)


@pytest.mark.parametrize("message", [to_messages(make_events())[0], images_message(make_images())])
def test_our_own_batches_are_read_without_a_look_at_each_header(
    message: BytesMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_batch(message)
    monkeypatch.delattr(batches, "decode_batch")
    assert _same(read_batch(message), expected)


@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_a_damaged_byte_is_refused_or_gives_another_sound_batch(at: int, value: int, in_meta: bool) -> None:
    message = to_messages(make_events())[1]
    meta, data = bytearray(message.header.meta), bytearray(message.data)  # type: ignore[arg-type]
    part = meta if in_meta else data
    part[at % len(part)] = value
    try:
        batch = read_batch(BytesMessage(MessageHeader(meta=bytes(meta)), bytes(data)))
    except Alert:
        return
    assert isinstance(batch.frames, SparseFrames)
    assert batch.frames.events.max(initial=0) < math.prod(batch.scan.frame_shape)
    assert 0 <= batch.frames.positions.min() <= batch.frames.positions.max() < batch.scan.positions
    assert batch.frames.starts[-1] == len(batch.frames.events)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("batch_size_bytes", 7, "batch_size_bytes is 7"),
        ("scan_number", 99, "a frame of scan 1 in a batch of scan 99"),
        ("total_frames", -1, "total_frames"),
    ],
)
def test_headers_that_contradict_each_other_are_refused(field: str, value: int, told: str) -> None:
    message = to_messages(make_events())[0]
    meta = msgpack.unpackb(message.header.meta)
    meta[field] = value
    headers = meta.pop("headers")
    damaged = msgpack.packb({**meta, "headers": headers})
    with pytest.raises(Alert, match=told):
        read_batch(BytesMessage(MessageHeader(meta=damaged), message.data))


@pytest.mark.parametrize("cut", [1, 4, 1000])
def test_data_that_are_short_or_long_are_refused(cut: int) -> None:
    message = to_messages(make_events())[0]
    for data in (bytes(message.data)[:-cut], bytes(message.data) + bytes(cut)):
        with pytest.raises(Alert, match="bytes of data"):
            read_batch(BytesMessage(message.header, data))


def test_what_is_no_batch_is_refused() -> None:
    for meta in (b"", b"{}", b"garbage", {}, {"shape": [1], "dtype": "uint8"}, {"scan_number": 2**70}):
        with pytest.raises(Alert):
            read_batch(BytesMessage(MessageHeader(meta=meta), b"1234"))


def test_frames_that_do_not_fit_are_not_sent() -> None:
    events = make_events()
    batch = Batch(scan_info(), events)
    outside = replace(batch, frames=replace(events, events=events.events + np.uint32(FRAME[0] * FRAME[1])))
    far = replace(batch, frames=replace(events, positions=events.positions + SCAN[0] * SCAN[1]))
    none = replace(batch, frames=DenseFrames(np.zeros(0, np.int64), np.zeros((0, *FRAME), np.uint8)))
    for wrong, told in ((outside, "an event outside"), (far, "a position outside"), (none, "at least one frame")):
        with pytest.raises(ValueError, match=told):
            batch_message(wrong)
    with pytest.raises(Alert, match="Pixels of uint32 cannot be sent"):
        batch_message(replace(batch, frames=make_images(dtype="uint32")))
