"""Pruning on real Dagster instances: one database for each run (SQLite), and one for all (as PostgreSQL is)."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetEventTagsTable
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from facility_kit import small_instrument
from upkeep_kit import House, key_of

import ops.run_storage
from assets import live_run_key, live_run_partitions
from resources import ObjectStoreResource
from runstart.errors import Alert
from runstart.operation_kit.following import following, list_notes
from runstart.storage import FileStore
from sensors.pruning import Pruning, define_pruning

PICTURE = dg.MetadataValue.md("![overview](data:image/png;base64," + 20_000 * "A" + ")")
ASSET = live_run_key("ALFA")
OLD = 400.0  # days
CONSOLIDATED = """
event_log_storage:
  module: dagster._core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config:
    base_dir: {home}/events
"""


@dg.asset(key=ASSET, partitions_def=live_run_partitions("ALFA"), config_schema={"fail": dg.Field(bool, False)})
def live_run(context: dg.AssetExecutionContext) -> Any:
    """Logs as much as a live run does."""
    print("counting")  # noqa: T201 - captured with the run
    for number in range(5):
        context.log.info(f"counting: {number} events")
        context.log_event(
            dg.AssetObservation(
                asset_key=context.asset_key, partition=context.partition_key, metadata={"overview": PICTURE}
            )
        )
    if context.op_execution_context.op_config["fail"]:
        raise dg.Failure("The broker is gone.")
    return dg.MaterializeResult(
        metadata={"events": 5, "overview": PICTURE, "remark": dg.MetadataValue.md("*fine*")},
        data_version=dg.DataVersion("digest"),
    )


@dg.asset_check(asset=ASSET, blocking=True)
def ledger_adds_up() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


both = pytest.mark.parametrize("house", ["a database for each run", "one database"], indirect=True)


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    home = tmp_path / "dagster"
    home.mkdir()
    storage = CONSOLIDATED.format(home=home) if getattr(request, "param", "") == "one database" else ""
    (home / "dagster.yaml").write_text(f"telemetry:\n  enabled: false\n{storage}")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield House(instance, FileStore(tmp_path / "store"))


@pytest.fixture
def pruning() -> Pruning:
    return define_pruning([small_instrument("ALFA"), small_instrument("BETA")], {})


def reduce(house: House, key: str, days_ago: float, fail: bool = False) -> str:
    """Materialize a partition, as if it had been so long ago; return the run's id."""
    if key not in house.instance.get_dynamic_partitions("live_runs_ALFA"):
        house.instance.add_dynamic_partitions("live_runs_ALFA", [key])
    config = dg.RunConfig(ops={"ALFA__live_run": {"config": {"fail": fail}}})
    result = dg.materialize(
        [live_run, ledger_adds_up],
        partition_key=key,
        instance=house.instance,
        run_config=config,
        raise_on_error=False,
        tags={"runstart/instrument": "ALFA"},
    )
    assert result.success is not fail
    age(house, result.run_id, days_ago)
    return result.run_id


def age(house: House, run_id: str, days_ago: float) -> None:
    """Have a run created so long ago."""
    created = (datetime.now(UTC) - timedelta(days=days_ago)).replace(tzinfo=None)
    with house.instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.execute(
            db.update(RunsTable).where(RunsTable.c.run_id == run_id).values(create_timestamp=created)
        )


def execute(pruning: Pruning, house: House, **config: object) -> str:
    """Execute the job, and return what its log says."""
    assert isinstance(house.store, FileStore)
    defs = dg.Definitions(
        jobs=[pruning.job], resources={"object_store": ObjectStoreResource(url=f"file:{house.store.root}")}
    )
    run = defs.resolve_job_def("pruning").execute_in_process(
        run_config=dg.RunConfig(ops={"prune": {"config": config}}), instance=house.instance
    )
    return "\n".join(entry.user_message for entry in house.instance.all_logs(run.run_id))


def event_types(house: House, run_id: str) -> list[str]:
    return [entry.dagster_event_type.value for entry in house.instance.all_logs(run_id) if entry.dagster_event_type]


def rows_of(house: House, run_id: str) -> dict[str, int]:
    """Return the rows that any table still has of a run."""
    counts = {}
    with house.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        for table in (Events, AssetCheckExecutionsTable):
            query = db.select(db.func.count()).select_from(table).where(table.c.run_id == run_id)
            counts[table.name] = connection.execute(query).scalar_one()
    with house.instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        for table in (RunsTable, RunTagsTable):
            query = db.select(db.func.count()).select_from(table).where(table.c.run_id == run_id)
            counts[table.name] = connection.execute(query).scalar_one()
    return counts


