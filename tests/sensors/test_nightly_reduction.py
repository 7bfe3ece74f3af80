"""The nightly reduction up to its backfill; `facility_e2e/test_nightly.py` carries one out."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus
from facility_kit import small_instrument
from upkeep_kit import House

import runstart
from assets import live_run_key
from resources import ObjectStoreResource
from runstart.errors import Alert, Transient
from runstart.live.head import Head, head_key
from runstart.storage import FileStore
from sensors import nightly_backfill
from sensors.nightly_backfill import CODE_TAG, NIGHT_TAG, RETRY_TAG
from sensors.nightly_reduction import NightlyReduction, define_nightly_reduction

DAGSTER_YAML = Path(__file__).resolve().parents[2] / "dagster.yaml"
INSTRUMENTS = [small_instrument("ALFA"), small_instrument("BETA")]
NIGHT = datetime.now(UTC)
BACKFILL_ID = f"nightly-{NIGHT:%Y-%m-%d}"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    (tmp_path / "dagster").mkdir()
    shutil.copy(DAGSTER_YAML, tmp_path / "dagster")
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        yield House(instance, FileStore(tmp_path / "store"))


@pytest.fixture
def nightly() -> NightlyReduction:
    return define_nightly_reduction(INSTRUMENTS, {})


def definitions(nightly: NightlyReduction, house: House) -> dg.Definitions:
    assert isinstance(house.store, FileStore)
    return dg.Definitions(
        jobs=[nightly.job],
        schedules=[nightly.schedule],
        resources={"object_store": ObjectStoreResource(url=f"file:{house.store.root}")},
    )


def tick(nightly: NightlyReduction, house: House, at: datetime = NIGHT) -> str:
    """Evaluate the schedule as the daemon does, and return what the tick's page says."""
    defs = definitions(nightly, house)
    with dg.build_schedule_context(
        house.instance, at, resources=defs.resources, repository_def=defs.get_repository_def()
    ) as context:
        data = nightly.schedule.evaluate_tick(context)
    assert not data.run_requests
    return data.skip_message or ""


def targets(house: House, backfill_id: str = BACKFILL_ID) -> dict[str, set[str]]:
    """Return the partitions of a backfill, by instrument."""
    backfill = house.instance.get_backfill(backfill_id)
    assert backfill is not None
    assert backfill.asset_backfill_data is not None
    subset = backfill.asset_backfill_data.target_subset
    return {
        key.path[0]: set(partitions.get_partition_keys())
        for key, partitions in subset.partitions_subsets_by_asset_key.items()
    }


def add_failed(house: House, instrument: str, days_ago: float = 1, **tags: str) -> str:
    """A run whose launch failed before it had a result."""
    key = house.add_partition(instrument, days_ago)
    house.put_head(instrument, key, Head(epoch=1, released=False))
    house.add_launch(instrument, key, dg.DagsterRunStatus.FAILURE, tags)
    return key


def test_what_can_be_improved_becomes_one_backfill_over_all_instruments(
    nightly: NightlyReduction, house: House
) -> None:
    failed = add_failed(house, "ALFA")
    older = house.add_partition("BETA", 3, "older")
    house.add_result("BETA", older, code_version="0.0.1")
    incomplete = house.add_partition("BETA", 2, "incomplete")
    house.add_result("BETA", incomplete, shortcomings=("3 message ids are missing.",))
    good = house.add_partition("BETA", 1, "good")
    house.add_result("BETA", good)
    said = tick(nightly, house)
    assert "ALFA: 1 runs (1 no result)." in said
    assert "BETA: 2 runs (1 incomplete, 1 older code version)." in said
    (backfill,) = house.instance.get_backfills()
    assert backfill.backfill_id == BACKFILL_ID
    assert backfill.is_asset_backfill
    assert backfill.status is BulkActionStatus.REQUESTED
    assert backfill.tags == {
        "runstart/kind": "batch",
        NIGHT_TAG: f"{NIGHT:%Y-%m-%d}",
        CODE_TAG: runstart.__version__,
    }
    assert backfill.title == f"Nightly reduction of {NIGHT:%Y-%m-%d}: 3 runs"
    assert "1 older code version" in (backfill.description or "")
    assert set(backfill.asset_selection or ()) == {live_run_key("ALFA"), live_run_key("BETA")}
    assert targets(house) == {"ALFA": {failed}, "BETA": {older, incomplete}}


