"""The nightly reduction under Dagster's own daemon: its backfill reduces what can be improved, and spoils nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster_kit import DagsterFacility, small_instrument
from facility_view import UNFINISHED
from scripted_stream import PULSE_MS, ScriptedRun, make_messages, publish
from waiting import wait_until

import runstart
from definitions import build_definitions
from runstart.facility import Broker
from runstart.live import read_head
from runstart.metrics import live_status_key

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

STOP = 30 * PULSE_MS
LOST = 7  # messages of a finished run that the broker drops


@dataclass
class Night:
    """What the night finds: a run of each kind, by its partition key."""

    facility: DagsterFacility
    first: str
    second: str
    good: str
    older: str
    failed: str
    dropped: str
    live: str
    failed_run: ScriptedRun

    @property
    def chosen(self) -> dict[str, set[str]]:
        return {self.first: {self.older, self.failed}, self.second: {self.dropped}}


@pytest.fixture
def night(
    broker: Broker,
    store_place: Callable[[], tuple[str, Mapping[str, str]]],
    tmp_path: Path,
    new_name: Callable[[], str],
    request: pytest.FixtureRequest,
) -> Iterator[Night]:
    first, second = new_name(), new_name()
    url, environ = store_place()
    with DagsterFacility(
        tmp_path / "facility",
        small_instrument(first) + small_instrument(second),
        broker.bootstrap_servers,
        url,
        {**environ, **getattr(request, "param", {})},
        module="quiet_definitions",
    ) as facility:
        good = _reduced(facility, first, "good")
        older = _reduced(facility, first, "older")
        _make_older(facility, first, older)
        dropped = _reduced(facility, second, "dropped")
        _make_older(facility, second, dropped)
        broker.delete_records(facility.instruments[second].topics.events, 0, LOST)
        failed_run, failed = _failed(facility, first)
        live = _live(facility, second)
        yield Night(facility, first, second, good, older, failed, dropped, live, failed_run)


def test_the_nights_backfill_reduces_what_can_be_improved_and_spoils_nothing(night: Night) -> None:
    facility = night.facility
    before = {key: read_head(facility.store, *key) for key in _places(night)}
    said = _tick(facility)
    assert f"{night.first}: 2 runs (1 no result, 1 older code version)." in said
    assert f"{night.second}: 1 runs (1 older code version)." in said
    assert "1 of them live" in said
    (backfill,) = facility.instance.get_backfills()
    assert _targets(backfill) == night.chosen
    facility.start()
    runs = _wait_for_runs(facility, backfill, 3)
    _check_outcome(night, runs, before)
    assert "has been requested before" in _tick(facility)
    later = _tick(facility, datetime.now(UTC) + timedelta(days=1))
    assert later.startswith("Nothing to reduce again."), "the dropped data would give the same for ever"


@pytest.mark.real
@pytest.mark.parametrize("night", [{"RUNSTART_NIGHTLY_CRON": "* * * * *"}], indirect=True, ids=["each minute"])
def test_the_daemons_own_tick_requests_one_backfill_and_dagster_completes_it(night: Night) -> None:
    facility = night.facility
    before = {key: read_head(facility.store, *key) for key in _places(night)}
    facility.start()
    wait_until(lambda: bool(facility.instance.get_backfills()), "the backfill of the night", 100, 0.5)
    (backfill,) = facility.instance.get_backfills()
    assert _targets(backfill) == night.chosen
    assert f"Requested backfill {backfill.backfill_id}." in _told(facility)
    runs = _wait_for_runs(facility, backfill, 3)
    _check_outcome(night, runs, before)

    def completed() -> bool:
        found = facility.instance.get_backfill(backfill.backfill_id)
        return found is not None and found.status is BulkActionStatus.COMPLETED_SUCCESS

    wait_until(completed, "the completed backfill", 100, 0.5)
    assert "has been requested before" in _tick(facility), "as at the next minute"
    assert len(facility.instance.get_backfills()) == 1


def _check_outcome(night: Night, runs: list[dg.DagsterRun], before: Mapping[tuple[str, str], object]) -> None:
    facility = night.facility
    assert {(run.status, run.tags["runstart/kind"]) for run in runs} == {(dg.DagsterRunStatus.SUCCESS, "batch")}
    for run in runs:
        assert run.tags["runstart/nightly"]
        assert facility.checks(run.run_id)["ledger_adds_up"]

    head = read_head(facility.store, night.first, night.older)
    assert [version.digest for version in head.versions] == [head.versions[0].digest] * 2
    assert head.current == head.versions[1], "the same counts, made with the present code"
    assert facility.result(night.first, night.older).code_version == runstart.__version__

    result = facility.result(night.first, night.failed)
    assert result.digest == facility.undisturbed(night.failed_run, night.failed)[0].digest
    assert result.shortcomings == ()

    head = read_head(facility.store, night.second, night.dropped)
    assert len(head.versions) == 2
    assert head.current == head.versions[0], "data that the broker dropped must not shrink a good result"
    assert facility.result(night.second, night.dropped).shortcomings == ()

    for place in ((night.first, night.good), (night.second, night.live)):
        after = read_head(facility.store, *place)
        assert (after.epoch, after.versions) == (before[place].epoch, before[place].versions)  # type: ignore[attr-defined]


def _places(night: Night) -> list[tuple[str, str]]:
    return [(night.first, night.good), (night.second, night.live)]


def _reduced(facility: DagsterFacility, instrument: str, name: str) -> str:
    """Take and reduce a run; return its key."""
    run = facility.new_run(instrument, name)
    key = facility.announce(run)
    _publish(facility, run, range(60))
    facility.publish_stop(run, run.start_ms + STOP)
    facility.work(instrument, key).succeed()
    return key


def _make_older(facility: DagsterFacility, instrument: str, key: str) -> None:
    """Have a result made by an older version of the code."""
    place = f"{facility.result(instrument, key).folder}/result.json"
    fields = json.loads(facility.store.get(place).data)
    facility.store.put(place, json.dumps(fields | {"code_version": "0.0.1"}).encode())


def _failed(facility: DagsterFacility, instrument: str) -> tuple[ScriptedRun, str]:
    """Take a run whose process is killed while it counts, and which is not retried."""
    run = facility.new_run(instrument, "failed")
    key = facility.announce(run)
    _publish(facility, run, range(60))
    worker = facility.work(instrument, key)
    wait_until(lambda: read_head(facility.store, instrument, key).snapshots, "a snapshot")
    worker.kill()
    facility.publish_stop(run, run.start_ms + STOP)
    launched = facility.instance.get_run_by_id(worker.order.run_id)
    assert launched is not None
    facility.instance.add_run_tags(launched.run_id, {"dagster/max_retries": "0"})
    facility.instance.report_run_failed(launched)
    # By the night, what the process told of itself is old.
    facility.store.delete(live_status_key(instrument, key))
    return run, key


def _live(facility: DagsterFacility, instrument: str) -> str:
    """Take a run that goes on counting."""
    run = facility.new_run(instrument, "live")
    key = facility.announce(run)
    _publish(facility, run, range(10))
    facility.work(instrument, key)
    wait_until(lambda: read_head(facility.store, instrument, key).snapshots, "a snapshot")
    return key


def _publish(facility: DagsterFacility, run: ScriptedRun, pulses: range) -> None:
    messages = make_messages(run, pulses, source=run.name)
    publish(facility.bootstrap_servers, run.instrument.topics.events, [(m.payload, 0) for m in messages])


def _tick(facility: DagsterFacility, at: datetime | None = None) -> str:
    """Evaluate the schedule as the daemon does, and return what the tick's page says."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in facility.environ.items():
            patch.setenv(variable, value)  # credentials come from the environment alone
        defs = build_definitions(facility.environ)
        with dg.build_schedule_context(
            facility.instance,
            at or datetime.now(UTC),
            resources=defs.resources,
            repository_def=defs.get_repository_def(),
        ) as context:
            return defs.resolve_schedule_def("nightly_reduction").evaluate_tick(context).skip_message or ""


def _told(facility: DagsterFacility) -> str:
    """Return what the pages of the schedule's ticks say."""
    states = facility.instance.all_instigator_state()
    return "\n".join(
        tick.skip_reason or ""
        for state in states
        if state.instigator_name == "nightly_reduction"
        for tick in facility.instance.get_ticks(state.instigator_origin_id, state.selector_id)
    )


def _targets(backfill: PartitionBackfill) -> dict[str, set[str]]:
    assert backfill.asset_backfill_data is not None
    subsets = backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key
    return {key.path[0]: set(subset.get_partition_keys()) for key, subset in subsets.items()}


def _wait_for_runs(facility: DagsterFacility, backfill: PartitionBackfill, number: int) -> list[dg.DagsterRun]:
    """Wait until so many runs of a backfill have ended."""
    tags = dg.RunsFilter(tags={"dagster/backfill": backfill.backfill_id})

    def ended() -> bool:
        found = facility.instance.get_runs(tags)
        return len(found) == number and all(run.status not in UNFINISHED for run in found)

    try:
        wait_until(ended, "the runs of the backfill", 100, 0.25)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{facility.daemon_log[-6000:]}") from error
    return list(facility.instance.get_runs(tags))
