"""file-reader makes of each file the messages that fit it, and goes on after one that it cannot read."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scan_messages import FRAME, SCAN, make_events, make_images, run_py, scan_info

from runstart.errors import Alert
from runstart.frame_files import BatchWriter, batch_header, write_counted
from runstart.frame_messages import FileReader, find_files, read_array, read_batch, read_meta, read_tables
from runstart.operators import BytesMessage
from runstart.operators.testing import call

READER = run_py("file-reader")


def _read(path: Path, **parameters: Any) -> list[BytesMessage]:
    return call(READER, [], {"file_or_folder": str(path)} | parameters)


@pytest.mark.parametrize("name", ["scan.h5", "scan.batches", "no_suffix"])
def test_files_of_frames_come_in_batches(tmp_path: Path, name: str) -> None:
    events, path = make_events(), tmp_path / name
    if name == "scan.batches":
        with BatchWriter(path) as writer:
            writer.write(batch_header(events, SCAN), events)
    else:
        write_counted(path, events, SCAN, FRAME)
    messages = _read(path, batch_size_mb=0.001)
    batches = [read_batch(message) for message in messages]
    assert len(batches) > 2
    assert np.array_equal(np.concatenate([one.frames.positions for one in batches]), events.positions)
    assert {one.scan for one in batches} == {scan_info(1, 42)}


def test_an_array_of_four_dimensions_is_a_scan_of_images(tmp_path: Path) -> None:
    images = make_images()
    np.save(tmp_path / "scan.npy", images.pixels.reshape(*SCAN, *FRAME))
    batches = [read_batch(message) for message in _read(tmp_path / "scan.npy", batch_size_mb=0.01)]
    assert np.array_equal(np.concatenate([one.frames.pixels for one in batches]), images.pixels)  # type: ignore[union-attr]
    assert all(len(one.frames) == 6 for one in batches)


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3), np.ones((2, 3, 4), ">i2"), np.zeros(0, bool)])
def test_any_other_array_is_one_message(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "map.npy", array)
    (message,) = _read(tmp_path / "map.npy")
    found, meta = read_array(message)
    assert np.array_equal(found, array)
    assert found.shape == array.shape
    assert meta["name"] == "map.npy"


def test_tables_come_as_tables_and_other_json_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("name,counts,width\nA,12,0.5\nB,7,x\n")
    (tmp_path / "three.json").write_text('{"a": 1}')
    (tmp_path / "two.json").write_text('[{"a": 1}]')
    one, three, two = _read(tmp_path)
    rows = [{"name": "A", "counts": 12, "width": 0.5}, {"name": "B", "counts": 7, "width": "x"}]
    assert read_tables(bytes(one.data)) == {"one": rows}
    assert read_tables(bytes(two.data)) == {"two": [{"a": 1}]}
    assert (bytes(three.data), read_meta(three)["media_type"]) == (b'{"a": 1}', "application/json")


def test_pictures_and_all_else_are_their_bytes_with_what_they_are(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "JPEG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    (tmp_path / "b.xyz").write_bytes(b"\x00\x01")
    picture, rest = _read(tmp_path)
    assert (bytes(picture.data), read_meta(picture)["media_type"]) == (buffer.getvalue(), "image/jpeg")
    assert (bytes(rest.data), read_meta(rest)) == (
        b"\x00\x01",
        {"name": "b.xyz", "media_type": "application/octet-stream"},
    )


def test_files_that_are_named_are_read_in_their_order(tmp_path: Path) -> None:
    for name in ("b.bytes", "a.bytes", "c.bytes"):
        (tmp_path / name).write_bytes(name.encode())
    reader = FileReader(find_files(tmp_path, "c.bytes\na.bytes", "", "file_or_folder"), 1000)
    assert [bytes(message.data) for message in iter(reader.next, None)] == [b"c.bytes", b"a.bytes"]


def test_a_file_that_only_describes_another_is_not_read_by_itself(tmp_path: Path) -> None:
    make_images().pixels.tofile(tmp_path / "scan.raw")
    (tmp_path / "scan.json").write_text(
        json.dumps({"scan_shape": list(SCAN), "frame_shape": list(FRAME), "dtype": "uint16"})
    )
    assert sum(len(read_batch(message).frames) for message in _read(tmp_path)) == 42


def test_after_a_file_that_cannot_be_read_the_next_is(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"garbage")
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.bytes").write_bytes(b"fine")
    files = [tmp_path / name for name in ("a.h5", "b.json", "gone", "c.bytes")]
    reader = FileReader([(path, path.name) for path in files], 1000)
    for told in ("a.h5", "b.json cannot be read as JSON", "gone cannot be read: No such file"):
        with pytest.raises(Alert, match=told):
            reader.next()
    message = reader.next()
    assert message is not None
    assert bytes(message.data) == b"fine"
    assert reader.next() is None


def test_no_file_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(Alert, match=r"No file is named.*Set files, or file_or_folder"):
        call(READER, [])
    with pytest.raises(Alert, match="holds no file"):
        _read(tmp_path)
