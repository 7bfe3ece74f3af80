"""Steps whose pods end in every way, by the executor of a cluster, over a cluster that is pretended.

What a real one does is in `tests/k8s/test_pod_deaths.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import dagster as dg
import pod_jobs
import pytest
from dagster._core.executor.base import Executor
from dagster._core.executor.step_delegating import StepDelegatingExecutor, StepHandler
from dagster_k8s.client import DagsterKubernetesClient
from dagster_k8s.executor import K8sStepHandler
from fake_kubernetes import FakeKubernetes
from pod_jobs import StepCluster

import resources.pods.executor
import resources.pods.step_handler
from resources.pods.step_handler import MOST_RELAUNCHES

Run = Callable[..., "Outcome"]


class Outcome:
    """A run that has ended, and its cluster."""

    def __init__(self, result: dg.ExecuteJobResult, cluster: StepCluster) -> None:
        self.result = result
        self.cluster = cluster

    def said(self, kind: str) -> list[str]:
        """Return what the run's events of a kind say."""
        found = [event for event in self.result.all_events if event.event_type_value == kind]
        errors = [getattr(event.event_specific_data, "error", None) for event in found]
        return [e.message if e is not None else f.message or "" for e, f in zip(errors, found, strict=True)]

    def limits(self) -> list[str]:
        """Return the memory that each pod may take."""
        containers = [job.spec.template.spec.containers[0] for job in self.cluster.created]
        return [container.resources.limits["memory"] for container in containers]


