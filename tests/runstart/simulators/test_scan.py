from __future__ import annotations

import dataclasses
import datetime as dt
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from runstart.errors import Alert
from runstart.frame_files import open_frames
from runstart.frames import DenseFrames
from runstart.simulators.scan import (
    FrameFormat,
    ScanPlan,
    ScanTruth,
    count_frames,
    read_scan_truth,
    scan_truth_path,
    simulate_scan,
)

PLAN = ScanPlan(
    started=dt.datetime(2026, 7, 19, 20, tzinfo=dt.UTC),
    scan_shape=(20, 24),
    frame_shape=(64, 72),
    electrons=30.0,
    xrays=0.5,
)
FLAWED = dataclasses.replace(PLAN, dropped=0.1, duplicated=0.05)
BOTH = [FrameFormat.FRAMES, FrameFormat.BATCHES]


def changed(plan: ScanPlan, **values: Any) -> ScanPlan:
    return dataclasses.replace(plan, **values)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_dense(path: Path) -> DenseFrames:
    with open_frames(path) as source:
        frames = source.read(0, source.frame_count)
    assert isinstance(frames, DenseFrames)
    return frames


def _set() -> threading.Event:
    stop = threading.Event()
    stop.set()
    return stop


@dataclasses.dataclass
class Scan:
    truth: ScanTruth
    frames: DenseFrames


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    folder = tmp_path_factory.mktemp("scan")
    truth = simulate_scan(folder, PLAN)
    return Scan(truth, read_dense(folder / PLAN.file_name))


@pytest.mark.parametrize("form", list(FrameFormat))
def test_the_same_plan_gives_the_same_bytes(tmp_path: Path, form: FrameFormat) -> None:
    plan = changed(FLAWED if form.has_slots else PLAN, format=form)
    for name in ("a", "b"):
        simulate_scan(tmp_path / name, plan)
    found = contents(tmp_path / "a")
    assert set(found) == {plan.file_name, ".truth/scan_000001-truth.json", ".truth/scan_000001-truth.npz"}
    assert found == contents(tmp_path / "b")


def test_the_truth_is_read_as_it_was_written(tmp_path: Path) -> None:
    truth = simulate_scan(tmp_path, FLAWED)
    found = read_scan_truth(scan_truth_path(tmp_path, FLAWED))
    assert found.facts == truth.facts
    assert found.plan == FLAWED
    for field in dataclasses.fields(ScanTruth)[1:]:
        np.testing.assert_array_equal(getattr(found, field.name), getattr(truth, field.name))


@pytest.mark.parametrize(
    ("suffix", "content", "told"),
    [
        (".json", b"{}", "plan: Field required"),
        (".json", b"no", "the file: Invalid JSON"),
        (".npz", b"PK", "maps of the scan are damaged"),
        (".json", None, "cannot be read"),
        (".npz", None, "cannot be read"),
    ],
)
def test_a_truth_that_is_damaged_or_gone_is_told(
    tmp_path: Path, suffix: str, content: bytes | None, told: str
) -> None:
    simulate_scan(tmp_path, PLAN, stop=_set())
    path = scan_truth_path(tmp_path, PLAN)
    hurt = path.with_suffix(suffix)
    hurt.unlink() if content is None else hurt.write_bytes(content)
    with pytest.raises(Alert, match=told):
        read_scan_truth(path)


def test_the_header_says_what_was_planned(tmp_path: Path) -> None:
    plan = changed(PLAN, frames_per_position=2)
    truth = simulate_scan(tmp_path, plan)
    with open_frames(tmp_path / plan.file_name) as source:
        header = source.header
    assert (header.scan_shape, header.frame_shape, header.frames_per_position) == ((20, 24), (64, 72), 2)
    assert (header.scan, header.started, header.dtype) == ("scan_000001", "2026-07-19T20:00:00Z", "uint16")
    assert header.calibration == {
        "scan_step_nm": 0.04,
        "mrad_per_pixel": truth.facts.mrad_per_pixel,
        "voltage_kv": 300.0,
    }


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize("each", [1, 3])
def test_a_file_stores_the_slots_of_the_truth(tmp_path: Path, form: FrameFormat, each: int) -> None:
    plan = changed(FLAWED, format=form, scan_shape=(10, 16), frames_per_position=each)
    truth = simulate_scan(tmp_path, plan)
    with open_frames(tmp_path / plan.file_name) as source:
        slots = source.slots(0, source.frame_count)
        assert source.is_closed
        assert source.header.expected == plan.slots
    np.testing.assert_array_equal(slots, truth.stored_slots)
    assert truth.facts.stored == len(slots) == count_frames(tmp_path / "other", plan)


def test_dropped_frames_are_absent_and_duplicates_come_twice(tmp_path: Path) -> None:
    truth = simulate_scan(tmp_path, FLAWED)
    frames = read_dense(tmp_path / FLAWED.file_name)
    times = np.bincount(frames.positions, minlength=FLAWED.slots)
    np.testing.assert_array_equal(np.flatnonzero(times == 0), truth.dropped)
    np.testing.assert_array_equal(np.flatnonzero(times == 2), truth.duplicated)
    assert (len(truth.dropped), len(truth.duplicated), times.max()) == (48, 24, 2)
    for slot in truth.duplicated:
        first, second = frames.pixels[frames.positions == slot]
        np.testing.assert_array_equal(first, second)


