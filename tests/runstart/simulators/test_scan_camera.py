from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runstart.frame_files import open_frames
from runstart.frames import DenseFrames
from runstart.simulators.scan import (
    FrameFormat,
    ScanPlan,
    ScanTruth,
    isolated_events,
    simulate_scan,
    true_events,
    true_xrays,
)

PLAN = ScanPlan(
    started=dt.datetime(2026, 7, 19, 20, tzinfo=dt.UTC),
    scan_shape=(20, 24),
    frame_shape=(64, 72),
    electrons=30.0,
    xrays=0.5,
)


def changed(plan: ScanPlan, **values: Any) -> ScanPlan:
    return dataclasses.replace(plan, **values)


def read_dense(path: Path) -> DenseFrames:
    with open_frames(path) as source:
        frames = source.read(0, source.frame_count)
    assert isinstance(frames, DenseFrames)
    return frames


def counted(frame: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Return the pixels between the thresholds that are above all of their neighbours: plain numpy."""
    kept = np.where((frame > 28) & (frame < 2000), frame, 0).astype(np.int64)
    padded = np.pad(kept, 1)
    rows, columns = kept.shape
    around = [
        padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if (i, j) != (0, 0)
    ]
    return np.flatnonzero(kept > np.max(around, axis=0))


@dataclasses.dataclass
class Scan:
    truth: ScanTruth
    frames: DenseFrames
    counted: list[NDArray[np.int64]]


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    folder = tmp_path_factory.mktemp("scan")
    truth = simulate_scan(folder, PLAN)
    frames = read_dense(folder / PLAN.file_name)
    return Scan(truth, frames, [counted(frame) for frame in frames.pixels])


def test_the_number_of_electrons_is_told(scan: Scan) -> None:
    found = [len(true_events(PLAN, slot)) for slot in range(PLAN.slots)]
    np.testing.assert_array_equal(scan.truth.electrons, found)
    assert scan.truth.facts.electrons == sum(found)
    assert np.mean(found) == pytest.approx(30, abs=4 * np.sqrt(30 / PLAN.slots))


def test_every_isolated_electron_is_counted_where_it_hit(scan: Scan) -> None:
    isolated = [isolated_events(PLAN, slot) for slot in range(PLAN.slots)]
    assert sum(map(len, isolated)) > 0.2 * scan.truth.facts.electrons
    missed = [np.setdiff1d(one, found) for one, found in zip(isolated, scan.counted, strict=True)]
    assert sum(map(len, missed)) == 0


def test_nothing_is_counted_but_electrons(scan: Scan) -> None:
    columns = PLAN.frame_shape[1]
    for slot, found in enumerate(scan.counted):
        row, column = np.divmod(found[:, None], columns)
        true_row, true_column = np.divmod(true_events(PLAN, slot).astype(np.int64), columns)
        nearest = np.maximum(np.abs(row - true_row), np.abs(column - true_column)).min(axis=1)
        assert nearest.max(initial=0) <= 1


def test_nearly_all_electrons_of_a_weak_beam_are_counted(tmp_path: Path) -> None:
    plan = changed(PLAN, electrons=4.0, frame_shape=(128, 128), xrays=0.0, dead_pixels=0)
    truth = simulate_scan(tmp_path, plan)
    found = sum(len(counted(frame)) for frame in read_dense(tmp_path / plan.file_name).pixels)
    assert 0.96 * truth.facts.electrons < found <= truth.facts.electrons


def test_dead_pixels_read_zero_and_nothing_is_counted_there(scan: Scan) -> None:
    dead = scan.truth.dead_pixels
    assert len(dead) == 12
    assert not scan.frames.pixels.reshape(PLAN.slots, -1)[:, dead].any()
    hit = np.concatenate([np.intersect1d(true_events(PLAN, slot), dead) for slot in range(PLAN.slots)])
    assert len(hit) > 20
    assert not np.isin(np.concatenate(scan.counted), dead).any()


def test_x_rays_are_above_the_threshold_and_not_counted(scan: Scan) -> None:
    total = 0
    for slot, found in enumerate(scan.counted):
        xrays = np.setdiff1d(true_xrays(PLAN, slot), scan.truth.dead_pixels)
        assert (scan.frames.pixels[slot].reshape(-1)[xrays] > 2000).all()
        assert not np.isin(found, xrays).any()
        total += len(xrays)
    assert total == pytest.approx(0.5 * PLAN.slots, rel=0.3)


def test_dark_noise_is_below_the_threshold(tmp_path: Path) -> None:
    plan = changed(PLAN, electrons=0.0, xrays=0.0)
    simulate_scan(tmp_path, plan)
    pixels = read_dense(tmp_path / plan.file_name).pixels
    assert 10 < pixels.max() < 28
    assert not np.array_equal(pixels[0], pixels[1])


def test_a_pixel_is_full_and_does_not_wrap_round(tmp_path: Path) -> None:
    plan = changed(PLAN, frame_shape=(16, 16), scan_shape=(1, 2), electrons=20_000.0, vacuum=1.0, dead_pixels=0)
    simulate_scan(tmp_path, plan)
    middle = read_dense(tmp_path / plan.file_name).pixels[:, 7:9, 7:9]
    assert (middle == 65_535).all()


def test_batches_hold_the_events_that_a_camera_can_see(tmp_path: Path) -> None:
    plan = changed(PLAN, format=FrameFormat.BATCHES)
    truth = simulate_scan(tmp_path, plan)
    with open_frames(tmp_path / plan.file_name) as source:
        frames = source.read(0, source.frame_count)
    for slot in range(plan.slots):
        events = true_events(plan, slot)
        np.testing.assert_array_equal(frames.frame(slot), events[~np.isin(events, truth.dead_pixels)])


def test_the_electrons_are_those_of_every_format() -> None:
    batches = changed(PLAN, format=FrameFormat.BATCHES, dropped=0.5)
    np.testing.assert_array_equal(true_events(PLAN, 100), true_events(batches, 100))


@pytest.mark.parametrize("values", [{"seed": 1}, {"number": 2}])
def test_another_seed_or_number_gives_other_electrons(values: dict[str, int]) -> None:
    other = changed(PLAN, **values)
    assert all(not np.array_equal(true_events(PLAN, slot), true_events(other, slot)) for slot in (0, 64, 479))


@pytest.mark.parametrize("slot", [-1, 480])
def test_a_slot_that_the_scan_does_not_have_is_refused(slot: int) -> None:
    with pytest.raises(ValueError, match="no slot"):
        true_events(PLAN, slot)
