"""Counted frames in the HDF5 layout of stempy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from runstart.errors import Alert
from runstart.frame_files import open_frames, write_counted
from runstart.frames import SparseFrames

SCAN, FRAME = (3, 4), (6, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.h5"


def same(one: Any, other: SparseFrames) -> bool:
    pairs = ((one.positions, other.positions), (one.starts, other.starts), (one.events, other.events))
    return all(np.array_equal(*pair) for pair in pairs)


def test_frames_come_back_and_missing_ones_stay_missing(path: Path, events: SparseFrames) -> None:
    write_counted(path, events, SCAN, FRAME, 2)
    with open_frames(path) as source:
        assert (source.header.scan_shape, source.header.frame_shape) == (SCAN, FRAME)
        assert (source.frame_count, source.header.frames_per_position) == (23, 2)
        assert source.slots(0, 23).tolist() == [slot for slot in range(24) if slot != 11]
        assert same(source.read(0, 23), events)
        part = source.read(9, 14)
        assert [part.frame(i).tolist() for i in range(5)] == [events.frame(i).tolist() for i in range(9, 14)]
        assert source.sizes(0, 23).tolist() == (np.diff(events.starts) * 4 + 16).tolist()


def test_frames_may_be_given_in_any_order_of_positions(path: Path, events: SparseFrames) -> None:
    order = np.argsort(-events.positions, kind="stable")
    lists = [events.frame(index) for index in order]
    starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    write_counted(path, SparseFrames(events.positions[order], starts, np.concatenate(lists), FRAME), SCAN, FRAME, 2)
    with open_frames(path) as source:
        assert same(source.read(0, 23), events)


@pytest.mark.parametrize("length", [0, 1, 2])
def test_frames_of_one_number_of_events_come_back(path: Path, length: int) -> None:
    events = SparseFrames(
        np.arange(12), np.arange(13) * length, np.arange(12 * length).astype(np.uint32) % 30, FRAME
    )
    write_counted(path, events, SCAN, FRAME)
    with open_frames(path) as source:
        assert same(source.read(0, 12), events)


def test_no_frames_at_all_are_written(path: Path) -> None:
    nothing = SparseFrames(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.uint32), FRAME)
    write_counted(path, nothing, SCAN, FRAME, 3)
    with open_frames(path) as source:
        assert (source.frame_count, source.header.expected) == (0, 36)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path, events: SparseFrames) -> None:
    write_counted(tmp_path / "a.h5", events, SCAN, FRAME, 2)
    in_memory = io.BytesIO()
    write_counted(in_memory, events, SCAN, FRAME, 2)
    assert (tmp_path / "a.h5").read_bytes() == in_memory.getvalue()


def test_the_layout_is_the_one_that_others_read(path: Path, events: SparseFrames) -> None:
    write_counted(path, events, SCAN, FRAME, 2)
    with h5py.File(path) as file:
        frames, placed = file["electron_events/frames"], file["electron_events/scan_positions"]
        assert (file.attrs["version"], file["electron_events"].attrs["version"]) == (3, 3)
        assert (frames.attrs["Nx"], frames.attrs["Ny"], placed.attrs["Nx"], placed.attrs["Ny"]) == (6, 5, 4, 3)
        assert placed[:].tolist() == list(range(12))
        assert h5py.check_vlen_dtype(frames.dtype) == np.uint32
        assert [frames[row].tolist() for row in (0, 10, 11, 12)] == [
            events.frame(0).tolist(),
            events.frame(10).tolist(),
            [],
            events.frame(11).tolist(),
        ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"positions": np.array([0, 12])}, "outside the 12 positions"),
        ({"events": np.array([3, 30], np.uint32)}, "outside the frame"),
        ({"positions": np.array([4, 4])}, "2 frames at one position"),
    ],
)
def test_frames_that_do_not_fit_are_not_written(path: Path, change: dict[str, Any], said: str) -> None:
    fields = {"positions": np.array([0, 1]), "starts": np.array([0, 1, 2]), "events": np.array([3, 4], np.uint32)}
    with pytest.raises(ValueError, match=said):
        write_counted(path, SparseFrames(**(fields | change), frame_shape=FRAME), SCAN, FRAME)
    assert not path.exists()


def write_plain(
    path: Path, positions: list[int], lists: list[list[int]], version: int | None, **options: Any
) -> None:
    """Write as others do, each frame with its position."""
    with h5py.File(path, "w") as file:
        if version is not None:
            file.attrs["version"] = version
        placed = file.create_dataset("electron_events/scan_positions", data=positions)
        placed.attrs["Nx"], placed.attrs["Ny"] = 4, 3
        frames = file.create_dataset(
            "electron_events/frames", (len(lists),), dtype=h5py.vlen_dtype(np.uint32), **options
        )
        frames.attrs["Nx"], frames.attrs["Ny"] = FRAME
        for row, events in enumerate(lists):
            frames[row] = events


@pytest.mark.parametrize("version", [None, 1, 2])
@pytest.mark.parametrize("options", [{}, {"chunks": (2,)}])
def test_older_versions_have_a_position_for_each_frame(
    path: Path, version: int | None, options: dict[str, Any]
) -> None:
    write_plain(path, [3, 0, 3], [[1, 2], [], [7]], version, **options)
    with open_frames(path) as source:
        assert source.header.frames_per_position == 2
        assert source.slots(0, 3).tolist() == [6, 0, 7]
        assert source.read(0, 3).positions.tolist() == [3, 0, 3]
        assert source.sizes(0, 3).tolist() == [24, 16, 20]


def test_an_event_outside_the_frame_takes_events_and_position_of_its_frame(path: Path) -> None:
    write_plain(path, [0, 1], [[1, 30], [4]], 1)
    with open_frames(path) as source:
        found = source.read(0, 2)
        assert found.positions.tolist() == [-1, 1]
        assert (found.events.tolist(), source.damaged) == ([4], 1)


@pytest.mark.parametrize(
    ("positions", "lists", "version", "said"),
    [
        (list(range(12)), [[1]] * 13, 3, "13 frames, which does not fit its scan of 12 positions"),
        ([1, 2, 3], [[1]] * 2, 2, "2 frames, but 3 positions"),
    ],
)
def test_a_lying_file_is_refused(
    path: Path, positions: list[int], lists: list[list[int]], version: int, said: str
) -> None:
    write_plain(path, positions, lists, version)
    with pytest.raises(Alert, match=said):
        open_frames(path)


@pytest.mark.parametrize("dtype", [h5py.vlen_dtype(np.int64), h5py.string_dtype(), "u4"])
def test_frames_that_are_no_lists_of_events_are_refused(path: Path, dtype: Any) -> None:
    write_plain(path, [0], [[1]], 1)
    with h5py.File(path, "a") as file:
        del file["electron_events/frames"]
        frames = file.create_dataset("electron_events/frames", (1,), dtype=dtype)
        frames.attrs["Nx"], frames.attrs["Ny"] = FRAME
    with pytest.raises(Alert, match="no lists of events"):
        open_frames(path)


def test_a_file_without_sizes_is_refused(path: Path) -> None:
    write_plain(path, [0], [[1]], 1)
    with h5py.File(path, "a") as file:
        del file["electron_events/frames"].attrs["Ny"]
    with pytest.raises(Alert, match="says no size for /electron_events/frames"):
        open_frames(path)


def test_a_list_that_claims_more_than_the_file_has_is_refused(path: Path) -> None:
    write_plain(path, [0, 1], [[1, 2], [4]], 1)
    with h5py.File(path) as file:
        place = file["electron_events/frames"].id.get_offset()
    data = bytearray(path.read_bytes())
    data[place : place + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    with pytest.raises(Alert, match="claims 2147483648 events in 2 frames"):
        open_frames(path)


@pytest.mark.parametrize("value", [b"\x00", b"\xff"])
def test_no_damage_of_the_heap_leads_the_reader_astray(path: Path, events: SparseFrames, value: bytes) -> None:
    write_counted(path, events, SCAN, FRAME, 2)
    whole = path.read_bytes()
    begin = whole.index(b"GCOL")
    for place in range(begin, begin + 120):
        path.write_bytes(whole[:place] + value * 2 + whole[place + 2 :])
        with open_frames(path) as source:
            try:
                found = source.read(0, 23)
            except Alert as alert:
                assert "truncated or damaged" in str(alert)  # noqa: PT017 - some damage is harmless
            else:
                assert np.diff(found.starts).sum() <= len(events.events)  # type: ignore[union-attr]