def test_dropping_frames_leaves_the_others_as_they_are(scan: Scan, tmp_path: Path) -> None:
    simulate_scan(tmp_path, FLAWED)
    frames = read_dense(tmp_path / FLAWED.file_name)
    np.testing.assert_array_equal(frames.pixels, scan.frames.pixels[frames.positions])


@pytest.mark.parametrize("form", BOTH)
def test_a_scan_that_breaks_off_leaves_whole_frames_without_an_end(tmp_path: Path, form: FrameFormat) -> None:
    plan = changed(FLAWED, format=form, break_off=0.3)
    truth = simulate_scan(tmp_path, plan)
    with open_frames(tmp_path / plan.file_name) as source:
        assert not source.is_closed
        slots = source.slots(0, source.frame_count)
    np.testing.assert_array_equal(slots, truth.stored_slots)
    assert slots.max() < 0.3 * plan.slots


def test_a_broken_off_file_is_the_beginning_of_a_whole_one(tmp_path: Path) -> None:
    for name, plan in (("whole", PLAN), ("broken", changed(PLAN, break_off=0.3))):
        simulate_scan(tmp_path / name, plan)
    whole = (tmp_path / "whole" / PLAN.file_name).read_bytes()
    assert whole.startswith((tmp_path / "broken" / PLAN.file_name).read_bytes())


@pytest.mark.parametrize("form", BOTH)
def test_a_follower_sees_all_frames_that_were_told(tmp_path: Path, form: FrameFormat) -> None:
    plan = changed(FLAWED, format=form)
    told, seen = [], []

    def look(new: int) -> None:
        told.append(new)
        with open_frames(tmp_path / plan.file_name) as source:
            seen.append(source.frame_count)
            assert not source.is_closed

    simulate_scan(tmp_path, plan, on_frames=look)
    assert len(seen) > 5
    np.testing.assert_array_equal(seen, np.cumsum(told))


def test_a_stop_ends_the_wait_for_the_next_frame(tmp_path: Path) -> None:
    stop = threading.Event()
    plan = changed(PLAN, rate=0.05, scan_shape=(1, 2))
    thread = threading.Thread(target=simulate_scan, args=(tmp_path, plan), kwargs={"stop": stop})
    thread.start()
    while not (tmp_path / plan.file_name).exists():
        assert thread.is_alive()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    with open_frames(tmp_path / plan.file_name) as source:
        assert source.frame_count <= 1
        assert not source.is_closed


def test_a_rate_writes_frames_as_they_are_due(tmp_path: Path) -> None:
    stop, told = threading.Event(), []

    def tell(new: int) -> None:
        told.append(new)
        if len(told) == 3:
            stop.set()

    simulate_scan(tmp_path, changed(PLAN, rate=200.0), on_frames=tell, stop=stop)
    assert told == [20, 20, 20]


def test_a_numpy_file_has_the_frames_in_four_dimensions(scan: Scan, tmp_path: Path) -> None:
    plan = changed(PLAN, format=FrameFormat.NPY)
    simulate_scan(tmp_path, plan)
    array = np.load(tmp_path / plan.file_name)
    np.testing.assert_array_equal(array, scan.frames.pixels.reshape(20, 24, 64, 72))


def test_an_hdf5_file_has_the_frames_and_their_scales(scan: Scan, tmp_path: Path) -> None:
    plan = changed(PLAN, format=FrameFormat.HDF5)
    simulate_scan(tmp_path, plan)
    with h5py.File(tmp_path / plan.file_name) as file:
        np.testing.assert_array_equal(file["entry/data/frames"], scan.frames.pixels.reshape(20, 24, 64, 72))
    with open_frames(tmp_path / plan.file_name) as source:
        assert source.header.calibration["scan_step_nm"] == pytest.approx(0.04)
        assert source.header.calibration["mrad_per_pixel"] == pytest.approx(scan.truth.facts.mrad_per_pixel)


def test_an_hdf5_file_that_is_stopped_is_not_there(tmp_path: Path) -> None:
    simulate_scan(tmp_path, changed(PLAN, format=FrameFormat.HDF5), stop=_set())
    assert [path.name for path in tmp_path.iterdir()] == [".truth"]


@pytest.mark.parametrize("form", list(FrameFormat))
def test_a_scan_of_the_same_name_is_left_as_it_is(tmp_path: Path, form: FrameFormat) -> None:
    (tmp_path / "scan_000001.npy").write_text("mine")
    with pytest.raises(Alert, match="already"):
        simulate_scan(tmp_path, changed(PLAN, format=form))
    assert contents(tmp_path) == {"scan_000001.npy": b"mine"}


def test_a_pattern_that_would_leave_the_frame_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="pattern would leave the frame"):
        simulate_scan(tmp_path / "scans", changed(PLAN, drift_px=40.0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Alert, match="cannot be written"):
        simulate_scan(tmp_path / where, PLAN, truth_folder=tmp_path / "truth")
