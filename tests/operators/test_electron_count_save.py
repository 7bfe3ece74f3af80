"""electron-count-save writes whole files, and overwrites none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scan_messages import make_events, run_py, to_messages

from runstart.errors import Alert
from runstart.frame_files import open_frames
from runstart.frames import SparseFrames
from runstart.operators.testing import call, published

SAVE = run_py("electron-count-save")


def test_a_scan_that_comes_in_any_order_is_read_back_as_it_was(tmp_path: Path) -> None:
    events = make_events(each=2)
    published.clear()
    call(SAVE, to_messages(events, number=7)[::-1], {"output_dir": str(tmp_path), "suffix": "_counted"})
    with open_frames(tmp_path / "7_counted.h5") as source:
        found = source.read(0, source.frame_count)
    assert isinstance(found, SparseFrames)
    assert np.array_equal(found.positions, events.positions)
    assert np.array_equal(found.events, events.events)
    assert np.array_equal(found.starts, events.starts)
    (row,) = json.loads(published[-1].data)
    assert (row["file"], row["missing_positions"], row["electrons"]) == ("7_counted.h5", 0, len(events.events))


def test_what_there_is_of_a_scan_is_written_at_the_end_and_missing_frames_are_told(tmp_path: Path) -> None:
    messages = to_messages(make_events())
    call(SAVE, messages[:-1], {"output_dir": str(tmp_path)})
    with open_frames(tmp_path / "1.h5") as source:
        assert source.frame_count < source.header.expected == 42


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "1.h5").write_bytes(b"precious")
    call(SAVE, to_messages(make_events()), {"output_dir": str(tmp_path)})
    assert (tmp_path / "1.h5").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-2.h5", "1.h5"]


def test_a_suffix_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="is no name of a file"):
        call(SAVE, to_messages(make_events()), {"output_dir": str(tmp_path), "suffix": "/../x"})
    assert not list(tmp_path.iterdir())
