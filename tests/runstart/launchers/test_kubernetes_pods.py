"""What a pod's status says, on the words of a real cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runstart.launchers import Ended, Task
from runstart.launchers._pods import has_started, is_running, judge_pod, needs_events, started_at
from runstart.launchers.failures import ImageNotFound, PullFailed, StartFailed, Unschedulable, failure_of

MADE = datetime(2026, 11, 26, 5, 18, 10, tzinfo=UTC)
RUNNING = {"running": {"startedAt": "2026-11-26T05:18:13Z"}}


def at(seconds: float) -> str:
    return (MADE + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def terminated(code: int, reason: str = "Error", **fields: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": at(3), "finishedAt": at(8)} | fields}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def pod_of(state: dict[str, Any] | None = None, *, phase: str = "Running", **fields: Any) -> dict[str, Any]:
    """Return a pod whose task has this state; fields are those of its status, or `metadata` and `init`."""
    metadata = {"name": "task-1", "creationTimestamp": at(0), **fields.pop("metadata", {})}
    init = [{"name": "setup", "state": fields.pop("init")}] if "init" in fields else []
    statuses = [] if state is None else [{"name": "task", "image": "probe:1", "state": state}]
    spec = {"nodeName": "node-7", "containers": [{"name": "task", "image": "probe:1"}]}
    status = {"phase": phase, "containerStatuses": statuses, "initContainerStatuses": init, **fields}
    return {"metadata": metadata, "spec": spec, "status": status}


def deleted(
    state: dict[str, Any] | None, *, asked_s: float = 6, grace_s: int = 30, **fields: Any
) -> dict[str, Any]:
    metadata = {"deletionTimestamp": at(asked_s + grace_s), "deletionGracePeriodSeconds": grace_s}
    return pod_of(state, metadata=metadata, **fields)


def disrupted(reason: str) -> list[dict[str, Any]]:
    return [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": f"it is {reason}"}]


def judged(pod: dict[str, Any], **fields: Any) -> Ended | None:
    events = fields.pop("events", [])
    return judge_pod(pod, events, name="centre of mass", image="probe:1", **fields)


def failure(pod: dict[str, Any], **fields: Any) -> Any:
    ended = judged(pod, **fields)
    assert ended is not None
    return failure_of(Task("1", "centre of mass"), ended, "")


@pytest.mark.parametrize(
    "pod",
    [
        pod_of(None, phase="Pending"),
        pod_of(waiting("ContainerCreating"), phase="Pending"),
        pod_of(RUNNING),
        deleted(RUNNING),
        deleted(waiting("ContainerCreating"), phase="Pending"),
        # The kubelet says so before the task's processes are gone.
        pod_of(RUNNING, reason="DeadlineExceeded"),
    ],
    ids=["unscheduled", "creating", "running", "asked to go", "asked to go before its start", "over its time"],
)
def test_task_has_not_ended_before_its_processes_have(pod: dict[str, Any]) -> None:
    assert judged(pod) is None
    assert judged(pod, stopped_here=True) is None
    assert is_running(pod)


@pytest.mark.parametrize(
    ("pod", "reason", "code"),
    [
        (pod_of(terminated(0, "Completed"), phase="Succeeded"), "exit", 0),
        (pod_of(terminated(3)), "exit", 3),
        (pod_of(terminated(137)), "exit", 137),
        (pod_of(terminated(137, "OOMKilled")), "memory", 137),
        (pod_of(terminated(0, "OOMKilled")), "exit", 0),
        (pod_of(terminated(137), phase="Failed", reason="DeadlineExceeded"), "time", 137),
        (deleted(terminated(143)), "lost", 143),
        (deleted(terminated(0), asked_s=20), "exit", 0),
        (pod_of(terminated(143), conditions=disrupted("EvictionByEvictionAPI")), "lost", 143),
        (pod_of(None, phase="Failed", reason="Terminated", message="imminent node shutdown"), "lost", None),
    ],
)
def test_end_has_a_reason_and_the_exit_code(pod: dict[str, Any], reason: str, code: int | None) -> None:
    ended = judged(pod)
    assert ended is not None
    assert (ended.reason, ended.exit_code) == (reason, code)
    assert ended.seconds == (0.0 if code is None else 5.0)
    assert not is_running(pod)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('Usage of EmptyDir volume "temporary" exceeds the limit "1Mi". ', "disk"),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ", "disk"),
        ('Container task exceeded its local ephemeral storage limit "1Mi". ', "disk"),
        ("The node was low on resource: ephemeral-storage. Threshold quantity: 10, available: 3. ", "lost"),
        (
            "The node was low on resource: memory. Container task was using 5Mi, which exceeds its request of 0. ",
            "lost",
        ),
    ],
)
def test_pod_evicted_for_its_own_files_is_over_its_disk_and_any_other_is_lost(message: str, reason: str) -> None:
    ended = judged(pod_of(terminated(137), phase="Failed", reason="Evicted", message=message))
    assert ended is not None
    assert ended.reason == reason
    assert message.strip() in ended.trouble


@pytest.mark.parametrize(
    "state",
    [
        terminated(0),
        terminated(137),
        terminated(137, "ContainerStatusUnknown", startedAt=None, finishedAt=None),
        None,
    ],
)
def test_stopped_task_is_stopped_whatever_its_program_makes_of_it(state: dict[str, Any] | None) -> None:
    ended = judged(deleted(state), stopped_here=True, is_gone=state is None)
    assert ended is not None
    assert ended.reason == "stopped"
    assert ended.exit_code == (None if state is None else state["terminated"]["exitCode"])


def test_task_that_was_over_a_limit_when_it_was_stopped_says_so() -> None:
    ended = judged(deleted(terminated(137, "OOMKilled")), stopped_here=True)
    assert ended is not None
    assert ended.reason == "memory"


def test_pod_that_is_gone_is_lost() -> None:
    for pod in (pod_of(RUNNING), deleted(RUNNING), pod_of(None, phase="Pending")):
        ended = judged(pod, is_gone=True)
        assert ended is not None
        assert (ended.reason, "deleted" in ended.trouble) == ("lost", True)


def test_task_on_a_lost_node_is_lost_though_nobody_says_that_it_has_ended() -> None:
    pod = deleted(RUNNING, conditions=disrupted("DeletionByTaintManager"))
    assert needs_events(pod, 120.0)
    ended = judged(pod, events=[{"reason": "NodeNotReady"}])
    assert ended is not None
    assert ended.reason == "lost"
    assert "The node of pod task-1 is lost" in ended.trouble
    assert not is_running(pod)


def test_task_on_a_node_that_has_fallen_silent_is_lost_after_a_time() -> None:
    ready = [
        {"type": "Ready", "status": "False", "lastTransitionTime": at(100)},
        {"type": "ContainersReady", "status": "True", "lastTransitionTime": at(3)},
    ]
    pod = pod_of(RUNNING, conditions=ready)
    early, late = MADE + timedelta(seconds=120), MADE + timedelta(seconds=140)

    assert judged(pod, now=early) is None
    assert is_running(pod, early)
    ended = judged(pod, now=late)
    assert ended is not None
    assert (ended.reason, ended.exit_code) == ("lost", None)
    assert "The node node-7 of pod task-1 has not answered for 40 s." in ended.trouble
    assert not is_running(pod, late)


@pytest.mark.parametrize(
    ("reason", "message", "kind"),
    [
        ("ErrImagePull", "failed to resolve image: dial tcp 127.0.0.1:1: connect: connection refused", PullFailed),
        (
            "ImagePullBackOff",
            "Back-off pulling image: pull access denied, repository does not exist",
            ImageNotFound,
        ),
        ("ErrImageNeverPull", "Container image is not present with pull policy of Never", ImageNotFound),
        ("InvalidImageName", "couldn't parse image name", ImageNotFound),
    ],
)
def test_image_that_cannot_be_had_is_named(reason: str, message: str, kind: type) -> None:
    found = failure(pod_of(waiting(reason, message), phase="Pending"))
    assert type(found) is kind
    assert "probe:1" in str(found)
    assert message in str(found)


@pytest.mark.parametrize(
    "pod",
    [
        pod_of(waiting("CreateContainerConfigError", 'exec: "/nothing"'), phase="Pending"),
        pod_of(
            terminated(128, "StartError", message='exec: "/nothing"', startedAt="1970-01-01T00:00:00Z"),
            phase="Failed",
        ),
    ],
)
def test_container_that_cannot_start_is_a_failed_start(pod: dict[str, Any]) -> None:
    found = failure(pod)
    assert type(found) is StartFailed
    assert 'exec: "/nothing"' in str(found)
    assert started_at(pod) is None


def test_init_container_that_fails_is_named() -> None:
    pod = pod_of(waiting("PodInitializing"), phase="Failed", init=terminated(3, message="no such host"))
    found = failure(pod)
    assert type(found) is StartFailed
    assert "init container setup" in str(found)
    assert "no such host" in str(found)


def test_pod_without_a_place_has_the_schedulers_own_reason_after_its_time() -> None:
    said = "0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate"
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}]
    pod = pod_of(None, phase="Pending", conditions=conditions)
    early, late = MADE + timedelta(seconds=110), MADE + timedelta(seconds=130)

    assert judged(pod, pending_s=120.0, now=early) is None
    assert not needs_events(pod, 120.0, early)
    assert needs_events(pod, 120.0, late)
    found = failure(pod, pending_s=120.0, now=late)
    assert type(found) is Unschedulable
    assert said in str(found)


def test_image_is_pulled_for_as_long_as_it_takes_but_volumes_are_not_waited_for() -> None:
    pod = pod_of(waiting("ContainerCreating"), phase="Pending")
    late = MADE + timedelta(hours=1)
    mount = {"reason": "FailedMount", "message": "no such claim"}

    assert judged(pod, pending_s=120.0, now=late, events=[mount, {"reason": "Pulling"}]) is None
    found = failure(pod, pending_s=120.0, now=late, events=[{"reason": "Scheduled"}, mount])
    assert type(found) is StartFailed
    assert "no such claim" in str(found)


def test_start_is_when_the_container_started() -> None:
    assert started_at(pod_of(RUNNING)) == MADE + timedelta(seconds=3)
    assert has_started(pod_of(RUNNING))
    assert not has_started(pod_of(waiting("ContainerCreating"), phase="Pending"))