def files_of(house: House, run_id: str) -> list[str]:
    return [path.name for path in Path(house.instance.root_directory).rglob("*") if run_id in path.name]


def test_nothing_goes_from_a_young_instance(pruning: Pruning, house: House) -> None:
    key = key_of(1)
    run_id = reduce(house, key, 1)
    before = event_types(house, run_id)
    said = execute(pruning, house)
    assert "Gone: 0 partitions, 0 Dagster runs, the logs of 0 more, and 0 status objects of dead runs." in said
    assert event_types(house, run_id) == before


@both
def test_a_partition_that_stays_still_shows_its_result_after_years(pruning: Pruning, house: House) -> None:
    """Dagster forgets a materialization with its run: the run that holds it stays, with a thinner log."""
    key = key_of(OLD)
    failed = reduce(house, key, OLD, fail=True)
    replaced = reduce(house, key, OLD - 1)
    holder = reduce(house, key, OLD - 2)
    for _ in range(2):  # the second pass finds nothing more to do
        execute(pruning, house)
        for run_id in (failed, replaced):
            assert house.instance.get_run_by_id(run_id) is None
            assert set(rows_of(house, run_id).values()) == {0}
            assert files_of(house, run_id) == []
        assert house.instance.get_materialized_partitions(ASSET) == {key}
        cached = get_and_update_asset_status_cache_value(
            house.instance, ASSET, live_run_partitions("ALFA"), house.instance
        )
        assert key in (cached.serialized_materialized_partition_subset or "" if cached else "")
        (record,) = house.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=ASSET, asset_partitions=[key]), limit=9
        ).records
        assert record.run_id == holder
        materialization = record.asset_materialization
        assert materialization is not None
        assert set(materialization.metadata) == {"events", "remark"}, "pictures go, figures stay"
        assert (materialization.tags or {})["dagster/data_version"] == "digest"
        types = event_types(house, holder)
        assert "ASSET_OBSERVATION" not in types
        assert {"PIPELINE_SUCCESS", "ASSET_CHECK_EVALUATION", "ASSET_MATERIALIZATION"} <= set(types)
        assert len(types) < 20
        assert len(house.instance.all_logs(holder)) == len(types), "no lines of text are left"
        run = house.instance.get_run_by_id(holder)
        assert run is not None
        assert run.tags["runstart/thinned"] == f"{datetime.now(UTC):%Y-%m-%d}"
    with house.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        ids = set(connection.execute(db.select(Events.c.id)).scalars())
        tagged = set(connection.execute(db.select(AssetEventTagsTable.c.event_id)).scalars())
    assert tagged <= ids


def test_a_file_that_is_locked_stays_as_large(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops.run_storage, "LOCK_SECONDS", 0.0)
    holder = reduce(house, key_of(OLD), OLD)
    (path,) = Path(house.instance.root_directory).rglob(f"{holder}.db")
    shrink = ops.run_storage._shrink

    def shrink_while_locked(*arguments: Any) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            shrink(*arguments)
            other.execute("ROLLBACK")

    monkeypatch.setattr(ops.run_storage, "_shrink", shrink_while_locked)
    ops.run_storage.thin_run(house.instance, holder, "2026-01-01")
    run = house.instance.get_run_by_id(holder)
    assert run is not None
    assert run.tags["runstart/thinned"] == "2026-01-01"


@both
def test_partitions_beyond_the_number_go_with_everything_that_dagster_has_of_them(
    pruning: Pruning, house: House
) -> None:
    keys = [key_of(300 - number, f"{number:03d}") for number in range(100)]
    house.instance.add_dynamic_partitions("live_runs_ALFA", keys)
    oldest = key_of(OLD)
    gone = reduce(house, oldest, OLD)
    house.store.put(f"live/ALFA/{oldest}/results/000001/run.nxs", b"counts")
    assert "1 partitions, 1 Dagster runs" in execute(pruning, house, keep_partitions=100)
    assert house.instance.get_dynamic_partitions("live_runs_ALFA") == keys
    assert set(rows_of(house, gone).values()) == {0}
    assert house.store.get(f"live/ALFA/{oldest}/results/000001/run.nxs").data == b"counts"
    house.instance.add_dynamic_partitions("live_runs_ALFA", [oldest])
    assert oldest not in house.instance.get_materialized_partitions(ASSET), "added again, it can be reduced again"


