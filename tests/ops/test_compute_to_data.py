"""Compute jobs as runs of Dagster: what a run shows is what its job's record says, however it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from alert_sinks import http_sink
from compute_kit import DATA_KEY, Owners, environment, input_of, workflow_payload

from ops import define_compute_job
from resources import ComputeResource, LauncherResource, ObjectStoreResource
from runstart.alerts import read_alerts
from runstart.compute import JobRecord, Status
from sensors.run_outcomes import read_outcomes

DECLARED = """
[environments.beamline]
max_job_s = 30
raw_code_without_image = true
input_prefixes = ["results/"]
"""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    (tmp_path / "compute.toml").write_text(DECLARED)
    return Owners(tmp_path, environment())


def run(instance: dg.DagsterInstance, owners: Owners, record: JobRecord) -> dg.ExecuteInProcessResult:
    return define_compute_job().execute_in_process(
        run_config={"job_id": record.job_id},
        instance=instance,
        raise_on_error=False,
        resources={
            "object_store": ObjectStoreResource(url=f"file:{owners.place / 'store'}"),
            "launcher": LauncherResource(),
            "compute": ComputeResource(file=str(owners.place / "compute.toml"), folder=str(owners.root)),
        },
    )


def test_a_job_is_one_run_of_four_steps_and_its_results_are_listed(
    instance: dg.DagsterInstance, owners: Owners
) -> None:
    owners.store.put(DATA_KEY, b"abc")
    code = """
    import os
    data = open(os.environ["INPUTS"] + "/" + "a" * 64 + "/0").read()
    open(os.environ["OUTPUTS"] + "/copy.txt", "w").write(data * 2)
    """
    record = owners.order(workflow_payload(code, input=[input_of(f"store:{DATA_KEY}")]))
    result = run(instance, owners, record)
    assert result.success
    ended = owners.read(record)
    assert ended.status is Status.FINISHED
    assert ended.run_id == result.run_id
    assert owners.results(ended)["copy.txt"] == b"abcabc"
    steps = [event.step_key for event in result.get_step_success_events()]
    assert steps == ["provision_job", "run_algorithm", "filter_outputs", "publish_results"]
    metadata = _outputs(result)["publish_results"]
    assert metadata["count"].value == len(ended.results)
    assert owners.left_on_machine(record) == []


def test_its_start_and_end_are_told_to_the_operators_addresses_and_its_secret_to_no_event(
    instance: dg.DagsterInstance, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = owners.order(workflow_payload("raise SystemExit(3)"))
    with http_sink() as sink:
        monkeypatch.setenv("NOTIFY_START_URL", sink.url)
        monkeypatch.setenv("NOTIFY_STOP_URL", sink.url)
        result = run(instance, owners, record)
    assert [body["jobId"] for body in sink.bodies] == 2 * [record.job_id]
    secret = sink.bodies[0]["secret"]
    assert secret == owners.read(record).secret
    assert not any(secret in repr(entry) for entry in instance.all_logs(result.run_id))


def test_a_job_that_fails_is_a_run_that_fails_with_the_reason_and_is_not_retried(
    instance: dg.DagsterInstance, owners: Owners
) -> None:
    record = owners.order(workflow_payload("raise SystemExit(3)"))
    result = run(instance, owners, record)
    assert not result.success
    assert owners.read(record).status is Status.ALGORITHM_FAILED
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert failure.step_key == "run_algorithm"
    assert "exit code 3" in failure.step_failure_data.user_failure_data.description
    assert not result.filter_events(lambda event: event.is_step_up_for_retry)
    found = instance.get_run_by_id(result.run_id)
    assert found is not None
    assert found.tags["runstart/compute_code"] == "41"


def test_nobody_of_the_facility_is_alerted_about_a_strangers_algorithm(
    instance: dg.DagsterInstance, owners: Owners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alerts.toml").write_text("")
    configuration = read_alerts(tmp_path / "alerts.toml")
    assert not run(instance, owners, owners.order(workflow_payload("raise SystemExit(3)"))).success
    assert read_outcomes(instance, configuration, 0, time.time()).conditions == ()
    monkeypatch.setattr("runstart.compute.job.run_algorithm", lambda *_: 1 / 0)
    assert not run(instance, owners, owners.order(workflow_payload())).success
    (condition,) = read_outcomes(instance, configuration, 0, time.time()).conditions
    assert "ZeroDivisionError" in condition.text, "an error of our own is told"


def test_a_job_that_is_stopped_is_a_run_that_was_canceled(instance: dg.DagsterInstance, owners: Owners) -> None:
    record = owners.order(workflow_payload("import time; time.sleep(60)"))
    owners.book.request_stop(record.job_id)
    result = run(instance, owners, record)
    assert owners.read(record).status is Status.STOPPED
    found = instance.get_run_by_id(result.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.CANCELED


def test_a_second_run_of_a_job_ends_at_once_and_changes_nothing(
    instance: dg.DagsterInstance, owners: Owners
) -> None:
    record = owners.order(workflow_payload())
    owners.book.claim(record.job_id, "another run")
    result = run(instance, owners, record)
    assert result.success
    assert [event.step_key for event in result.get_step_success_events()] == ["provision_job"]
    assert owners.read(record).status is Status.STARTED
    assert owners.read(record).run_id == "another run"


def test_a_run_of_a_job_that_has_ended_or_never_was_says_so(instance: dg.DagsterInstance, owners: Owners) -> None:
    record = owners.order(workflow_payload())
    assert run(instance, owners, record).success
    again = run(instance, owners, record)
    assert not again.success
    assert owners.read(record).status is Status.FINISHED
    never = run(instance, owners, record.model_copy(update={"job_id": 32 * "0"}))
    (failure,) = never.filter_events(lambda event: event.is_step_failure)
    assert "There is no compute job" in failure.step_failure_data.user_failure_data.description


def _outputs(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    events = result.filter_events(lambda event: event.event_type is dg.DagsterEventType.STEP_OUTPUT)
    return {event.step_key: event.step_output_data.metadata for event in events}