def test_a_repeated_tick_makes_no_second_backfill(nightly: NightlyReduction, house: House) -> None:
    key = add_failed(house, "ALFA")
    tick(nightly, house)
    add_failed(house, "BETA")
    assert "has been requested before" in tick(nightly, house)
    assert len(house.instance.get_backfills()) == 1
    assert targets(house) == {"ALFA": {key}}


def test_a_night_without_work_makes_no_backfill_and_says_so(nightly: NightlyReduction, house: House) -> None:
    key = house.add_partition("ALFA", 1)
    house.add_result("ALFA", key)
    house.add_partition("BETA", 1, "never-launched")
    assert tick(nightly, house) == "Nothing to reduce again. Looked at 2 runs, 0 of them live."
    assert house.instance.get_backfills() == []


def test_a_tick_of_a_night_to_come_only_says_what_it_would_do(nightly: NightlyReduction, house: House) -> None:
    add_failed(house, "ALFA")
    assert tick(nightly, house, NIGHT + timedelta(days=1)).startswith(
        "A trial: nothing was requested. ALFA: 1 runs"
    )
    assert house.instance.get_backfills() == []


@pytest.mark.parametrize("status", nightly_backfill.UNFINISHED, ids=lambda status: status.name)
def test_a_run_that_dagster_has_not_finished_is_never_touched(
    nightly: NightlyReduction, house: House, status: dg.DagsterRunStatus
) -> None:
    key = add_failed(house, "ALFA")
    house.add_launch("ALFA", key, status)
    assert "Looked at 1 runs, 1 of them live." in tick(nightly, house)
    assert house.instance.get_backfills() == []


def test_a_run_whose_holder_renews_its_status_is_never_touched(nightly: NightlyReduction, house: House) -> None:
    """As when it is reduced by another Dagster instance."""
    key = add_failed(house, "ALFA")
    house.put_head("ALFA", key, replace(house.head("ALFA", key), run_id="elsewhere"))
    status = {"dagster_run_id": "elsewhere", "written_at": time.time()}
    house.store.put(f"live_status/ALFA/{key}.json", json.dumps(status).encode())
    assert "1 of them live" in tick(nightly, house)
    status["written_at"] = time.time() - 3600
    house.store.put(f"live_status/ALFA/{key}.json", json.dumps(status).encode())
    assert "1 no result" in tick(nightly, house)


def test_what_a_night_made_is_not_made_again(nightly: NightlyReduction, house: House) -> None:
    key = house.add_partition("ALFA", 2)
    house.add_result("ALFA", key, code_version="0.0.1")
    run_id = house.add_launch("ALFA", key, tags={NIGHT_TAG: "2026-01-01", CODE_TAG: runstart.__version__})
    house.add_result("ALFA", key, run_id=run_id, shortcomings=("Offsets were deleted.",), promote=False)
    assert tick(nightly, house).startswith("Nothing to reduce again.")


def test_a_run_that_failed_three_nights_is_left_to_people(nightly: NightlyReduction, house: House) -> None:
    key = add_failed(house, "ALFA")
    for night in ("2026-01-01", "2026-01-02", "2026-01-02"):
        tags = {NIGHT_TAG: night, CODE_TAG: runstart.__version__}
        house.add_launch("ALFA", key, dg.DagsterRunStatus.FAILURE, tags)
    assert "1 no result" in tick(nightly, house, NIGHT + timedelta(days=1)), "two nights, one of them twice"
    tags = {NIGHT_TAG: "2026-01-03", CODE_TAG: runstart.__version__}
    house.add_launch("ALFA", key, dg.DagsterRunStatus.FAILURE, tags)
    assert tick(nightly, house).startswith("Nothing to reduce again.")