@pytest.fixture
def run(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a job of `pod_jobs` whose pods end as recorded."""
    monkeypatch.delenv("HOSTNAME", raising=False)  # not in a pod that could own those of steps
    monkeypatch.setenv("DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS", "0.02")
    monkeypatch.setattr(resources.pods.executor, "HEALTH_SECONDS", 0)
    monkeypatch.setattr(resources.pods.step_handler, "SNAPSHOT_SECONDS", 0.0)

    def run_job(name: str, *ends: str | None) -> Outcome:
        cluster = StepCluster(instance, *ends)
        client = DagsterKubernetesClient(cluster, cluster, print, None, None)
        monkeypatch.setattr(DagsterKubernetesClient, "production_client", lambda **_: client)
        result = dg.execute_job(dg.reconstructable(getattr(pod_jobs, name)), instance, raise_on_error=False)
        return Outcome(result, cluster)

    return run_job


def test_step_runs_in_a_pod_without_rights_that_goes_with_its_run(run: Run) -> None:
    outcome = run("one_light")
    (job,) = outcome.cluster.created
    pod = job.spec.template.spec

    assert outcome.result.success
    assert (pod.service_account_name, pod.automount_service_account_token) == ("steps", False)
    assert (job.spec.backoff_limit, job.spec.pod_replacement_policy) == (0, "Failed")
    assert job.spec.pod_failure_policy.rules[0].on_pod_conditions[0].type == "DisruptionTarget"
    assert {toleration.toleration_seconds for toleration in pod.tolerations} == {30}


@pytest.mark.parametrize(
    "end", ["deleted, going", "deleted, gone", "evicted, going", "evicted, gone", "node silent"]
)
def test_step_whose_pod_was_taken_away_is_done_again(run: Run, end: str) -> None:
    outcome = run("one_light", end)

    assert outcome.result.success
    assert len(outcome.cluster.created) == 2
    (said,) = outcome.said("STEP_UP_FOR_RETRY")
    name = "node lost" if end == "node silent" else end.partition(",")[0]
    assert f"health check: {name}. " in said
    assert "It is started again." in said
    assert outcome.cluster.created[0].metadata.name not in outcome.cluster.jobs
    grace = 0 if end == "node silent" else 1
    assert all(
        options["grace_period_seconds"] == grace for kind, _, options in outcome.cluster.removed if kind == "pod"
    )


def test_step_that_runs_out_of_memory_gets_twice_as_much_and_once_more(run: Run) -> None:
    outcome = run("one_heavy", "out of memory", "out of memory")

    assert outcome.result.success
    assert outcome.limits() == ["1Gi", "2048Mi", "4096Mi"]
    assert ["It is started again with 2048Mi." in text for text in outcome.said("STEP_UP_FOR_RETRY")] == [
        True,
        False,
    ]
    assert all("the last line" in text for text in outcome.said("STEP_UP_FOR_RETRY"))


def test_step_gets_no_more_memory_than_four_times_what_it_asked_for(run: Run) -> None:
    outcome = run("one_heavy", *["out of memory"] * 3)

    assert not outcome.result.success
    assert outcome.limits() == ["1Gi", "2048Mi", "4096Mi"]
    assert "raise what it asks for" in outcome.said("STEP_FAILURE")[0]


def test_step_gets_no_more_memory_than_the_site_allows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTART_POD_MEMORY_LIMIT", "1536MiB")
    outcome = run("one_heavy", "out of memory")

    assert outcome.result.success
    assert outcome.limits() == ["1Gi", "1536Mi"]


@pytest.mark.parametrize(
    ("end", "name"),
    [
        ("image never pulled", "image pull"),
        ("init failure", "init failure"),
        ("unschedulable", "unschedulable"),
        ("priority class missing", "failed start"),
        ("pod past its deadline", "deadline"),
        ("exited with 4", "exit"),
    ],
)
def test_step_whose_pod_ends_in_a_way_that_people_must_mend_fails(run: Run, end: str, name: str) -> None:
    outcome = run("one_light", end)

    assert not outcome.result.success
    assert f"health check: {name}. " in outcome.said("STEP_FAILURE")[0]
    assert len(outcome.cluster.created) == 1
    assert outcome.cluster.jobs == {}


def test_step_is_started_again_so_often_and_not_once_more(run: Run) -> None:
    outcome = run("one_light", *["deleted, gone"] * (MOST_RELAUNCHES + 2))

    assert not outcome.result.success
    assert len(outcome.cluster.created) == MOST_RELAUNCHES + 1


def test_step_that_fails_by_itself_is_not_done_again_whatever_its_pod(run: Run) -> None:
    outcome = run("one_mistaken", "its step, then exited with 4")

    assert not outcome.result.success
    assert outcome.said("STEP_UP_FOR_RETRY") == []
    assert len(outcome.said("STEP_FAILURE")) == 1
    assert "I am wrong." in outcome.said("STEP_FAILURE")[0]


def test_step_that_was_told_to_go_is_judged_by_its_pod(run: Run) -> None:
    outcome = run("one_interrupted", "its step, then deleted, gone")

    assert outcome.result.success
    assert "health check: deleted. " in outcome.said("STEP_UP_FOR_RETRY")[0]


def test_step_that_succeeds_is_not_judged_by_its_pod(run: Run) -> None:
    assert run("one_light", "its step, then exited with 4").result.success


def test_executor_refuses_another_launcher() -> None:
    with (
        dg.instance_for_test() as plain,
        pytest.raises(dg.DagsterInvariantViolationError, match="DefaultRunLauncher"),
    ):
        dg.execute_job(dg.reconstructable(pod_jobs.one_light), plain, raise_on_error=True)


OVERRIDDEN: list[tuple[Any, str, str]] = [
    (Executor, "log_failure_or_retry_event_after_error", "step_context, err_info, known_state"),
    (StepDelegatingExecutor, "_pop_events", "instance, run_id, seen_storage_ids"),
    (K8sStepHandler, "_get_container_context", "step_handler_context"),
    (K8sStepHandler, "_get_step_key", "step_handler_context"),
    (K8sStepHandler, "_get_k8s_step_job_name", "step_handler_context"),
    (StepHandler, "launch_step", "step_handler_context"),
    (StepHandler, "check_step_health", "step_handler_context"),
]


@pytest.mark.parametrize(("parent", "method", "parameters"), OVERRIDDEN)
def test_what_is_overridden_is_as_it_was_in_dagster(parent: Any, method: str, parameters: str) -> None:
    assert ", ".join(inspect.signature(getattr(parent, method)).parameters) == f"self, {parameters}"


def test_pretended_cluster_is_asked_as_a_real_one() -> None:
    from kubernetes.client import BatchV1Api, CoreV1Api

    for name in (name for name in dir(FakeKubernetes) if "namespaced" in name):
        assert hasattr(BatchV1Api, name) or hasattr(CoreV1Api, name)
