"""counted-data-reader sends a file at each pull, in batches of whole positions, and numbers what it sends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scan_messages import FRAME, SCAN, make_events, read_as_others, run_py

from runstart.errors import Alert
from runstart.frame_files import split_scan, write_counted
from runstart.frame_messages import RepeatedReader, read_batch
from runstart.frames import SparseFrames
from runstart.operators.testing import call

READER = run_py("counted-data-reader")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a.h5", "b.h5")):
        write_counted(tmp_path / name, make_events(seed, each=2), SCAN, FRAME, 2)
    return tmp_path


def test_all_frames_come_in_batches_as_the_emitter_of_batches_packs_them(folder: Path) -> None:
    source = {"raw_data_dir": str(folder), "filename": "b.h5", "batch_size_mb": 0.0005}
    batches = [read_as_others(one) for one in call(READER, [], source, trigger="read_now")]
    expected = list(split_scan(make_events(1, each=2), 500))
    assert len(batches) == len(expected)
    for index, ((header, frames), part) in enumerate(zip(batches, expected, strict=True)):
        assert isinstance(frames, SparseFrames)
        assert np.array_equal(frames.positions, part.positions)
        assert np.array_equal(frames.events, part.events)
        numbers = [one.frame_number for one in header.headers]
        assert numbers == [2 * position + k % 2 for k, position in enumerate(part.positions.tolist())]
        assert (header.scan_number, header.total_frames) == (1, 84)
        assert (header.current_batch_index, header.total_batches) == (index, len(expected))


def test_a_folder_with_one_file_needs_no_name_and_a_file_may_be_mounted_itself(folder: Path) -> None:
    assert call(READER, [], {"raw_data_dir": str(folder / "a.h5")}, trigger="read_now")
    with pytest.raises(Alert, match="the folder holds 2 files"):
        call(READER, [], {"raw_data_dir": str(folder)}, trigger="read_now")


@pytest.mark.parametrize("name", ["missing.h5", "../secret.h5", "/etc/passwd"])
def test_a_name_that_is_not_in_the_folder_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "secret.h5").write_bytes(b"")
    with pytest.raises(Alert, match="There is no file"):
        call(READER, [], {"raw_data_dir": str(folder), "filename": name}, trigger="read_now")


@pytest.mark.parametrize("cache", [False, True])
def test_scans_are_numbered_by_reading_and_another_file_begins_anew(folder: Path, cache: bool) -> None:
    reader = RepeatedReader()

    def numbers(name: str) -> set[int]:
        found = set()
        while (message := reader.next(folder / name, 1000, cache=cache)) is not None:
            found.add(read_batch(message).scan.scan_number)
        return found

    assert [numbers(name) for name in ("a.h5", "a.h5", "b.h5", "a.h5")] == [{1}, {2}, {1}, {1}]


def test_a_file_that_is_kept_is_sent_again_without_being_there_unless_it_changed(folder: Path) -> None:
    reader, path = RepeatedReader(), folder / "a.h5"

    def read() -> list[bytes]:
        return [bytes(message.data) for message in iter(lambda: reader.next(path, 1000, cache=True), None)]

    first = read()
    assert read() == first
    path.unlink()
    write_counted(path, make_events(5, each=2), SCAN, FRAME, 2)
    assert read() != first
    path.unlink()
    with pytest.raises(Alert):
        read()


def test_only_what_is_sent_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runstart.frame_files.counted_hdf5 import CountedSource

    read = CountedSource.read
    ranges: list[tuple[int, int]] = []
    monkeypatch.setattr(
        CountedSource, "read", lambda self, start, stop: (ranges.append((start, stop)), read(self, start, stop))[1]
    )
    reader = RepeatedReader()
    reader.next(folder / "a.h5", 500, cache=False)
    assert len(ranges) == 1
    assert ranges[0][1] < 42
