"""The sensor of compute jobs: launches what nobody launched, ends what is dead, stops what waits, removes what is over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from alert_sinks import http_sink
from compute_kit import Owners, environment, workflow_payload
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

import sensors.compute_jobs as sensor_module
from ops import define_compute_job
from resources import ComputeResource, LauncherResource, ObjectStoreResource
from runstart.compute import JobRecord, Status, run_tags
from runstart.compute.announcing import last_seen
from runstart.compute.folders import make_job_folder
from runstart.compute.looking_after import HANGS_AFTER_S
from runstart.errors import Transient
from runstart.sessions.store_identity import store_identity
from runstart.storage import FileStore
from sensors import define_compute_jobs_sensor

S = dg.DagsterRunStatus
DECLARED = "[environments.beamline]\nmax_job_s = 30\nmax_phase_s = 30\nraw_code_without_image = true\n"


class Ticks:
    """The sensor with its cursor from tick to tick, jobs, and the runs that come of what it asks for."""

    def __init__(self, instance: dg.DagsterInstance, place: Path) -> None:
        (place / "compute.toml").write_text(DECLARED)
        self.instance = instance
        self.owners = Owners(place, environment(max_job_s=30, max_phase_s=30))
        self.job = define_compute_job()
        self._sensor = define_compute_jobs_sensor(self.job)
        self._cursor: str | None = None
        self.resources: dict[str, Any] = {
            "object_store": ObjectStoreResource(url=f"file:{place / 'store'}"),
            "launcher": LauncherResource(launcher="processes"),
            "compute": ComputeResource(file=str(place / "compute.toml"), folder=str(self.owners.root)),
        }

    def tick(self) -> tuple[list[dg.RunRequest], str]:
        """Return what is launched, and what is told."""
        with dg.build_sensor_context(
            instance=self.instance, cursor=self._cursor, resources=self.resources
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self._cursor = data.cursor
        return list(data.run_requests or []), data.skip_message or ""

    def order(self, *, status: Status = Status.WARMING_UP, run_status: S | None = None, **fields: Any) -> JobRecord:
        """Take a job in that has come so far, and has a run in this state if any."""
        record = self.owners.order(workflow_payload())
        if run_status is None:
            return record
        run = self.launch(run_tags(record), run_status)
        if status is not Status.WARMING_UP:
            self.owners.book.claim(record.job_id, run.run_id)
            self.owners.book.advance(record.job_id, status, **fields)
        return self.owners.read(record)

    def launch(self, tags: Mapping[str, str], status: S) -> dg.DagsterRun:
        """Make a run, as the daemon does."""
        location = RegisteredCodeLocationOrigin("definitions")
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "compute_to_data")
        run = dg.DagsterRun("compute_to_data", status=status, tags=dict(tags), remote_job_origin=origin)
        self.instance.add_run(run)
        return run

    def run_of(self, record: JobRecord) -> dg.DagsterRun:
        (run,) = self.instance.get_runs(dg.RunsFilter(tags={"runstart/compute_job": record.job_id}))
        return run


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    coordinator = {"module": "dagster._core.run_coordinator", "class": "QueuedRunCoordinator"}
    with dg.instance_for_test(overrides={"run_coordinator": coordinator}) as made:
        yield made


@pytest.fixture
def ticks(instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ticks:
    monkeypatch.setattr(sensor_module, "UNLAUNCHED_SECONDS", 0.0)
    return Ticks(instance, tmp_path)


def test_a_job_without_a_run_is_launched_with_its_tags_until_the_run_is_there(ticks: Ticks) -> None:
    record = ticks.order()
    (request,), _ = ticks.tick()
    assert (request.run_key, request.job_name) == (record.job_id, "compute_to_data")
    dg.validate_run_config(ticks.job, request.run_config)
    assert request.tags.items() >= run_tags(record).items()
    assert request.tags["dagster/max_retries"] == "0"
    (again,), _ = ticks.tick()
    assert again.run_key == request.run_key, "a tick that died before its run was there loses nothing"
    ticks.launch(request.tags, S.QUEUED)
    assert ticks.tick() == ([], "Nothing was to be done.")


def test_a_job_that_was_taken_just_now_is_left_to_its_gateway(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor_module, "UNLAUNCHED_SECONDS", 20.0)
    ticks.order()
    assert ticks.tick() == ([], "Nothing was to be done.")


@pytest.mark.parametrize(
    ("run_status", "status", "expected"),
    [
        (S.FAILURE, Status.WARMING_UP, Status.DATA_PROVISIONING_FAILED),
        (S.CANCELED, Status.WARMING_UP, Status.STOPPED),
        (S.FAILURE, Status.CONFIGURING_VOLUMES, Status.DATA_PROVISIONING_FAILED),
        (S.FAILURE, Status.RUNNING_ALGORITHM, Status.ALGORITHM_FAILED),
        (S.CANCELED, Status.RUNNING_ALGORITHM, Status.STOPPED),
        (S.FAILURE, Status.FILTERING, Status.FILTER_FAILED),
        (S.FAILURE, Status.PUBLISHING, Status.PUBLISHING_FAILED),
    ],
)
def test_a_job_whose_run_has_ended_ends_in_the_state_that_is_true(
    ticks: Ticks, run_status: S, status: Status, expected: Status
) -> None:
    record = ticks.order(status=status, run_status=run_status)
    launched, told = ticks.tick()
    assert launched == []
    assert expected.text in told
    ended = ticks.owners.read(record)
    assert ended.status is expected
    assert ended.reason == f"Its run {ticks.run_of(record).run_id} ended before it."


def test_the_end_of_a_job_whose_run_has_died_is_told_to_the_operators_address(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = ticks.order(status=Status.RUNNING_ALGORITHM, run_status=S.FAILURE)
    with http_sink() as sink:
        monkeypatch.setenv("NOTIFY_STOP_URL", sink.url)
        ticks.tick()
        ticks.tick()
    assert [body["jobId"] for body in sink.bodies] == [record.job_id]


@pytest.mark.parametrize("run_status", [S.QUEUED, S.STARTING, S.STARTED, S.CANCELING])
def test_a_job_whose_run_lives_is_left_alone(ticks: Ticks, run_status: S) -> None:
    record = ticks.order(status=Status.RUNNING_ALGORITHM, run_status=run_status)
    assert ticks.tick() == ([], "Nothing was to be done.")
    assert ticks.owners.read(record) == record


def test_a_job_that_is_to_stop_before_it_has_a_run_or_while_that_waits_never_begins(ticks: Ticks) -> None:
    without, waiting = ticks.order(), ticks.order(run_status=S.QUEUED)
    for record in (without, waiting):
        ticks.owners.book.request_stop(record.job_id)
    assert ticks.tick()[0] == []
    for record in (without, waiting):
        assert ticks.owners.read(record).status is Status.STOPPED
    assert ticks.run_of(waiting).status is S.CANCELED


def test_a_run_that_was_pruned_ends_its_job(ticks: Ticks) -> None:
    record = ticks.order(status=Status.RUNNING_ALGORITHM, run_status=S.STARTED)
    ticks.instance.delete_run(record.run_id)
    ticks.tick()
    assert ticks.owners.read(record).status is Status.ALGORITHM_FAILED


def test_a_job_that_waits_for_an_hour_without_a_run_that_can_be_launched_ends(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = ticks.order()
    later = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: later)
    assert ticks.tick()[0] == []
    assert ticks.owners.read(record).status is Status.DATA_PROVISIONING_FAILED


def test_a_run_that_hangs_is_terminated_then_given_up_and_its_job_has_timed_out(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = ticks.order(status=Status.RUNNING_ALGORITHM, run_status=S.STARTED)
    terminated: list[str] = []
    monkeypatch.setattr(
        type(ticks.instance.run_coordinator), "cancel_run", lambda _, run_id: terminated.append(run_id)
    )
    began = record.history[-1].at
    monkeypatch.setattr(time, "time", lambda: began + 30 + HANGS_AFTER_S + 1)
    ticks.tick()
    assert terminated == [record.run_id]
    assert ticks.owners.read(record).stopreq == 2
    assert ticks.owners.read(record).status is Status.RUNNING_ALGORITHM, "its run may yet say so itself"
    monkeypatch.setattr(time, "time", lambda: began + 30 + 2 * HANGS_AFTER_S + 1)
    ticks.tick()
    assert ticks.owners.read(record).status is Status.TIMED_OUT
    assert ticks.run_of(record).status is S.CANCELED


def test_results_expire_and_leftovers_go_in_the_same_tick(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = ticks.owners
    owners.environment = environment(storage_expiry_h=1.0)
    record = owners.run(workflow_payload())
    assert record.results
    ticks.tick()
    assert not owners.read(record).removed
    later = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: later)
    folder = make_job_folder(owners.root, record.job_id, store_identity(owners.store))
    _, told = ticks.tick()
    assert f"The results of {record.job_id} have expired." in told
    assert owners.read(record).removed
    assert not folder.top.exists()


def test_environments_are_announced_once_in_a_while(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks.tick()
    first = last_seen(ticks.owners.store)["beamline"]
    ticks.tick()
    assert last_seen(ticks.owners.store)["beamline"] == first
    now = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: now)
    ticks.tick()
    assert last_seen(ticks.owners.store)["beamline"] == now


def test_a_store_that_does_not_answer_is_told_and_costs_nothing(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = ticks.order()

    def fail(*_: object) -> None:
        raise Transient("The store is away.")

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "list", fail)
        assert ticks.tick() == ([], "Jobs cannot be looked after: The store is away.")
    assert [request.run_key for request in ticks.tick()[0]] == [record.job_id]


def test_what_cannot_be_removed_is_told_and_keeps_no_job_from_being_launched(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = ticks.order()

    def fail(*_: object) -> None:
        raise Transient("The engine is away.")

    monkeypatch.setattr("runstart.launchers.SubprocessLauncher.list", fail)
    assert [request.run_key for request in ticks.tick()[0]] == [record.job_id]


def test_unfinished_jobs_cost_one_question_to_dagster_however_many_they_are(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(30):
        ticks.order(run_status=S.QUEUED)
    asked: list[object] = []
    real = type(ticks.instance).get_runs

    def get_runs(*arguments: Any, **named: Any) -> Any:
        asked.append(arguments)
        return real(*arguments, **named)

    monkeypatch.setattr(type(ticks.instance), "get_runs", get_runs)
    assert ticks.tick() == ([], "Nothing was to be done.")
    assert len(asked) == 1
