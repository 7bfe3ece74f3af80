"""Our raw files, growing, closed, damaged; and raw files of others, described by JSON."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files import FileBlob, RawWriter, ScanHeader, open_frames
from runstart.frame_files.raw import open_raw

RECORDS = pytest.mark.parametrize("slot_records", [True, False])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.frames"


def write(path: Path, header: ScanHeader, pixels: NDArray[Any], slots: Any = None, **options: bool) -> bytes:
    with RawWriter(path, header, **options) as writer:
        writer.append(pixels, slots)
    return path.read_bytes()


@settings(max_examples=40, deadline=None)
@given(data=st.data(), slot_records=st.booleans(), dtype=st.sampled_from(["uint8", "uint16", "uint32", "float32"]))
def test_frames_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, slot_records: bool, dtype: str
) -> None:
    shape = data.draw(st.tuples(st.integers(0, 6), st.integers(1, 7), st.integers(1, 7)))
    pixels = data.draw(hnp.arrays(dtype, shape))
    slots = None
    if slot_records:
        slots = data.draw(st.lists(st.integers(0, 11), min_size=shape[0], max_size=shape[0]))
    header = ScanHeader((2, 3), shape[1:], dtype, 2, "9", "", {"voltage_kv": 300.0})
    path = tmp_path_factory.mktemp("raw") / "a.frames"
    write(path, header, pixels, slots, slot_records=slot_records)
    expected = np.arange(shape[0]) if slots is None else np.array(slots, np.int64)
    with open_frames(path) as source:
        found = source.read(0, source.frame_count)
        assert source.header == header
        assert source.is_closed
        assert np.array_equal(source.slots(0, shape[0]), expected)
        assert np.array_equal(found.positions, expected // 2)
        assert found.pixels.tobytes() == pixels.tobytes()


@RECORDS
def test_the_same_frames_give_the_same_bytes(
    tmp_path: Path, header: ScanHeader, pixels: NDArray[Any], slot_records: bool
) -> None:
    once = write(tmp_path / "a.frames", header, pixels, slot_records=slot_records)
    assert once == write(tmp_path / "b.frames", header, pixels, slot_records=slot_records)


@RECORDS
def test_a_reader_follows_a_writer_by_whole_frames(
    path: Path, header: ScanHeader, pixels: NDArray[Any], slot_records: bool
) -> None:
    whole = write(path, header, pixels[:5], slot_records=slot_records)
    growing = path.with_name("growing.frames")
    first = 22 + int.from_bytes(whole[18:22], "little")
    growing.write_bytes(whole[:first])
    with open_frames(growing) as source:
        counts = []
        with growing.open("ab") as file:
            for start in range(first, len(whole), 7):
                file.write(whole[start : start + 7])
                file.flush()
                counts.append(source.look())
                assert np.array_equal(source.read(0, counts[-1]).pixels, pixels[: counts[-1]])
        assert counts == sorted(counts)
        assert (counts[-1], source.is_closed, source.damaged) == (5, True, 0)


@RECORDS
def test_a_file_without_its_end_is_open_until_all_frames_are_there(
    path: Path, header: ScanHeader, pixels: NDArray[Any], slot_records: bool
) -> None:
    writer = RawWriter(path, header, slot_records=slot_records)
    writer.append(pixels[:11])
    writer.flush()
    with open_frames(path) as source:
        assert (source.frame_count, source.is_closed) == (11, False)
        writer.append(pixels[11:])
        writer.abandon()
        assert (source.look(), source.is_closed) == (12, True)


def test_an_error_in_the_writer_leaves_the_file_open(path: Path, header: ScanHeader, pixels: NDArray[Any]) -> None:
    writer = RawWriter(path, header)
    writer.append(pixels[:3])
    with pytest.raises(RuntimeError, match="beam lost"), writer:
        raise RuntimeError("beam lost")
    with open_frames(path) as source:
        assert (source.frame_count, source.is_closed) == (3, False)


def test_repeated_frames_do_not_stand_for_missing_ones(
    path: Path, header: ScanHeader, pixels: NDArray[Any]
) -> None:
    writer = RawWriter(path, header)
    writer.append(pixels, [0, *range(11)])
    writer.flush()
    with open_frames(path) as source:
        assert (source.look(), source.is_closed) == (12, False)
        writer.append(pixels[:1], [11])
        writer.abandon()
        assert (source.look(), source.is_closed) == (13, True)


def test_slots_tell_dropped_and_repeated_frames(path: Path, header: ScanHeader, pixels: NDArray[Any]) -> None:
    write(path, header, pixels[:4], [0, 3, 3, 7])
    with open_frames(path) as source:
        assert source.slots(1, 4).tolist() == [3, 3, 7]


def test_a_frame_of_a_wrong_checksum_is_read_without_a_position(
    path: Path, header: ScanHeader, pixels: NDArray[Any]
) -> None:
    data = bytearray(write(path, header, pixels))
    place = data.index(pixels[4].tobytes())
    data[place + 30] ^= 1
    path.write_bytes(data)
    with open_raw(FileBlob(path)) as source:
        assert source.read(3, 6).positions.tolist() == [3, -1, 5]
        assert source.verify(0, 12).tolist() == [index != 4 for index in range(12)]
        assert source.damaged == 1


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_damaged_record_takes_the_slot_of_its_frame_only(
    path: Path, header: ScanHeader, pixels: NDArray[Any], is_closed: bool
) -> None:
    data = bytearray(write(path, header, pixels))
    place = data.index(pixels[4].tobytes()) - 16
    data[place : place + 8] = b"\xff" * 8
    path.write_bytes(data if is_closed else data[:-20])
    with open_frames(path) as source:
        read = source.read(0, 12).positions.tolist()
        assert read == [0, 1, 2, 3, -1, *range(5, 12)]
        assert source.slots(4, 5).tolist() == ([4] if is_closed else [-1])
        assert source.damaged == 1


def test_slots_of_a_closed_file_are_found_when_its_table_is_damaged(
    path: Path, header: ScanHeader, pixels: NDArray[Any]
) -> None:
    data = bytearray(write(path, header, pixels, np.arange(12)[::-1]))
    data[-40] ^= 0x55
    path.write_bytes(data)
    with open_frames(path) as source:
        assert source.slots(0, 12).tolist() == list(range(11, -1, -1))


@pytest.mark.parametrize("remains", [1, 16, 30, 31])
def test_a_file_cut_in_its_end_still_has_all_its_frames(
    path: Path, header: ScanHeader, pixels: NDArray[Any], remains: int
) -> None:
    data = write(path, header, pixels, slot_records=False)
    path.write_bytes(data[: len(data) - 32 + remains])
    with open_frames(path) as source:
        assert np.array_equal(source.read(0, 12).pixels, pixels)


def test_more_frames_than_the_scan_has_are_refused_where_order_is_all_there_is(
    path: Path, header: ScanHeader, pixels: NDArray[Any]
) -> None:
    data = write(path, header, pixels, slot_records=False)
    path.write_bytes(data[:-32] + pixels[0].tobytes())
    with pytest.raises(Alert, match="says that it holds 12 frames, which end at byte"):
        open_frames(path)


def test_an_end_that_does_not_fit_the_file_is_refused(path: Path, header: ScanHeader, pixels: NDArray[Any]) -> None:
    data = bytearray(write(path, header, pixels))
    data[-16] = 11
    path.write_bytes(data)
    with pytest.raises(Alert, match="says at its end that it holds 11 frames"):
        open_frames(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"scan_shape":[3,4]', b'"scan_shape":[900000000,4]', "wrong at scan_shape.0"),
        (b'"scan_shape":[3,4]', b'"scan_shape":[60000,60000]', "claims a scan of 60000 x 60000"),
        (b'"frame_shape":[6,5]', b'"frame_shape":[0,5]', "wrong at frame_shape.0"),
        (b'"uint16"', b'"object"', "wrong at dtype"),
        (b'"started":"2026-05-01T12:00:00Z"', b'"started":"noon"', "wrong at started"),
        (b'"slot_records":true', b'"slot_records":"yes"', "wrong at slot_records"),
        (b'"version":1', b'"version":2', "wrong at version"),
        (b'"scan":"7"', b'"scan":"7', "is no JSON"),
    ],
)
def test_a_header_that_cannot_be_is_refused_with_the_field(
    path: Path, header: ScanHeader, pixels: NDArray[Any], old: bytes, new: bytes, said: str
) -> None:
    data = write(path, header, pixels)
    assert old in data
    text = data[22 : 22 + int.from_bytes(data[18:22], "little")]
    changed = text.rstrip().replace(old, new)
    changed += b" " * (-(22 + len(changed)) % 64)
    path.write_bytes(data[:18] + len(changed).to_bytes(4, "little") + changed)
    with pytest.raises(Alert, match=said):
        open_frames(path)


@pytest.mark.parametrize(("length", "said"), [(2**32 - 1, "the longest has"), (60_010, "bytes in all"), (0, "64")])
def test_a_lying_length_of_the_header_is_refused(path: Path, length: int, said: str) -> None:
    path.write_bytes(b"RUNSTART FRAMES 1\n" + length.to_bytes(4, "little") + b"{}")
    with pytest.raises(Alert, match=said):
        open_frames(path)


def test_a_writer_refuses_what_does_not_fit(path: Path, header: ScanHeader, pixels: NDArray[Any]) -> None:
    with RawWriter(path, header) as writer:
        for frames, slots in (
            (pixels[:, :5], None),
            (pixels.astype(np.uint8), None),
            (pixels[:1], [12]),
            (pixels[:2], [1]),
            (pixels[:1], [-1]),
        ):
            with pytest.raises(ValueError, match=r"frames of|slot"):
                writer.append(frames, slots)
        assert writer.frame_count == 0


def test_a_file_that_exists_is_not_written_over(path: Path, header: ScanHeader) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(Alert, match="already"):
        RawWriter(path, header)


def test_several_threads_read_one_source(path: Path, header: ScanHeader, pixels: NDArray[Any]) -> None:
    write(path, header, pixels)
    with open_frames(path) as source, ThreadPoolExecutor(4) as pool:
        ranges = [(start, stop) for start in range(12) for stop in range(start, 13)]
        read = list(pool.map(lambda part: source.read(*part).pixels, ranges))
    assert all(np.array_equal(part, pixels[slice(*place)]) for part, place in zip(read, ranges, strict=True))


def test_frames_that_are_not_there_are_the_callers_mistake(
    path: Path, header: ScanHeader, pixels: NDArray[Any]
) -> None:
    write(path, header, pixels)
    with open_frames(path) as source, pytest.raises(ValueError, match="frames 3 to 13 of 12"):
        source.read(3, 13)


def describe(path: Path, **fields: Any) -> None:
    described = {"scan_shape": [3, 4], "frame_shape": [6, 5], "dtype": "uint16"} | fields
    path.with_suffix(".json").write_text(json.dumps(described))


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_raw_file_is_read_as_the_json_beside_it_says(tmp_path: Path, pixels: NDArray[Any], order: Any) -> None:
    path = tmp_path / "scan.RAW"
    stored = pixels.astype(pixels.dtype.newbyteorder(order))
    path.write_bytes(b"h" * 10 + b"".join(b"abc" + frame.tobytes() + b"f" * 9 for frame in stored))
    describe(path, offset_bytes=10, byte_order=order, frame_header_bytes=3, frame_footer_bytes=9)
    with open_frames(path) as source:
        found = source.read(2, 12).pixels
        assert source.is_closed
    assert np.array_equal(found, pixels[2:])
    assert found.dtype == np.uint16


def test_a_truncated_raw_file_gives_its_whole_frames(tmp_path: Path, pixels: NDArray[Any]) -> None:
    path = tmp_path / "scan.bin"
    path.write_bytes(pixels.tobytes()[:-61])
    describe(path)
    with open_frames(path) as source:
        assert (source.frame_count, source.is_closed) == (10, False)
        assert np.array_equal(source.read(0, 10).pixels, pixels[:10])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"frame_shape": [6, 4]}, "has 720 bytes, but says that it holds 12 frames"),
        ({"offset": 3}, "wrong at offset"),
        ({"dtype": "int16"}, "wrong at dtype"),
        ({"offset_bytes": -1}, "wrong at offset_bytes"),
    ],
)
def test_a_json_that_does_not_fit_is_refused(
    tmp_path: Path, pixels: NDArray[Any], fields: dict[str, Any], said: str
) -> None:
    path = tmp_path / "scan.raw"
    path.write_bytes(pixels.tobytes())
    describe(path, **fields)
    with pytest.raises(Alert, match=said):
        open_frames(path)


def test_a_raw_file_without_json_is_refused_with_the_name_of_the_file_that_lacks(tmp_path: Path) -> None:
    (tmp_path / "scan.raw").write_bytes(bytes(100))
    with pytest.raises(Alert, match=r"there is no file .*scan\.json"):
        open_frames(tmp_path / "scan.raw")
