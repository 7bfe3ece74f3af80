"""Batches of a detector stream, alone and in files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files import (
    BatchedFrameHeader,
    BatchWriter,
    batch_header,
    decode_batch,
    encode_batch,
    open_frames,
    read_batches,
    split_scan,
)
from runstart.frames import DenseFrames, SparseFrames

SCAN, FRAME = (3, 4), (6, 5)


@st.composite
def sparse(draw: st.DrawFn, least: int = 1) -> SparseFrames:
    lists = draw(st.lists(st.lists(st.integers(0, 29), max_size=5), min_size=least, max_size=8))
    positions = draw(st.lists(st.integers(0, 11), min_size=len(lists), max_size=len(lists)))
    starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    events = np.array(list(itertools.chain(*lists)), np.uint32)
    return SparseFrames(np.array(positions, np.int64), starts, events, FRAME)


def same(one: Any, other: Any) -> bool:
    return bool(
        np.array_equal(one.positions, other.positions)
        and np.array_equal(one.starts, other.starts)
        and np.array_equal(one.events, other.events)
        and one.frame_shape == other.frame_shape
    )


@settings(max_examples=60, deadline=None)
@given(sparse())
def test_a_batch_comes_back_as_it_was_sent(frames: SparseFrames) -> None:
    header = batch_header(frames, SCAN, scan_number=4, total_frames=12, current_batch_index=1)
    found, decoded = decode_batch(*encode_batch(header, frames))
    assert found == header
    assert same(decoded, frames)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pixels_come_back_as_they_were_sent(pixels: NDArray[Any], dtype: str) -> None:
    frames = DenseFrames(np.array([2, 2, 11]), (pixels[:3] % 250).astype(dtype))
    found = decode_batch(*encode_batch(batch_header(frames, SCAN), frames))[1]
    assert isinstance(found, DenseFrames)
    assert found.positions.tolist() == [2, 2, 11]
    assert found.pixels.tobytes() == frames.pixels.tobytes()


def test_the_header_has_the_field_names_of_the_messages(events: SparseFrames) -> None:
    meta, data = encode_batch(batch_header(events, SCAN, scan_number=4), events)
    fields = msgpack.unpackb(meta)
    assert set(fields) == {"scan_number", "headers", "batch_size_bytes"}
    assert fields["headers"][6] == {
        "scan_number": 4,
        "nSTEM_positions_per_row_m1": 4,
        "nSTEM_rows_m1": 3,
        "STEM_x_position_in_row": 3,
        "STEM_row_in_scan": 0,
        "modules": [0, 1, 2, 3],
        "frame_shape": [6, 5],
        "data_size_bytes": 4 * len(events.frame(6)),
        "dtype": "uint32",
    }
    assert fields["batch_size_bytes"] == len(data)


def altered(events: SparseFrames, change: Any) -> bytes:
    fields = msgpack.unpackb(encode_batch(batch_header(events, SCAN), events)[0])
    change(fields)
    return bytes(msgpack.packb(fields))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.update(batch_size_bytes=f["batch_size_bytes"] + 4), "but its frames have"),
        (lambda f: f.update(headers=[]), "wrong at headers"),
        (lambda f: f["headers"][1].update(scan_number=9), "a frame of scan 9 in a batch of scan 0"),
        (lambda f: f["headers"][1].update(STEM_row_in_scan=3), "outside the scan"),
        (lambda f: f["headers"][1].update(STEM_x_position_in_row=-1), "wrong at headers.1.STEM_x"),
        (lambda f: f["headers"][1].update(frame_shape=[5, 6]), "different shapes"),
        (lambda f: [one.update(dtype="float64") for one in f["headers"]], "type float64, which cannot be read"),
        (lambda f: [one.update(dtype="uint16") for one in f["headers"]], "does not fit uint16"),
        (lambda f: [one.update(nSTEM_rows_m1=10**9) for one in f["headers"]], "wrong at headers.0.nSTEM_rows_m1"),
        (lambda f: f.pop("scan_number"), "wrong at scan_number"),
    ],
)
def test_a_header_that_cannot_be_is_refused(events: SparseFrames, change: Any, said: str) -> None:
    data = events.events.tobytes()
    with pytest.raises(Alert, match=said):
        decode_batch(altered(events, change), data)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data[:-4], lambda data: data + b"left"])
def test_data_shorter_or_longer_than_the_header_says_are_refused(events: SparseFrames, change: Any) -> None:
    meta, data = encode_batch(batch_header(events, SCAN), events)
    with pytest.raises(Alert, match="bytes of data, but says that it has"):
        decode_batch(meta, change(data))


def test_an_event_outside_the_frame_is_refused(events: SparseFrames) -> None:
    meta, data = encode_batch(batch_header(events, SCAN), events)
    with pytest.raises(Alert, match=r"event at pixel 30, outside the frame of \(6, 5\)"):
        decode_batch(meta, np.uint32(30).tobytes() + data[4:])


@pytest.mark.parametrize("meta", [b"", b"\xc1", b"\x81\xa1", b"\x01\x02", b"\x91" * 5000, b"\xdf\xff\xff\xff\xff"])
def test_what_is_no_messagepack_is_refused(meta: bytes) -> None:
    with pytest.raises(Alert):
        decode_batch(meta, b"")


@settings(max_examples=60, deadline=None)
@given(sparse(), st.integers(1, 90))
def test_batches_hold_whole_positions_in_order_below_the_size(frames: SparseFrames, limit: int) -> None:
    batches = list(split_scan(frames, limit))
    positions = np.concatenate([batch.positions for batch in batches])
    assert positions.tolist() == sorted(frames.positions.tolist())
    for batch, behind in itertools.pairwise(batches):
        assert batch.positions[-1] < behind.positions[0]
        first = behind.events[: behind.starts[np.sum(behind.positions == behind.positions[0])]]
        assert batch.events.nbytes + first.nbytes >= limit
    for batch in batches:
        assert batch.events.nbytes < limit or len(set(batch.positions.tolist())) == 1 or limit <= 4


def write(path: Path, frames: SparseFrames, size: int = 60, **options: Any) -> bytes:
    with BatchWriter(path) as writer:
        for batch in split_scan(frames, size):
            writer.write(batch_header(batch, SCAN, scan_number=4, **options), batch)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.batches"


@pytest.mark.parametrize("size", [1, 60, 10_000])
def test_a_file_of_batches_gives_frames_of_any_range(path: Path, events: SparseFrames, size: int) -> None:
    write(path, events, size, total_frames=24)
    with open_frames(path) as source:
        assert (source.header.scan, source.header.scan_shape, source.header.is_sparse) == ("4", SCAN, True)
        assert (source.frame_count, source.is_closed, source.header.frames_per_position) == (23, True, 2)
        for start, stop in ((0, 23), (3, 19), (7, 7), (22, 23)):
            found = source.read(start, stop)
            first, last = events.starts[start], events.starts[stop]
            expected = SparseFrames(
                events.positions[start:stop],
                events.starts[start : stop + 1] - first,
                events.events[first:last],
                FRAME,
            )
            assert same(found, expected)
        assert source.sizes(0, 23).tolist() == (np.diff(events.starts) * 4 + 16).tolist()


def test_slots_are_the_running_number_at_each_position(path: Path, events: SparseFrames) -> None:
    write(path, events, total_frames=24)
    with open_frames(path) as source:
        assert source.slots(0, 23).tolist() == [slot for slot in range(24) if slot != 11]


def test_slots_are_the_frame_numbers_where_these_are_told(path: Path, events: SparseFrames) -> None:
    numbers = np.array([slot for slot in range(24) if slot != 10])
    with BatchWriter(path) as writer:
        writer.write(batch_header(events, SCAN, frame_numbers=numbers, total_frames=24), events)
    with open_frames(path) as source:
        assert source.slots(0, 23).tolist() == numbers.tolist()


def test_frames_too_many_at_a_position_share_its_last_slot(path: Path, events: SparseFrames) -> None:
    write(path, events)
    with open_frames(path) as source:
        assert source.header.frames_per_position == 1
        assert source.slots(0, 23).tolist() == events.positions.tolist()


def test_pixels_in_a_file_of_batches_are_read(path: Path, pixels: NDArray[Any]) -> None:
    with BatchWriter(path) as writer:
        for start in (0, 5):
            frames = DenseFrames(np.arange(start, start + 5), pixels[start : start + 5])
            writer.write(batch_header(frames, SCAN), frames)
    with open_frames(path) as source:
        assert source.header.dtype == "uint16"
        assert np.array_equal(np.concatenate([batch.pixels for batch in read_batches(source, 200)]), pixels[:10])


def test_a_reader_follows_a_writer_by_whole_batches(path: Path, events: SparseFrames) -> None:
    whole = write(path, events)
    first = len(b"RSBATCH1") + 12 + int.from_bytes(whole[8:12], "little") + int.from_bytes(whole[12:20], "little")
    path.write_bytes(whole[:first])
    with open_frames(path) as source, path.open("ab") as file:
        counts = [source.frame_count]
        for start in range(first, len(whole), 31):
            file.write(whole[start : start + 31])
            file.flush()
            counts.append(source.look())
            assert same(source.read(0, counts[-1]), _first(events, counts[-1]))
        assert counts == sorted(counts)
        assert (counts[-1], source.is_closed) == (23, True)


def _first(events: SparseFrames, count: int) -> SparseFrames:
    starts = events.starts[: count + 1]
    return SparseFrames(events.positions[:count], starts, events.events[: starts[-1]], FRAME)


def test_a_damaged_frame_is_read_without_events_and_position(path: Path, events: SparseFrames) -> None:
    data = write(path, events, 10_000)
    index = int(np.flatnonzero(np.diff(events.starts))[3])
    place = data.index(events.events.tobytes()) + 4 * int(events.starts[index])
    path.write_bytes(data[:place] + np.uint32(30).tobytes() + data[place + 4 :])
    with open_frames(path) as source:
        found = source.read(0, 23)
        assert isinstance(found, SparseFrames)
        assert np.flatnonzero(found.positions != events.positions).tolist() == [index]
        assert (found.positions[index], len(found.frame(index)), source.damaged) == (-1, 0, 1)
        assert all(np.array_equal(found.frame(i), events.frame(i)) for i in range(23) if i != index)


def test_a_batch_of_another_scan_is_refused(path: Path, events: SparseFrames) -> None:
    with BatchWriter(path) as writer:
        for number in (4, 5):
            writer.write(batch_header(events, SCAN, scan_number=number), events)
    with pytest.raises(Alert, match="has the scan_number 5; the batches before have 4"):
        open_frames(path)


@pytest.mark.parametrize("place", [slice(12, 20), slice(-8, None)])
def test_lengths_that_lie_are_refused(path: Path, events: SparseFrames, place: slice) -> None:
    data = bytearray(write(path, events))
    data[place] = (2**60).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(Alert, match=r"claims \d+ bytes of data|says at its end"):
        open_frames(path)


def test_bytes_behind_the_end_are_refused(path: Path, events: SparseFrames) -> None:
    path.write_bytes(write(path, events) + b"x")
    with pytest.raises(Alert, match="1 bytes behind its end"):
        open_frames(path)


def test_frames_that_are_not_the_headers_are_not_written(events: SparseFrames) -> None:
    header: BatchedFrameHeader = batch_header(events, SCAN)
    with pytest.raises(ValueError, match="not those of the header"):
        encode_batch(header, _first(events, 22))
