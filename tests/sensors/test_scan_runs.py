"""Dagster runs of scans: failed when their process is gone, and pruned with partitions and values between their steps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.event_log.schema import DynamicPartitionsTable
from dagster._core.storage.runs.schema import RunsTable
from scan_house import NAME, ScanHouse
from scan_work_kit import draw_frames

import sensors.abandoned_runs
from assets import MICROSCOPE_TAG, Scans, define_scans
from ops import run_beats
from resources import ObjectStoreResource
from resources.step_values import value_key
from runstart.microscopes import Microscope
from runstart.storage import FileStore
from sensors.abandoned_runs import BATCH_SILENCE_SECONDS, define_abandoned_runs_sensor
from sensors.places import find_batch_runs, find_place, find_scan_place
from sensors.pruning import define_pruning

PARTITION = "dagster/partition"
RUNS = {
    "of a sensor": {"job_name": f"scan_{NAME}", "tags": {MICROSCOPE_TAG: NAME, PARTITION: "a"}},
    "that follows": {"job_name": f"live_scan_{NAME}", "tags": {MICROSCOPE_TAG: NAME, PARTITION: "a"}},
    "by hand": {"job_name": f"scan_{NAME}", "tags": {PARTITION: "a"}},
    "from an asset's page": {
        "job_name": "__ASSET_JOB",
        "tags": {PARTITION: "a"},
        "asset_selection": {dg.AssetKey([NAME, "phase"])},
    },
}
OTHERS = {
    "of another microscope": {"job_name": "scan_TITAN", "tags": {MICROSCOPE_TAG: "TITAN", PARTITION: "a"}},
    "of an instrument of the same name": {
        "job_name": f"live_reduction_{NAME}",
        "tags": {"runstart/instrument": NAME, PARTITION: "a"},
    },
}


@pytest.fixture(scope="module")
def scans() -> Scans:
    return define_scans(Microscope(name=NAME, scans="file:/scans"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.mark.parametrize("fields", RUNS.values(), ids=RUNS)
def test_a_run_of_a_scan_is_known_by_tag_job_or_asset(scans: Scans, fields: dict[str, object]) -> None:
    run = dg.DagsterRun(**fields)  # type: ignore[arg-type]
    assert find_scan_place(run, [scans]) == (f"microscope {NAME}", "a")
    assert find_batch_runs([], [], [scans])(run)
    assert find_place(run, [NAME]) is None, "no live run of an instrument of the same name"


@pytest.mark.parametrize("fields", OTHERS.values(), ids=OTHERS)
def test_other_runs_are_none_of_a_scan(scans: Scans, fields: dict[str, object]) -> None:
    run = dg.DagsterRun(**fields)  # type: ignore[arg-type]
    assert find_scan_place(run, [scans]) is None
    assert not find_batch_runs([], [], [scans])(run)


class Clock:
    now = 1_000.0

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize("fields", RUNS.values(), ids=RUNS)
def test_a_run_of_a_scan_whose_beat_stands_still_is_failed(
    scans: Scans,
    instance: dg.DagsterInstance,
    file_store: FileStore,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, object],
) -> None:
    clock = Clock()
    monkeypatch.setattr(sensors.abandoned_runs, "time", clock)
    sensor = define_abandoned_runs_sensor([], scans=[scans])
    run = dg.DagsterRun(status=dg.DagsterRunStatus.STARTED, **fields)  # type: ignore[arg-type]
    instance.add_run(run)
    file_store.put(f"{run_beats.FOLDER}/{run.run_id}.json", b'{"beat": 1}')
    cursor, status = None, []
    for _ in range(3):
        resources = {"object_store": ObjectStoreResource(url=f"file:{file_store.root}")}
        with dg.build_sensor_context(instance, cursor, resources=resources) as context:
            cursor = sensor.evaluate_tick(context).cursor
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        status.append(found.status.value)
        clock.now += BATCH_SILENCE_SECONDS
    assert status == ["STARTED", "STARTED", "FAILURE"]


def age(instance: dg.DagsterInstance, days: float, *, run_id: str | None = None, key: str | None = None) -> None:
    """Have a run, or a partition, made so long ago."""
    created = (datetime.now(UTC) - timedelta(days=days)).replace(tzinfo=None)
    if run_id is not None:
        with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
            values = {"create_timestamp": created, "end_time": created.replace(tzinfo=UTC).timestamp()}
            connection.execute(db.update(RunsTable).where(RunsTable.c.run_id == run_id).values(**values))
    if key is not None:
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            table = DynamicPartitionsTable
            connection.execute(db.update(table).where(table.c.partition == key).values(create_timestamp=created))


def prune(scans: Scans, instance: dg.DagsterInstance, store: FileStore, **config: object) -> str:
    job = define_pruning([], {}, scans=[scans]).job
    defs = dg.Definitions(jobs=[job], resources={"object_store": ObjectStoreResource(url=f"file:{store.root}")})
    run = defs.resolve_job_def("pruning").execute_in_process(
        run_config=dg.RunConfig(ops={"prune": {"config": config}}), instance=instance
    )
    return "\n".join(entry.user_message for entry in instance.all_logs(run.run_id))


def test_scans_beyond_the_number_go_the_first_found_first_and_their_results_stay(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    house = ScanHouse(tmp_path, instance)
    oldest = house.put(draw_frames())
    run = house.process(oldest)
    assert run.success
    age(instance, 400, run_id=run.run_id, key=oldest)
    others = [f"another{number:03d}.frames" for number in range(100)]
    instance.add_dynamic_partitions(f"scans_{NAME}", others)
    for number, key in enumerate(others):
        age(instance, 300 - number, key=key)
    result = house.result(oldest)
    assert "1 partitions, 1 Dagster runs" in prune(house.scans, instance, house.store, keep_partitions=100)
    assert instance.get_dynamic_partitions(f"scans_{NAME}") == others
    assert instance.get_run_by_id(run.run_id) is None
    assert house.result(oldest) == result
    assert house.store.list("step_values/") == []


def test_the_run_that_holds_the_maps_of_a_scan_stays_and_loses_its_pictures(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    house = ScanHouse(tmp_path, instance)
    key = house.put(draw_frames())
    run = house.process(key)
    age(instance, 400, run_id=run.run_id, key=key)
    prune(house.scans, instance, house.store)
    asset = dg.AssetKey([NAME, "phase"])
    (record,) = instance.fetch_materializations(asset, limit=9).records
    assert record.asset_materialization is not None
    assert {"thumbnail", "picture"}.isdisjoint(record.asset_materialization.metadata)
    assert "covered" in record.asset_materialization.metadata


def test_values_between_steps_go_a_week_after_the_end_of_their_run(
    scans: Scans, instance: dg.DagsterInstance, file_store: FileStore
) -> None:
    statuses = {
        "young": (dg.DagsterRunStatus.FAILURE, 6.0),
        "old": (dg.DagsterRunStatus.FAILURE, 8.0),
        "at work": (dg.DagsterRunStatus.STARTED, 30.0),
    }
    keys = {"gone": value_key(["0" * 8, "plan", "result"])}
    for name, (status, days) in statuses.items():
        run = dg.DagsterRun(job_name=f"scan_{NAME}", status=status)
        instance.add_run(run)
        age(instance, days, run_id=run.run_id)
        keys[name] = value_key([run.run_id, "plan", "result"])
    for key in keys.values():
        file_store.put(key, b"1")
    assert "2 values between their steps" in prune(scans, instance, file_store)
    assert set(file_store.list("step_values/")) == {keys["young"], keys["at work"]}