def test_nights_whose_trial_succeeded_do_not_count(nightly: NightlyReduction, house: House) -> None:
    key = house.add_partition("ALFA", 1)
    for night in ("2026-01-01", "2026-01-02", "2026-01-03"):
        tags = {NIGHT_TAG: night, CODE_TAG: runstart.__version__}
        house.add_launch("ALFA", key, dg.DagsterRunStatus.FAILURE, tags)
        run_id = house.add_launch("ALFA", key, tags=tags)
    house.add_result("ALFA", key, run_id=run_id, code_version="0.0.1")
    assert "1 older code version" in tick(nightly, house)


def test_a_run_that_dagster_is_about_to_retry_is_left_to_it(
    nightly: NightlyReduction, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = add_failed(house, "ALFA", 1, **{RETRY_TAG: "false"})
    add_failed(house, "BETA", 1, **{RETRY_TAG: "true"})
    assert "1 of them live" in tick(nightly, house)
    assert targets(house) == {"ALFA": {key}}
    monkeypatch.setattr(nightly_backfill, "RETRY_SECONDS", 0.0)
    assert "BETA: 1 runs (1 no result)." in tick(nightly, house, NIGHT + timedelta(days=1))


def test_a_run_that_a_person_terminated_is_left_alone_and_one_of_the_night_is_not(
    nightly: NightlyReduction, house: House
) -> None:
    terminated, cancelled = (house.add_partition("ALFA", 1, name) for name in ("terminated", "cancelled"))
    for key in (terminated, cancelled):
        house.put_head("ALFA", key, Head(epoch=1))
    house.add_launch("ALFA", terminated, dg.DagsterRunStatus.CANCELED)
    house.add_launch("ALFA", cancelled, dg.DagsterRunStatus.FAILURE)
    house.add_launch("ALFA", cancelled, dg.DagsterRunStatus.CANCELED, {NIGHT_TAG: "2026-01-01"})
    tick(nightly, house)
    assert targets(house) == {"ALFA": {cancelled}}


@pytest.mark.parametrize(("severity", "chosen"), [("ERROR", True), ("WARN", False)])
def test_a_run_that_failed_its_blocking_check_is_chosen(
    nightly: NightlyReduction, house: House, severity: str, chosen: bool
) -> None:
    key = house.add_partition("ALFA", 1)
    run_id = house.add_launch("ALFA", key, dg.DagsterRunStatus.FAILURE)
    house.add_result("ALFA", key, run_id=run_id)
    evaluation = dg.AssetCheckEvaluation(
        asset_key=live_run_key("ALFA"),
        check_name="ledger_adds_up",
        passed=False,
        metadata={},
        severity=dg.AssetCheckSeverity[severity],
    )
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
        "live_reduction_ALFA",
        event_specific_data=evaluation,
    )
    house.instance.report_dagster_event(event, run_id)
    assert ("1 failed its check" in tick(nightly, house)) is chosen


class Fetched:
    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256


def scripted(monkeypatch: pytest.MonkeyPatch, answer: str | Exception) -> NightlyReduction:
    """The nightly reduction of an instrument whose script has this digest, or cannot be fetched."""

    def fetch(script: object, environ: object) -> Fetched:
        if isinstance(answer, Exception):
            raise answer
        return Fetched(answer)

    monkeypatch.setattr("runstart.scripts.fetch", fetch)
    instruments = [small_instrument("ALFA", script={"folder": "/scripts"}), INSTRUMENTS[1]]
    return define_nightly_reduction(instruments, {})


def test_a_result_of_an_older_script_is_chosen(monkeypatch: pytest.MonkeyPatch, house: House) -> None:
    keys = {sha: house.add_partition("ALFA", 1, sha) for sha in ("old", "new")}
    for sha, key in keys.items():
        house.add_result("ALFA", key, script_sha256=sha)
    tick(scripted(monkeypatch, "new"), house)
    assert targets(house) == {"ALFA": {keys["old"]}}


