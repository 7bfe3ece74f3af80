"""The sensor that cleans up after sessions: whom it takes for dead, and what its ticks say."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from resources import LauncherResource, ObjectStoreResource, SessionsResource
from runstart.errors import Transient
from runstart.launchers import Launcher
from runstart.sessions import SessionRecord, new_session_id, read_record
from runstart.sessions.folders import find_session_folders, make_session_folder, remove_session_folder
from runstart.sessions.records import write_record
from runstart.sessions.store_identity import store_identity
from sensors import define_clean_up_sensor
from sensors.sessions import make_is_over


class LauncherAway(LauncherResource):
    """Reaches no engine."""

    def open(self) -> Launcher:
        raise Transient("The engine does not answer.")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def object_store(tmp_path: Path) -> ObjectStoreResource:
    return ObjectStoreResource(url=f"file:{tmp_path / 'store'}")


def tick(
    instance: dg.DagsterInstance,
    object_store: ObjectStoreResource,
    launcher: LauncherResource | None = None,
    troubles: tuple[str, ...] = (),
) -> str:
    resources = {
        "object_store": object_store,
        "launcher": launcher or LauncherResource(),
        "sessions": SessionsResource(hung_after_s="600"),
    }
    sensor = define_clean_up_sensor(troubles)
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        return sensor.evaluate_tick(context).skip_message or ""


def make_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    run = dg.DagsterRun(job_name="pipeline_toy", status=status)
    return instance.add_run(run).run_id


def leave_session(object_store: ObjectStoreResource, run_id: str, age_s: float) -> SessionRecord:
    """Leave what a session of this process has in its time: a record and a folder."""
    began = max(time.time() - age_s, _process_began())
    record = SessionRecord(
        new_session_id(), "pipeline", "toy", run_id=run_id, pid=os.getpid(), state="running", started_at=began
    )
    store = object_store.open()
    write_record(store, record)
    return replace(record, folder=str(make_session_folder(record, store_identity(store))))


def folders_of(*records: SessionRecord) -> list[str]:
    """Return those of the sessions that have a folder."""
    there = {folder.session_id for folder in find_session_folders()}
    return [record.session_id for record in records if record.session_id in there]


def _process_began() -> float:
    import psutil

    return float(psutil.Process().create_time())


@pytest.mark.parametrize(
    ("status", "is_over"),
    [
        (dg.DagsterRunStatus.NOT_STARTED, False),
        (dg.DagsterRunStatus.STARTED, False),
        (dg.DagsterRunStatus.CANCELING, False),
        (dg.DagsterRunStatus.SUCCESS, True),
        (dg.DagsterRunStatus.FAILURE, True),
        (dg.DagsterRunStatus.CANCELED, True),
    ],
)
def test_a_run_is_over_when_dagster_says_so(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, is_over: bool
) -> None:
    assert make_is_over(instance)(make_run(instance, status)) is is_over


def test_a_run_that_dagster_does_not_know_any_more_is_over(instance: dg.DagsterInstance) -> None:
    assert make_is_over(instance)("7b4c1a90-0000-0000-0000-000000000000")


def test_what_a_session_left_whose_run_has_ended_is_removed_and_told(
    instance: dg.DagsterInstance, object_store: ObjectStoreResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = leave_session(object_store, make_run(instance, dg.DagsterRunStatus.FAILURE), 0.0)
    living = leave_session(object_store, make_run(instance, dg.DagsterRunStatus.STARTED), 0.0)
    assert over.session_id not in tick(instance, object_store), "a session may end by itself for a while"
    monkeypatch.setattr("runstart.sessions.cleaning.ENDING_S", -1.0)
    told = tick(instance, object_store)
    assert over.session_id in told
    assert "its run has ended" in told
    assert living.session_id not in told
    assert folders_of(over, living) == [living.session_id]
    assert read_record(object_store.open(), over.session_id).state == "failed"
    assert over.session_id not in tick(instance, object_store)
    remove_session_folder(Path(living.folder))


def test_an_engine_that_is_away_is_told_and_fails_no_tick(
    instance: dg.DagsterInstance, object_store: ObjectStoreResource
) -> None:
    assert "The engine does not answer." in tick(instance, object_store, LauncherAway())


def test_what_was_left_out_when_loading_is_told_at_each_tick(
    instance: dg.DagsterInstance, object_store: ObjectStoreResource
) -> None:
    told = tick(instance, object_store, troubles=("The pipeline x.json has no job.",))
    assert told.endswith(" Left out when this was loaded: The pipeline x.json has no job.")
