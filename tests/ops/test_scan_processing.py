"""What becomes of a scan whose steps fail: what is done stays done, and the result is the undisturbed one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from scan_definitions import Order, execute
from scan_house import NAME, ScanHouse, steps_of
from scan_work_kit import FRAMES, damage_frame, draw_frames

import runstart.scans
from runstart.errors import Alert, Transient

CHECK = f"{NAME}__center_of_mass_counts_agree"


class Bench:
    """A scan, and runs of its job of which the later ones go on where the earlier ones failed."""

    def __init__(self, house: ScanHouse) -> None:
        self.house = house
        self.key = house.put(draw_frames())
        self.last: Any = None

    def run(self) -> Any:
        """Run the job as a whole, or from where the last run of it failed."""
        retry_of = None if self.last is None else self.last.run_id
        order = Order(str(self.house.folder), self.key, retry_of=retry_of)
        self.last = execute(order, self.house.instance)
        return self.last

    def partials(self) -> dict[str, int]:
        """Return when each partial result was written."""
        keys = self.house.store.list(f"scans/{NAME}/{self.key}/work/")
        return {key[-5:]: (self.house.store.root / key).stat().st_mtime_ns for key in keys if "partial" in key}

    def partial_path(self, number: int) -> Path:
        (path,) = self.house.store.root.rglob(f"partial-{number:05d}")
        return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the scan's result when nothing fails."""
    with dg.instance_for_test() as instance:
        house = ScanHouse(tmp_path_factory.mktemp("undisturbed"), instance)
        key = house.put(draw_frames())
        assert house.process(key).success
        return house.result(key).digest


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr("ops.errors.FIRST_RETRY_SECONDS", 0.01)
    with dg.instance_for_test() as instance:
        yield Bench(ScanHouse(tmp_path, instance))


def failing(batch: int, error: Exception, times: int = 1) -> Callable[..., bool]:
    """Return a `process_batch` that fails in one batch."""
    left = [error] * times
    process = runstart.scans.process_batch

    def fail(work: Any, plan: Any, number: int) -> bool:
        if number == batch and left:
            raise left.pop()
        return process(work, plan, number)

    return fail


def failure_of(result: Any) -> str:
    (event,) = (event for event in result.all_events if event.is_step_failure)
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return data.description or ""


def test_an_alert_in_one_batch_costs_no_other_and_the_run_goes_on_with_that_batch_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, undisturbed: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("runstart.scans.process_batch", failing(1, Alert("The disk is full.", "Make room.")))
        first = bench.run()
    assert "The disk is full. Make room." in failure_of(first)
    before = bench.partials()
    assert sorted(before) == ["00000", "00002", "00003"]
    monkeypatch.setattr("runstart.scans.steps.sweep_work", lambda work: None)
    second = bench.run()
    assert second.success
    assert steps_of(second) == ["process_batch[00001]", "merge_scan", CHECK]
    assert {number: bench.partials()[number] for number in before} == before
    assert bench.house.result(bench.key).digest == undisturbed


def test_a_store_that_stays_away_for_a_moment_costs_a_retry_of_the_step_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, undisturbed: str
) -> None:
    away = Transient("The store is away.")
    monkeypatch.setattr("runstart.scans.process_batch", failing(2, away, times=2))
    result = bench.run()
    assert result.success
    assert steps_of(result, "STEP_UP_FOR_RETRY") == ["process_batch[00002]"] * 2
    assert bench.house.result(bench.key).digest == undisturbed


def test_a_broken_partial_result_is_told_and_made_anew_when_the_run_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, undisturbed: str
) -> None:
    finish = runstart.scans.finish_scan

    def break_first(work: Any, plan_key: str) -> Any:
        path = bench.partial_path(2)
        path.write_bytes(path.read_bytes()[:-40])
        return finish(work, plan_key)

    with monkeypatch.context() as patch:
        patch.setattr("runstart.scans.finish_scan", break_first)
        first = bench.run()
    assert "was damaged, and has been removed" in failure_of(first)
    second = bench.run()
    assert second.success
    assert steps_of(second) == ["merge_scan", CHECK]
    assert bench.house.result(bench.key).digest == undisturbed


def test_values_of_the_run_before_are_taken_and_their_loss_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("runstart.scans.process_batch", failing(1, Alert("The disk is full.")))
        bench.run()
    for key in bench.house.store.list("step_values/"):
        bench.house.store.delete(key)
    assert "Launch the run again as a whole" in failure_of(bench.run())


def test_batches_are_those_of_the_plan_that_the_raw_scan_shows(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = []
    plan = runstart.scans.plan_scan
    monkeypatch.setattr("runstart.scans.plan_scan", lambda work: plans.append(plan(work)) or plans[-1])
    assert bench.house.process(bench.key).success
    assert len(plans) == 1
    assert plans[0].key == bench.house.result(bench.key).plan


def test_a_damaged_frame_is_missing_in_the_account_of_the_maps(bench: Bench) -> None:
    damage_frame(bench.house.arrivals / "scan_000001.frames", draw_frames()[9])
    (found,) = runstart.scans.find_scans(bench.house.microscope, None, bench.house.store).scans
    key = found.record.scan
    assert bench.house.process(key).success
    account = bench.house.result(key).accounting
    assert (account.seen, account.damaged, account.missing) == (FRAMES - 1, 1, 1)
    assert np.isnan(bench.house.product(key).center_of_mass[0].reshape(-1)[9])


def test_each_step_shows_that_the_run_lives(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    import ops.scan_processing

    beating = ops.scan_processing.beating
    monkeypatch.setattr(
        "ops.scan_processing.beating", lambda store, run_id: begun.append(run_id) or beating(store, run_id)
    )
    result = bench.house.process(bench.key)
    assert begun == [result.run_id] * 7, "raw scan, plan, four batches, merge"
    assert bench.house.store.list("run_beats/") == []