@pytest.mark.parametrize("error", [Alert("No such branch.", "Mend it."), Transient("The host is away.")], ids=repr)
def test_while_a_script_cannot_be_fetched_it_is_not_judged_and_the_tick_says_so(
    monkeypatch: pytest.MonkeyPatch, house: House, error: Exception
) -> None:
    house.add_result("ALFA", house.add_partition("ALFA", 1), script_sha256="old")
    failed = add_failed(house, "BETA")
    said = tick(scripted(monkeypatch, error), house)
    assert "older script was not judged" in said
    assert str(error) in said
    assert targets(house) == {"BETA": {failed}}


def test_a_script_source_that_hangs_costs_only_its_judgement(monkeypatch: pytest.MonkeyPatch, house: House) -> None:
    nightly, release, hanging = scripted(monkeypatch, "new"), threading.Event(), []

    def hang(*_: object) -> None:
        hanging.append(threading.current_thread())
        release.wait(60)

    monkeypatch.setattr("runstart.scripts.fetch", hang)
    monkeypatch.setattr(nightly_backfill, "FETCH_SECONDS", 0.1)
    house.add_result("ALFA", house.add_partition("ALFA", 1), script_sha256="old")
    failed = add_failed(house, "BETA")
    said = tick(nightly, house)
    release.set()
    hanging[0].join(60)
    assert "was not judged: Its source has not answered within 0.1 s." in said
    assert targets(house) == {"BETA": {failed}}


def test_a_damaged_run_is_told_and_stops_nothing(nightly: NightlyReduction, house: House) -> None:
    failed = add_failed(house, "BETA")
    house.store.put(head_key("ALFA", house.add_partition("ALFA", 1)), b"{")
    assert "1 runs have a damaged head or result" in tick(nightly, house)
    assert targets(house) == {"BETA": {failed}}


def test_while_the_store_is_away_nothing_is_requested(
    nightly: NightlyReduction, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_failed(house, "ALFA")

    def refuse(*_: object) -> Any:
        raise Transient("The store is away.")

    monkeypatch.setattr(FileStore, "get", refuse)
    assert "the object store does not answer: The store is away." in tick(nightly, house)
    assert house.instance.get_backfills() == []


def test_runs_of_asset_pages_and_backfills_are_known_by_their_asset(
    nightly: NightlyReduction, house: House
) -> None:
    key = add_failed(house, "ALFA")
    run = dg.DagsterRun(
        "__ASSET_JOB",
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": key},
        asset_selection={live_run_key("ALFA")},
    )
    house.instance.add_run(run)
    assert "1 of them live" in tick(nightly, house)


def test_the_job_does_the_same_by_hand(nightly: NightlyReduction, house: House) -> None:
    key = add_failed(house, "ALFA")
    defs = definitions(nightly, house)
    job = defs.resolve_job_def("nightly_reduction")

    def execute(**config: object) -> str:
        run_config = dg.RunConfig(ops={"reduce_again": {"config": config}})
        run = job.execute_in_process(run_config=run_config, instance=house.instance)
        return "\n".join(entry.user_message for entry in house.instance.all_logs(run.run_id))

    assert "A trial: nothing was requested. ALFA: 1 runs" in execute(dry_run=True)
    assert house.instance.get_backfills() == []
    assert "Requested backfill by-hand-" in execute()
    (backfill,) = house.instance.get_backfills()
    assert targets(house, backfill.backfill_id) == {"ALFA": {key}}
    assert NIGHT_TAG in backfill.tags


def test_environment_says_when(house: House) -> None:
    environ = {"RUNSTART_NIGHTLY_CRON": "30 23 * * 1-5", "RUNSTART_TIME_ZONE": "Europe/London"}
    schedule = define_nightly_reduction(INSTRUMENTS, environ).schedule
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 23 * * 1-5", "Europe/London")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(
    "environ", [{"RUNSTART_NIGHTLY_CRON": "at night"}, {"RUNSTART_TIME_ZONE": "Mars/Olympus"}], ids=str
)
def test_a_wrong_time_is_an_alert_that_names_it(environ: dict[str, str]) -> None:
    (variable,) = environ
    with pytest.raises(Alert, match=f"{variable} is '{environ[variable]}'"):
        define_nightly_reduction(INSTRUMENTS, environ)
