"""Files are read in part, by any number of threads, and what happens to them is told."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.frame_files import BlobFile, FileBlob

DATA = bytes(range(256)) * 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a.raw").write_bytes(DATA)
    return tmp_path / "a.raw"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 6000), st.lists(st.integers(0, 900), max_size=8))
def test_parts_are_filled_one_behind_the_other(
    tmp_path_factory: pytest.TempPathFactory, offset: int, lengths: list[int]
) -> None:
    path = tmp_path_factory.mktemp("blob") / "a"
    path.write_bytes(DATA)
    parts = [bytearray(length) for length in lengths]
    blob = FileBlob(path)
    got = blob.read_into_parts(offset, list(map(memoryview, parts)))
    blob.close()
    expected = DATA[offset : offset + sum(lengths)]
    assert got == len(expected)
    assert b"".join(map(bytes, parts))[:got] == expected


def test_more_parts_than_the_system_takes_at_once_are_filled(path: Path) -> None:
    parts = [bytearray(1) for _ in range(5000)]
    blob = FileBlob(path)
    assert blob.read_into_parts(60, list(map(memoryview, parts))) == 5000
    assert b"".join(map(bytes, parts)) == DATA[60:5060]
    blob.close()


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(Alert, match="There is no file /nowhere/a"):
        FileBlob(Path("/nowhere/a"))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Alert, match="is no file"):
        FileBlob(tmp_path / "pipe")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Alert):
        FileBlob(tmp_path)


def test_a_file_that_was_replaced_is_told_and_read_as_it_was(path: Path) -> None:
    blob = FileBlob(path)
    other = path.with_name("b")
    other.write_bytes(b"other")
    other.replace(path)
    with pytest.raises(Alert, match="was replaced"):
        blob.size()
    buffer = bytearray(4)
    blob.read_into(1, memoryview(buffer))
    assert buffer == DATA[1:5]
    blob.close()


def test_a_file_that_was_removed_is_told(path: Path) -> None:
    blob = FileBlob(path)
    path.unlink()
    with pytest.raises(Alert, match="There is no file"):
        blob.size()
    blob.close()


def test_a_blob_is_read_by_libraries_as_a_file(path: Path) -> None:
    blob = FileBlob(path)
    file = io.BufferedReader(BlobFile(blob), 100)
    assert (file.seek(-3, io.SEEK_END), file.read(10)) == (len(DATA) - 3, DATA[-3:])
    assert (file.seek(300), file.read(200)) == (300, DATA[300:500])
    blob.close()


def test_an_error_of_the_blob_is_kept_for_libraries_that_hide_it(path: Path) -> None:
    class Broken(FileBlob):
        def read_into(self, offset: int, buffer: memoryview) -> int:
            raise Alert("The disk is gone.")

    blob = Broken(path)
    file = BlobFile(blob)
    with pytest.raises(Alert):
        file.read(1)
    assert str(file.error) == "The disk is gone."
    assert file.error is not None
    assert file.error.__traceback__ is None
    blob.close()
