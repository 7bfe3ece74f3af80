"""A scan of two batches whose process is killed in the middle of the second: the first is not computed again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from scan_definitions import Order
from scan_house import NAME, ScanHouse
from scan_work_kit import draw_frames
from waiting import wait_until

from runstart.storage import FileStore

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).resolve().parents[2]
TWO_BATCHES = 15  # frames


class Facility:
    """A house whose runs are processes of their own, all with one Dagster instance on disk."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.instance = instance
        self.house = ScanHouse(folder / "house", instance, frames_per_batch=TWO_BATCHES)
        self.key = self.house.put(draw_frames())
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, order: Order, **environ: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
        home = {"DAGSTER_HOME": self.instance.root_directory, "PYTHONPATH": path}
        with (self.folder / "worker.log").open("ab") as log:
            started = subprocess.Popen(
                order.arguments, env=os.environ | home | environ, stdout=log, stderr=log, cwd=REPOSITORY
            )
        self.started.append(started)
        return started

    def partials(self) -> dict[str, tuple[int, str | None]]:
        """Return when each partial result was written, and its etag."""
        store = self.house.store
        keys = [key for key in store.list(f"scans/{NAME}/{self.key}/work/") if "partial" in key]
        return {key[-5:]: ((store.root / key).stat().st_mtime_ns, store.head(key)) for key in keys}

    def newest_run(self) -> dg.DagsterRun:
        return self.instance.get_runs(limit=1)[0]

    def steps(self, run: dg.DagsterRun) -> list[str]:
        entries = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
        return [(entry.step_key or "").removeprefix(f"process_scan_{NAME}.") for entry in entries]


@pytest.fixture
def facility(tmp_path: Path) -> Iterator[Facility]:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        opened = Facility(tmp_path, instance)
        yield opened
        for process in opened.started:
            process.kill()
            process.wait()


@pytest.mark.parametrize("executor", ["in_process", "multiprocess"])
def test_killed_in_its_second_batch_a_scan_goes_on_with_that_batch(
    facility: Facility, tmp_path: Path, executor: str
) -> None:
    order = Order(str(facility.house.folder), facility.key, executor, TWO_BATCHES)
    halted = tmp_path / "halted"
    worker = facility.start(order, SCAN_HALT=f"1:{halted}")
    wait_until(halted.exists, "the middle of the second batch", 120, 0.05)
    wait_until(facility.partials, "the end of the first batch", 120, 0.05)  # both may be under way at once
    before = facility.partials()
    assert list(before) == ["00000"]

    os.kill(int(halted.read_text()), signal.SIGKILL)
    worker.wait()
    killed = facility.newest_run()
    if executor == "in_process":  # nobody is left to say so: the sensor `abandoned_runs` does
        assert killed.status is dg.DagsterRunStatus.STARTED
        facility.instance.report_run_failed(killed, "The process of this run is gone.")

    assert facility.start(replace(order, retry_of=killed.run_id), SCAN_KEEP_WORK="1").wait() == 0
    run = facility.newest_run()
    assert run.parent_run_id == killed.run_id
    assert run.status is dg.DagsterRunStatus.SUCCESS, (tmp_path / "worker.log").read_text()[-5000:]
    assert facility.steps(run) == [
        f"process_batch_{NAME}[00001]",
        f"merge_scan_{NAME}",
        f"{NAME}__center_of_mass_counts_agree",
    ]
    assert facility.partials()["00000"] == before["00000"]
    assert facility.house.result(facility.key).digest == undisturbed(tmp_path, facility.instance)


def undisturbed(folder: Path, instance: dg.DagsterInstance) -> str:
    """Return the digest of the same scan, processed where nothing is killed."""
    house = ScanHouse(folder / "undisturbed", instance, frames_per_batch=TWO_BATCHES)
    key = house.put(draw_frames())
    assert house.process(key).success
    assert isinstance(house.store, FileStore)
    return house.result(key).digest
