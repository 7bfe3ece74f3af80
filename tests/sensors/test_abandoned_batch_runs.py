"""Runs of nights, data operations and sessions whose process is gone; `nights_e2e/test_killed_runs.py` kills real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from night_facility import SITE, NightHouse, night, open_house

import sensors.abandoned_runs
from ops import run_beats
from ops.run_beats import beating, read_beat
from runstart.errors import Transient
from runstart.storage import FileStore
from sensors.abandoned_runs import BATCH_SILENCE_SECONDS, BATCH_STARTING_SECONDS, STARTING_SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def time(self) -> float:
        return self.now


class Watch:
    """The sensor, tick by tick, by a clock that a test sets."""

    def __init__(self, house: NightHouse, clock: Clock) -> None:
        self.house = house
        self.clock = clock
        self.cursor: str | None = None

    def __call__(self, after: float = 0.0) -> str:
        self.clock.now += after
        data = self.house.tick_sensor("abandoned_runs", self.cursor)
        self.cursor = data.cursor
        return data.skip_message or ""

    def status(self, run: dg.DagsterRun) -> dg.DagsterRunStatus:
        found = self.house.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    clock = Clock()
    monkeypatch.setattr(sensors.abandoned_runs, "time", clock)
    with open_house(tmp_path / "house") as house:
        yield Watch(house, clock)


RUNS = {
    "of a schedule": {"job_name": f"night_{SITE}", "tags": {"runstart/site": SITE, "dagster/partition": night(0)}},
    "of a backfill": {
        "job_name": "__ASSET_JOB",
        "tags": {"dagster/backfill": "abcdefgh"},
        "asset_selection": {dg.AssetKey([SITE, "stacks"])},
    },
    "of a data operation": {"job_name": "median"},
    "of a session": {"job_name": "probe_session"},
}


@pytest.fixture(params=RUNS.values(), ids=RUNS)
def run(request: pytest.FixtureRequest, watch: Watch) -> dg.DagsterRun:
    run = dg.DagsterRun(status=dg.DagsterRunStatus.STARTED, **request.param)
    watch.house.instance.add_run(run)
    return run


def beat(watch: Watch, run: dg.DagsterRun, number: int) -> None:
    watch.house.place.store.put(f"{run_beats.FOLDER}/{run.run_id}.json", b'{"beat": %d}' % number)


def test_a_run_whose_beat_stands_still_is_failed_and_its_beat_forgotten(watch: Watch, run: dg.DagsterRun) -> None:
    beat(watch, run, 1)
    assert "1 runs of nights, data operations and sessions, 0 of them abandoned" in watch()
    watch(BATCH_SILENCE_SECONDS)
    assert watch.status(run) is dg.DagsterRunStatus.STARTED
    assert "1 of them abandoned" in watch(0.1)
    assert watch.status(run) is dg.DagsterRunStatus.FAILURE
    assert read_beat(watch.house.place.store, run.run_id) is None
    assert watch(10) == "0 live runs, 0 of them abandoned."


def test_a_run_is_never_seen_failed_without_the_promise_of_its_retry(
    watch: Watch, run: dg.DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = watch.house.instance
    fail = dg.DagsterInstance.report_run_failed
    tags: list[str | None] = []

    def look_and_fail(self: dg.DagsterInstance, failed: dg.DagsterRun, *words: Any) -> Any:
        seen = instance.get_run_by_id(failed.run_id)
        assert seen is not None
        tags.append(seen.tags.get("dagster/will_retry"))
        return fail(self, failed, *words)

    monkeypatch.setattr(dg.DagsterInstance, "run_retries_enabled", True)
    monkeypatch.setattr(dg.DagsterInstance, "run_retries_max_retries", 3)
    monkeypatch.setattr(dg.DagsterInstance, "report_run_failed", look_and_fail)
    beat(watch, run, 1)
    watch()
    watch(BATCH_SILENCE_SECONDS + 1)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert tags == [found.tags["dagster/will_retry"]] == ["true"]


def test_a_run_that_beats_is_left_alone(watch: Watch, run: dg.DagsterRun) -> None:
    for number in range(20):
        beat(watch, run, number)
        watch(BATCH_SILENCE_SECONDS)
    assert watch.status(run) is dg.DagsterRunStatus.STARTED


def test_a_run_without_a_beat_has_longer(watch: Watch, run: dg.DagsterRun) -> None:
    watch()
    watch(BATCH_STARTING_SECONDS)
    assert watch.status(run) is dg.DagsterRunStatus.STARTED
    watch(1)
    assert watch.status(run) is dg.DagsterRunStatus.FAILURE


def test_a_run_of_a_compute_job_which_needs_no_pod_has_less(watch: Watch) -> None:
    run = dg.DagsterRun("compute_to_data", status=dg.DagsterRunStatus.STARTED)
    watch.house.instance.add_run(run)
    watch()
    watch(STARTING_SECONDS)
    assert watch.status(run) is dg.DagsterRunStatus.STARTED
    watch(1)
    assert watch.status(run) is dg.DagsterRunStatus.FAILURE


def test_an_outage_of_the_store_makes_nobody_dead(
    watch: Watch, run: dg.DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(watch, run, 1)
    watch()

    def refuse(*_: object) -> object:
        raise Transient("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "get", refuse)
        assert "The store is away" in watch(BATCH_SILENCE_SECONDS)
    watch(1)
    assert watch.status(run) is dg.DagsterRunStatus.STARTED, "its next beat may be on its way"
    watch(BATCH_SILENCE_SECONDS + 1)
    assert watch.status(run) is dg.DagsterRunStatus.FAILURE


def test_other_runs_are_not_judged(watch: Watch) -> None:
    run = dg.DagsterRun("pruning", status=dg.DagsterRunStatus.STARTED)
    watch.house.instance.add_run(run)
    watch()
    watch(10 * BATCH_STARTING_SECONDS)
    assert watch.status(run) is dg.DagsterRunStatus.STARTED


def test_a_step_of_a_night_beats_while_it_works(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    monkeypatch.setattr(
        "assets.nights.beating", lambda store, run_id: begun.append(run_id) or beating(store, run_id)
    )
    result = watch.house.reduce(night(0), assets=["exposures"])
    assert result.success
    assert begun == [result.run_id]
    assert read_beat(watch.house.place.store, result.run_id) is None
