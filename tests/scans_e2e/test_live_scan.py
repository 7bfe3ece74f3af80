"""Scans that are written at a pace while the daemon runs: found, followed, observed, and the same as made by hand."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster_kit import DagsterFacility
from facility_kit import in_background
from facility_view import UNFINISHED
from waiting import wait_until

from definitions import build_definitions
from runstart.microscopes import read_microscopes
from runstart.scans import ScanResult, load_current
from runstart.simulators.scan import ScanTruth, simulate_scan
from runstart.simulators.scan_plan import ScanPlan
from runstart.storage import ObjectMissing

# A scan waits for nobody: its pace is that of a clock.
pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.timeout(300)]

KEY = "scan_000001.frames"
PLAN = ScanPlan(scan_shape=(40, 40), frame_shape=(64, 64), rate=64.0, dropped=0.01)
_MICROSCOPES = """
[microscopes.SIMSTEM]
scans = "file:scans"
settle_seconds = 0.5
give_up_seconds = 20
display_interval = 1
batch_bytes = "4MiB"
counting = { background_threshold = 28, xray_threshold = 2000 }
detectors = [{ name = "bright_field", outer = 8 }, { name = "dark_field", inner = 8, outer = 30 }]
"""


@dataclass
class Laboratory:
    """A microscope and its facility."""

    folder: Path
    facility: DagsterFacility

    def write(self, plan: ScanPlan = PLAN) -> Future[ScanTruth]:
        """Write a scan at its pace."""
        stop = threading.Event()
        return in_background(
            lambda: simulate_scan(self.folder / "scans", plan, truth_folder=self.folder / "truth", stop=stop)
        )

    def runs(self) -> list[dg.DagsterRun]:
        return list(self.facility.instance.get_runs())

    def display(self) -> str | None:
        """Return the etag of the picture that is shown."""
        return self.facility.store.head(f"scans/SIMSTEM/{KEY}/display/overview.png")

    def observations(self) -> list[float]:
        """Return the coverage that each observation tells, in their order."""
        found = self.facility.instance.fetch_observations(dg.AssetKey(["SIMSTEM", "center_of_mass"]), limit=50)
        told = [record.asset_observation for record in reversed(found.records)]
        return [float(each.metadata["covered"].value) for each in told if each is not None]  # type: ignore[arg-type]

    def result(self) -> ScanResult | None:
        microscope = read_microscopes(self.folder / "microscopes.toml")["SIMSTEM"]
        try:
            return load_current(self.facility.store, microscope, KEY)
        except ObjectMissing:
            return None

    def wait_for_success(self) -> dg.DagsterRun:
        def ended() -> dg.DagsterRun | None:
            runs = self.runs()
            if not runs or any(run.status in UNFINISHED for run in runs):
                return None
            return runs[0] if runs[0].status is dg.DagsterRunStatus.SUCCESS else None

        try:
            found = wait_until(ended, "a successful end", 120, 0.2)
        except AssertionError as error:
            lines = [
                e.user_message[:400] for run in self.runs()[:2] for e in self.facility.instance.all_logs(run.run_id)
            ]
            raise AssertionError("\n".join([str(error), *lines[-40:]])) from error
        assert isinstance(found, dg.DagsterRun)
        return found

    def process_by_hand(self) -> str:
        """Run the batch job, and return the digest of its result."""
        defs = build_definitions(self.facility.environ)
        done = defs.resolve_job_def("scan_SIMSTEM").execute_in_process(
            instance=self.facility.instance, partition_key=KEY
        )
        assert done.success
        result = self.result()
        assert result is not None
        return result.digest


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    """A laboratory whose sensor has looked at an empty folder."""
    (tmp_path / "scans").mkdir()
    (tmp_path / "sites.toml").touch()
    (tmp_path / "microscopes.toml").write_text(_MICROSCOPES)
    environ = {
        "RUNSTART_MICROSCOPES": str(tmp_path / "microscopes.toml"),
        "RUNSTART_SITES": str(tmp_path / "sites.toml"),
    }
    store = f"file:{tmp_path / 'store'}"
    with DagsterFacility(
        tmp_path / "facility", "", "127.0.0.1:9", store, environ, module="live_scan_definitions"
    ) as facility:
        facility.start()
        made = Laboratory(tmp_path, facility)
        wait_until(lambda: facility.store.list("scan_arrivals/") or _has_ticked(facility), "a first look", 60, 0.2)
        yield made


def _has_ticked(facility: DagsterFacility) -> bool:
    states = [s for s in facility.instance.all_instigator_state() if s.instigator_name == "scans_SIMSTEM"]
    return any(facility.instance.get_ticks(s.instigator_origin_id, s.selector_id, limit=1) for s in states)


def test_a_scan_is_seen_while_it_is_written_and_is_the_same_as_made_by_hand(laboratory: Laboratory) -> None:
    writing = laboratory.write()
    pictures: set[str | None] = set()

    def look() -> bool:
        pictures.add(laboratory.display())
        return writing.done()

    wait_until(look, "the end of the scan", 120, 0.2)
    observed = laboratory.observations()
    run = laboratory.wait_for_success()
    assert run.job_name == "live_scan_SIMSTEM"
    assert len(observed) >= 2
    assert observed == sorted(observed)
    assert 0 < observed[0] < 1
    assert len(pictures - {None}) >= 5
    result = laboratory.result()
    assert result is not None
    assert result.accounting.seen == len(set(writing.result().stored_slots.tolist()))

    # Nothing is launched twice, also by a daemon that was killed.
    laboratory.facility.kill()
    laboratory.facility.start()
    before = _ticks(laboratory)
    wait_until(lambda: _ticks(laboratory) > before + 1, "two more looks", 60, 0.2)
    assert len(laboratory.runs()) == 1
    assert laboratory.process_by_hand() == result.digest


def _ticks(laboratory: Laboratory) -> float:
    instance = laboratory.facility.instance
    (state,) = [s for s in instance.all_instigator_state() if s.instigator_name == "scans_SIMSTEM"]
    return len(instance.get_ticks(state.instigator_origin_id, state.selector_id))


@pytest.mark.faults
def test_a_run_that_is_killed_while_the_scan_goes_on_is_begun_again_with_the_same_result(
    laboratory: Laboratory,
) -> None:
    writing = laboratory.write()
    wait_until(laboratory.display, "a first picture", 60, 0.1)
    (killed,) = laboratory.runs()
    assert not writing.done()
    os.kill(_pid_of(laboratory.facility, killed), signal.SIGKILL)
    writing.result(120)
    wait_until(lambda: len(laboratory.runs()) == 2, "the retry", 120, 0.2)
    run = laboratory.wait_for_success()
    assert run.parent_run_id == killed.run_id
    result = laboratory.result()
    assert result is not None
    assert result.digest == laboratory.process_by_hand()


def _pid_of(facility: DagsterFacility, run: dg.DagsterRun) -> int:
    text = "\n".join(entry.message for entry in facility.instance.all_logs(run.run_id))
    found = re.search(r"Started process for run \(pid: (\d+)\)", text)
    assert found, text
    return int(found[1])
