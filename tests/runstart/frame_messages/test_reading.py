"""Files of frames are read in whole positions, whatever their order and damage."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scan_messages import FRAME, SCAN

from runstart.errors import Alert
from runstart.frame_files import FrameSource, RawWriter, ScanHeader, open_frames
from runstart.frame_messages import RepeatedReader, read_batches
from runstart.frames import SparseFrames

POSITIONS, EACH = 6, 2


class _Listed(FrameSource):
    """Frames in a list: frame `i` has the slot that is told, `i % 4` events, and perhaps a damage."""

    def __init__(self, slots: list[int], damaged: int = -1) -> None:
        self.header = ScanHeader((2, 3), FRAME, "sparse", EACH)
        self._listed, self._damaged = np.array(slots, np.int64), damaged

    frame_count = property(lambda self: len(self._listed))
    is_closed = True

    def look(self) -> int:
        return len(self._listed)

    def slots(self, start: int, stop: int) -> NDArray[np.int64]:
        return self._listed[start:stop]

    def sizes(self, start: int, stop: int) -> NDArray[np.int64]:
        return np.arange(start, stop) % 4 * 4 + 16

    def read(self, start: int, stop: int) -> SparseFrames:
        lengths = np.arange(start, stop) % 4
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        positions = np.where(np.arange(start, stop) == self._damaged, -1, self._listed[start:stop] // EACH)
        return SparseFrames(positions, starts, np.repeat(np.arange(start, stop), lengths).astype(np.uint32), FRAME)

    def close(self) -> None:
        pass


@settings(deadline=None)
@given(st.lists(st.integers(-1, POSITIONS * EACH - 1), max_size=20), st.integers(1, 60), st.integers(-1, 20))
def test_each_slot_is_sent_once_in_batches_of_whole_positions(slots: list[int], size: int, damaged: int) -> None:
    batches = list(read_batches(_Listed(slots, damaged), size, 5))
    first = {slot: index for index, slot in reversed(list(enumerate(slots))) if slot >= 0}
    sent = [number for batch in batches for number in batch.numbers.tolist()]  # type: ignore[union-attr]
    assert sent == sorted(slot for slot, index in first.items() if index != damaged)
    owners = [set(batch.frames.positions.tolist()) for batch in batches]
    assert sum(map(len, owners)) == len(set().union(*owners))
    for batch in batches:
        frames = batch.frames
        assert isinstance(frames, SparseFrames)
        assert batch.numbers is not None
        assert batch.scan.total_frames == len(first)
        assert frames.events.nbytes < size or len(set(frames.positions.tolist())) == 1
        for at, number in enumerate(batch.numbers.tolist()):
            assert set(frames.frame(at).tolist()) <= {first[number]}
            assert len(frames.frame(at)) == first[number] % 4


def test_a_position_is_added_unless_it_would_reach_the_size() -> None:
    slots = list(range(POSITIONS * EACH))  # positions of 4, 20, 4, 20, 4 and 20 bytes
    assert [len(batch.frames) for batch in read_batches(_Listed(slots), 25, 1)] == [4, 4, 4]
    assert [len(batch.frames) for batch in read_batches(_Listed(slots), 24, 1)] == [2, 2, 2, 2, 2, 2]


def test_after_a_file_that_cannot_be_read_another_can_be(tmp_path: Path) -> None:
    header = ScanHeader(SCAN, FRAME, "uint16")
    with RawWriter(tmp_path / "a.frames", header) as writer:
        writer.append(np.zeros((math.prod(SCAN), *FRAME), np.uint16))
    reader = RepeatedReader()
    with pytest.raises(Alert):
        reader.next(tmp_path / "gone.h5", 1000, cache=False)
    assert reader.next(tmp_path / "a.frames", 1000, cache=False) is not None
    with open_frames(tmp_path / "a.frames") as source:
        assert source.frame_count == 42