def test_a_trial_takes_nothing_away(pruning: Pruning, house: House) -> None:
    key = key_of(OLD)
    run_ids = [reduce(house, key, OLD), reduce(house, key, OLD)]
    before = [event_types(house, run_id) for run_id in run_ids]
    assert "0 partitions, 1 Dagster runs, the logs of 1 more" in execute(pruning, house, dry_run=True)
    assert [event_types(house, run_id) for run_id in run_ids] == before


def test_runs_that_are_not_finished_and_runs_of_others_are_never_touched(pruning: Pruning, house: House) -> None:
    key = key_of(OLD)
    house.instance.add_dynamic_partitions("live_runs_ALFA", [key])
    live = house.add_launch("ALFA", key, dg.DagsterRunStatus.STARTED)
    foreign = house.add_launch("", None, job_name="somebody_elses")
    for run_id in (live, foreign):
        age(house, run_id, OLD)
    execute(pruning, house, keep_partition_days=30)
    assert house.instance.get_run_by_id(live) is not None
    assert house.instance.get_run_by_id(foreign) is not None
    assert key in house.instance.get_dynamic_partitions("live_runs_ALFA")


def test_runs_of_the_housekeeping_itself_go(pruning: Pruning, house: House) -> None:
    for job_name in ("pruning", "nightly_reduction"):
        age(house, house.add_launch("", None, job_name=job_name), OLD)
    assert "2 Dagster runs" in execute(pruning, house)


@pytest.mark.parametrize("step", ["delete_dynamic_partition", "delete_events_for_run", "delete_run", "thin"])
def test_killed_anywhere_the_next_pass_finishes(
    pruning: Pruning, house: House, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for number in range(101):
        house.add_partition("ALFA", 200 + number, f"{number}")
    gone = reduce(house, key_of(OLD), OLD)
    holder = reduce(house, key_of(100), 100)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        place = {
            "delete_dynamic_partition": house.instance,
            "delete_events_for_run": house.instance.event_log_storage,
            "delete_run": house.instance.run_storage,
            "thin": None,
        }[step]
        if place is None:
            patch.setattr(ops.run_storage, "_shrink", cut)
        else:
            patch.setattr(type(place), step, cut)
        with pytest.raises((KeyboardInterrupt, dg.DagsterExecutionInterruptedError)):
            execute(pruning, house, keep_partitions=100)
    execute(pruning, house, keep_partitions=100)
    assert len(house.instance.get_dynamic_partitions("live_runs_ALFA")) == 100
    assert set(rows_of(house, gone).values()) == {0}
    assert files_of(house, gone) == []
    assert house.instance.get_materialized_partitions(ASSET) == {key_of_run(house, holder)}
    assert "ASSET_OBSERVATION" not in event_types(house, holder)


def key_of_run(house: House, run_id: str) -> str:
    run = house.instance.get_run_by_id(run_id)
    assert run is not None
    return run.tags["dagster/partition"]


def test_the_status_of_dead_runs_goes_and_of_living_ones_stays(pruning: Pruning, house: House) -> None:
    now = time.time()
    for name, written_at in (("dead", now - 2 * 86_400), ("living", now), ("young", now - 80_000)):
        house.store.put(f"live_status/ALFA/{name}.json", json.dumps({"written_at": written_at}).encode())
    house.store.put("live_status/ALFA/broken.json", b"{")
    assert "2 status objects of dead runs" in execute(pruning, house)
    assert house.store.list("live_status/") == ["live_status/ALFA/living.json", "live_status/ALFA/young.json"]


def test_the_note_of_an_operation_goes_when_dagster_knows_its_run_no_longer(pruning: Pruning, house: House) -> None:
    known = dg.DagsterRun(job_name="median", status=dg.DagsterRunStatus.SUCCESS)
    house.instance.add_run(known)
    for run_id in (known.run_id, "0" * 8):
        with following(house.store, run_id):
            pass
    assert "1 status objects of dead runs" in execute(pruning, house)
    assert list(list_notes(house.store)) == [known.run_id]


def test_an_instance_without_a_sql_database_is_refused(
    pruning: Pruning, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops.run_storage, "_is_sql", lambda storage: False)
    with pytest.raises(dg.Failure, match="no SQL database: nothing was pruned"):
        execute(pruning, house)


def test_environment_says_when() -> None:
    environ = {"RUNSTART_PRUNING_CRON": "15 5 * * 0", "RUNSTART_TIME_ZONE": "Asia/Tokyo"}
    schedule = define_pruning([], environ).schedule
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 5 * * 0", "Asia/Tokyo")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    with pytest.raises(Alert, match="RUNSTART_PRUNING_CRON is 'daily'"):
        define_pruning([], {"RUNSTART_PRUNING_CRON": "daily"})
