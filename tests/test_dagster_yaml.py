"""The shipped Dagster instance: live runs find room and go first, dead runs come back, people's alerts do not."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import TickStatus
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from ops.session_running import SESSION
from ops.tags import BATCH, KIND_TAG, LIVE
from sensors.run_starts import LIVE_PRIORITY

DAGSTER_YAML = Path(__file__).resolve().parents[1] / "dagster.yaml"
JOB = "live_reduction_ALFA"
LIVE_TAGS = {KIND_TAG: LIVE, "dagster/priority": str(LIVE_PRIORITY)}
BACKFILL_TAGS = {KIND_TAG: BATCH, "dagster/backfill": "abcdefgh"}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copy(DAGSTER_YAML, tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def test_instance_accepts_its_settings(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    assert instance.run_monitoring_enabled
    assert instance.run_retries_enabled


def test_failed_checks_and_alerts_are_not_retried(instance: dg.DagsterInstance) -> None:
    assert instance.run_retries_max_retries > 0
    assert not instance.run_retries_retry_on_asset_or_op_failure


def test_no_history_of_ticks_is_kept_for_ever(instance: dg.DagsterInstance) -> None:
    for kind in (InstigatorType.SCHEDULE, InstigatorType.SENSOR):
        days = instance.get_tick_retention_settings(kind)
        assert all(0 < days[status] <= 365 for status in TickStatus if status in days)
        assert days.keys() >= {TickStatus.SKIPPED, TickStatus.SUCCESS, TickStatus.FAILURE, TickStatus.STARTED}
    assert instance.get_tick_retention_settings(InstigatorType.SENSOR)[TickStatus.SKIPPED] <= 7


def test_live_run_is_dequeued_beside_a_full_backlog_of_batch_runs(instance: dg.DagsterInstance) -> None:
    for _ in range(200):
        _add(instance, BACKFILL_TAGS)
    _launch(instance, _dequeued(instance))
    assert _dequeued(instance) == []

    live = _add(instance, LIVE_TAGS)

    assert _dequeued(instance) == [live]


def test_live_run_is_dequeued_before_batch_runs_that_have_waited_longer(instance: dg.DagsterInstance) -> None:
    for _ in range(10):
        _add(instance, BACKFILL_TAGS)
    live = _add(instance, LIVE_TAGS)

    assert _dequeued(instance)[0] == live


def test_backfill_from_the_asset_page_leaves_room(instance: dg.DagsterInstance) -> None:
    for _ in range(50):
        _add(instance, {"dagster/backfill": "abcdefgh"})  # without the tags of a job
    batch = _dequeued(instance)
    _launch(instance, batch)

    assert 0 < len(batch) < 10
    live = _add(instance, LIVE_TAGS)
    assert _dequeued(instance) == [live]


def test_forty_instruments_are_live_at_once_beside_batch_runs(instance: dg.DagsterInstance) -> None:
    for _ in range(50):
        _add(instance, BACKFILL_TAGS)
    _launch(instance, _dequeued(instance))
    live = [_add(instance, LIVE_TAGS) for _ in range(40)]

    assert sorted(_dequeued(instance)) == sorted(live)


def test_sessions_that_wait_for_room_leave_room_for_live_and_batch_runs(instance: dg.DagsterInstance) -> None:
    for _ in range(150):
        _add(instance, {KIND_TAG: SESSION})
    _launch(instance, _dequeued(instance))
    others = [_add(instance, LIVE_TAGS), _add(instance, BACKFILL_TAGS)]

    assert sorted(_dequeued(instance)) == sorted(others)


def _add(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    """Add a run to the queue; return its id."""
    location = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1, location_name="definitions")
    run = dg.DagsterRun(
        JOB,
        run_id=str(uuid.uuid4()),
        status=dg.DagsterRunStatus.QUEUED,
        tags=tags,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), JOB),
    )
    return instance.add_run(run).run_id


def _dequeued(instance: dg.DagsterInstance) -> list[str]:
    """Return the runs that the daemon would launch now, in its order."""
    with QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon:
        runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), fixed_iteration_time=None)
    return [run.run_id for run in runs]


def _launch(instance: dg.DagsterInstance, run_ids: list[str]) -> None:
    """Have runs in progress, as far as the queue can tell."""
    for run_id in run_ids:
        event = dg.DagsterEvent(dg.DagsterEventType.RUN_STARTING.value, JOB)
        instance.report_dagster_event(event, run_id)
