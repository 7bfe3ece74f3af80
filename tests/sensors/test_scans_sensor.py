"""The sensor of scans: what it launches, as what, and that it launches nothing twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from scan_house import NAME, ScanHouse
from scan_ticking import Ticks, requests_of
from scan_work_kit import draw_frames, make_header, write_scan

from runstart.errors import Transient
from runstart.frame_files import RawWriter
from sensors import define_scans_sensor


@pytest.fixture
def ticks(tmp_path: Path) -> Iterator[Ticks]:
    """A sensor that has looked at an empty folder."""
    with dg.instance_for_test() as instance:
        house = ScanHouse(tmp_path, instance)
        house.arrivals.mkdir()
        made = Ticks(house, define_scans_sensor(house.scans))
        made.tick()
        yield made


def put(ticks: Ticks, name: str, *, frames: int = 30, closed: bool = True, age_s: float = 0.0) -> None:
    path = write_scan(ticks.house.arrivals / name, draw_frames()[:frames], closed=closed)
    changed = path.stat().st_mtime - age_s
    os.utime(path, (changed, changed))


def test_a_scan_that_grows_becomes_a_partition_and_is_followed_before_all_else(ticks: Ticks) -> None:
    put(ticks, "a.frames", frames=4, closed=False)
    (request,) = requests_of(ticks.tick())
    assert (request.job_name, request.partition_key) == (f"live_scan_{NAME}", "a.frames")
    wanted = {"runstart/kind": "live", "dagster/priority": "100", "runstart/microscope": NAME}
    assert wanted.items() <= request.tags.items()
    assert ticks.known == ["a.frames"]


def test_a_finished_scan_of_several_batches_is_processed_in_batches(ticks: Ticks) -> None:
    put(ticks, "a.frames")
    (request,) = requests_of(ticks.tick())
    assert request.job_name == f"scan_{NAME}"
    assert request.tags["runstart/kind"] == "batch"
    assert "dagster/priority" not in request.tags


def test_a_finished_scan_that_fits_into_a_batch_is_followed_as_batch_work(ticks: Ticks) -> None:
    put(ticks, "a.frames", frames=4)
    (request,) = requests_of(ticks.tick())
    assert request.job_name == f"live_scan_{NAME}"
    assert request.tags["runstart/kind"] == "batch"


def test_a_scan_is_launched_once_while_it_grows_and_ends(ticks: Ticks) -> None:
    writer = RawWriter(ticks.house.arrivals / "a.frames", make_header())
    launched = []
    for frame in draw_frames()[:10]:
        writer.append(frame[None])
        writer.flush()
        launched += requests_of(ticks.tick())
    writer.close()
    launched += requests_of(ticks.tick())
    assert len(launched) == 1


def test_a_tick_that_is_lost_asks_again_for_the_same_run(ticks: Ticks) -> None:
    put(ticks, "a.frames")
    lost = requests_of(ticks.tick(is_kept=False))
    again = requests_of(ticks.tick())
    assert [request.run_key for request in lost] == [request.run_key for request in again]
    assert requests_of(ticks.tick()) == []


def test_another_file_in_its_place_is_another_run_of_the_same_partition(ticks: Ticks) -> None:
    put(ticks, "a.frames")
    (first,) = requests_of(ticks.tick())
    (ticks.house.arrivals / "a.frames").rename(ticks.house.folder / "moved.frames")
    put(ticks, "a.frames", frames=20)
    (second,) = requests_of(ticks.tick())
    assert second.partition_key == first.partition_key
    assert second.run_key != first.run_key


def test_of_what_lies_there_at_the_first_look_the_newest_is_launched(tmp_path: Path) -> None:
    with dg.instance_for_test() as instance:
        house = ScanHouse(tmp_path, instance)
        ticks = Ticks(house, define_scans_sensor(house.scans))
        for number in range(4):
            put(ticks, f"{number}.frames", age_s=100.0 - number)
        (request,) = requests_of(ticks.tick())
        assert request.partition_key == "3.frames"
        assert sorted(ticks.known) == [f"{number}.frames" for number in range(4)]


def test_what_is_no_scan_is_told_and_launches_nothing(ticks: Ticks) -> None:
    (ticks.house.arrivals / "a.npy").write_bytes(b"no array")
    data = ticks.tick()
    assert requests_of(data) == []
    assert "1 are left out, such as a.npy" in (data.skip_message or "")
    assert ticks.known == []


def test_a_store_that_is_away_moves_nothing(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise Transient("The store is away.")

    put(ticks, "a.frames")
    with monkeypatch.context() as patch:
        patch.setattr("runstart.scans.find_scans", fail)
        data = ticks.tick(is_kept=False)
    assert data.cursor in (None, ticks.cursor)
    assert (data.skip_message or "").startswith("Scans cannot be listed now: The store is away.")
    assert len(requests_of(ticks.tick())) == 1


def test_a_numpy_file_is_launched_when_it_has_settled(ticks: Ticks) -> None:
    np.save(ticks.house.arrivals / "a.npy", draw_frames().reshape(5, 6, 16, 12))
    (request,) = requests_of(ticks.tick())
    assert request.partition_key == "a.npy"
