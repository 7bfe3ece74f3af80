"""Compute runs in the shipped queue: so many at once in each environment, owners in turn, and room for everybody else."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from compute_kit import OWNER, Owners, workflow_payload
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from ops.compute_to_data import COMPUTE, COMPUTE_JOB
from ops.tags import KIND_TAG, LIVE
from runstart.compute import launching, run_tags

DAGSTER_YAML = Path(__file__).resolve().parents[2] / "dagster.yaml"
AT_ONCE = 4


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copy(DAGSTER_YAML, tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path)


def test_the_library_and_the_job_name_things_alike() -> None:
    assert (launching.COMPUTE_JOB, launching.KIND_TAG, launching.KIND) == (COMPUTE_JOB, KIND_TAG, COMPUTE)


def test_each_environment_runs_so_many_and_leaves_room_for_live_runs(instance: dg.DagsterInstance) -> None:
    for number in range(40):
        tags = {KIND_TAG: COMPUTE, "runstart/compute_environment": f"environment{number % 2}"}
        _add(instance, tags | {"dagster/priority": "-1"})
    first = _dequeued(instance)
    assert len(first) == 2 * AT_ONCE
    live = _add(instance, {KIND_TAG: LIVE})
    assert _dequeued(instance)[0] == live


def test_owners_take_turns_whoever_came_first(instance: dg.DagsterInstance, owners: Owners) -> None:
    mine = [_add(instance, run_tags(owners.order(workflow_payload()))) for _ in range(6)]
    theirs = [_add(instance, run_tags(owners.order(workflow_payload(), owner="0xother"))) for _ in range(2)]
    assert _dequeued(instance) == [mine[0], theirs[0], mine[1], theirs[1]]


def test_the_place_that_is_told_is_that_of_the_queue(instance: dg.DagsterInstance, owners: Owners) -> None:
    records = [owners.order(workflow_payload(), owner=owner) for owner in (OWNER, OWNER, "0xother", OWNER)]
    runs = {_add(instance, run_tags(record)): record for record in records}
    places = [owners.book.place_in_queue(runs[run_id].job_id) for run_id in _dequeued(instance)]
    assert places == [1, 2, 3, 4]


def _add(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("definitions"), "__repository__"), COMPUTE_JOB
    )
    run = dg.DagsterRun(
        COMPUTE_JOB,
        run_id=str(uuid.uuid4()),
        status=dg.DagsterRunStatus.QUEUED,
        tags=tags,
        remote_job_origin=origin,
    )
    return instance.add_run(run).run_id


def _dequeued(instance: dg.DagsterInstance) -> list[str]:
    """Return the runs that the daemon would launch now, in its order."""
    with QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon:
        runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), fixed_iteration_time=None)
    return [run.run_id for run in runs]
