"""Dagster's launcher of runs on a cluster: what it makes pods of, what it says of them, and where it has no rights."""

from __future__ import annotations

import inspect
import json
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher import RunLauncher as AnyRunLauncher
from dagster._core.test_utils import create_run_for_test
from dagster_k8s import K8sRunLauncher
from fake_kubernetes import FakeKubernetes
from kubernetes.client.exceptions import ApiException
from pod_jobs import one_light

from resources.run_launcher import LauncherWithoutRights, RunLauncher

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def api() -> FakeKubernetes:
    return FakeKubernetes()


@pytest.fixture
def launcher(launcher_settings: dict[str, Any], instance: dg.DagsterInstance, api: FakeKubernetes) -> RunLauncher:
    made = RunLauncher(**launcher_settings, k8s_client_batch_api=api, k8s_client_core_api=api)
    made.register_instance(instance)
    return made


def new_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus = STARTED, **tags: Any) -> dg.DagsterRun:
    origin = dg.reconstructable(one_light).get_python_origin()
    written = {name: value if isinstance(value, str) else json.dumps(value) for name, value in tags.items()}
    return create_run_for_test(instance, "one_light", status=status, tags=written, job_code_origin=origin)


def put_pod(api: FakeKubernetes, run: dg.DagsterRun, recorded: str, component: str = "run_worker") -> None:
    name = f"dagster-{component.removesuffix('_worker')}-{run.run_id}"
    api.put(recorded, name, **{"dagster__run-id": run.run_id, "app.kubernetes.io__component": component})


def test_pod_of_a_run_is_made_of_rules_and_of_its_tag(launcher: RunLauncher, api: FakeKubernetes) -> None:
    config = {
        "container_config": {"resources": {"limits": {"memory": "3Gi"}}},
        "pod_spec_config": {
            "service_account_name": "live-runs",
            "automount_service_account_token": False,
            "tolerations": [{"key": "beam", "operator": "Exists"}],
        },
        "job_spec_config": {"ttl_seconds_after_finished": 60},
    }
    run = new_run(launcher._instance, dg.DagsterRunStatus.NOT_STARTED, **{"dagster-k8s/config": config})
    launcher.launch_run(LaunchRunContext(run, None))
    (job,) = api.created
    pod = job.spec.template.spec

    assert (job.spec.backoff_limit, job.spec.pod_replacement_policy) == (0, "Failed")
    assert job.spec.ttl_seconds_after_finished == 60
    assert job.spec.pod_failure_policy.rules[0].action == "FailJob"
    assert (pod.service_account_name, pod.automount_service_account_token) == ("live-runs", False)
    assert pod.containers[0].resources.limits == {"memory": "3Gi"}
    assert {toleration.key for toleration in pod.tolerations} == {
        "beam",
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    }


def test_run_whose_pod_runs_is_well(launcher: RunLauncher, api: FakeKubernetes) -> None:
    run = new_run(launcher._instance)
    put_pod(api, run, "running")

    assert launcher.check_run_worker_health(run) == CheckRunHealthResult(WorkerStatus.RUNNING)


def test_run_whose_pod_has_ended_is_not(launcher: RunLauncher, api: FakeKubernetes) -> None:
    run = new_run(launcher._instance)
    put_pod(api, run, "evicted, gone")
    health = launcher.check_run_worker_health(run)

    assert health.status is WorkerStatus.FAILED
    assert (health.msg or "").startswith("evicted: ")
    found = launcher._instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE


def test_api_that_does_not_answer_ends_no_run(launcher: RunLauncher, api: FakeKubernetes) -> None:
    run = new_run(launcher._instance)
    api.refuses = True
    with pytest.raises(ApiException):
        launcher.check_run_worker_health(run)
    found = launcher._instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is STARTED


def test_stopping_a_run_removes_the_jobs_of_its_steps(launcher: RunLauncher, api: FakeKubernetes) -> None:
    run, other = new_run(launcher._instance), new_run(launcher._instance)
    for each in (run, other):
        put_pod(api, each, "running")
        put_pod(api, each, "running", "step_worker")
    launcher.terminate(run.run_id)

    assert set(api.jobs) == {f"dagster-run-{other.run_id}", f"dagster-step-{other.run_id}"}


def test_instance_opens_in_a_pod_that_has_no_token(launcher_settings: dict[str, Any]) -> None:
    inside = {name: value for name, value in launcher_settings.items() if name != "kubeconfig_file"}
    settings = {
        "run_launcher": {
            "module": "resources.run_launcher",
            "class": "RunLauncher",
            "config": inside | {"load_incluster_config": True},
        },
        "run_monitoring": {"enabled": True, "max_resume_run_attempts": 1},
    }
    with dg.instance_for_test(overrides=settings) as opened:
        launcher = opened.run_launcher
        assert isinstance(launcher, LauncherWithoutRights)
        run = create_run_for_test(opened, "a_job")
        assert opened.run_will_resume(run.run_id), "the verdict is the launcher's"
        with pytest.raises(PermissionError, match="no token"):
            launcher.terminate(run.run_id)


OVERRIDDEN: list[tuple[Any, str, str]] = [
    (K8sRunLauncher, "get_container_context_for_run", "self, dagster_run"),
    (K8sRunLauncher, "check_run_worker_health", "self, run"),
    (K8sRunLauncher, "terminate", "self, run_id"),
    (K8sRunLauncher, "from_config_value", "inst_data, config_value"),
    (AnyRunLauncher, "launch_run", "self, context"),
    (AnyRunLauncher, "resume_run", "self, context"),
]


@pytest.mark.parametrize(("parent", "method", "parameters"), OVERRIDDEN)
def test_what_is_overridden_is_as_it_was_in_dagster(parent: Any, method: str, parameters: str) -> None:
    assert ", ".join(inspect.signature(getattr(parent, method)).parameters) == parameters


def test_dagster_drops_a_retry_that_it_cannot_start() -> None:
    from dagster._daemon.auto_run_reexecution import auto_run_reexecution

    source = inspect.getsource(auto_run_reexecution.consume_new_runs_for_automatic_reexecution)
    assert 'new_tags={WILL_RETRY_TAG: "false"}' in source


def test_dagster_disregards_a_run_that_its_launcher_has_failed() -> None:
    from dagster._daemon.monitoring import run_monitoring

    assert "status_changed = run.status != recheck_run.status" in inspect.getsource(
        run_monitoring.monitor_started_run
    )
