"""What a pod's status says of the task in it: whether it has started, and how it ended.

The names of ends are those of `runstart.pod_ends`. A pod that was asked to go has ended only when its container has, or
when nobody can say so any more: its node is lost, or it is gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from runstart.launchers._job_manifest import CONTAINER
from runstart.launchers.failures import ImageNotFound, PullFailed, Unschedulable
from runstart.launchers.launcher import Ended
from runstart.pod_ends import Patience, PodEnd, end_of_pod

Pod = Mapping[str, Any]

JOB = "batch.kubernetes.io/job-name"
"""The label of a pod with the job that it belongs to."""

_EVER_S = 1e9
_LOST = {"DeletionByTaintManager", "DeletionByPodGC"}
_OVER = {"Succeeded", "Failed"}
# A kubelet's words on a pod that is over its own limit; a node that runs full says other ones.
_OVER_DISK = re.compile(r"exceed(?:s|ed) (?:the|the total|its local ephemeral storage) limit")
_WORDS = re.compile(r"\((?:\w+)\): (?P<said>.+)")


def judge_pod(
    pod: Pod,
    events: Sequence[Pod],
    *,
    name: str,
    image: str,
    stopped_here: bool = False,
    is_gone: bool = False,
    pending_s: float = _EVER_S,
    now: datetime | None = None,
) -> Ended | None:
    """Return how a task ended, or None while it may start or runs.

    Parameters
    ----------
    pod : mapping
        Its pod, as last seen.
    events : sequence of mapping
        What happened to the pod, oldest first, if it is known.
    name, image : str
        Of the task.
    stopped_here : bool, optional
        Whether its caller has stopped it.
    is_gone : bool, optional
        Whether the pod is there no longer.
    pending_s : float, optional
        Seconds that it may wait for its place and its volumes; an image may be pulled for longer.
    now : datetime, optional
        The time now; that of the system by default.
    """
    terminated = state_of(pod).get("terminated")
    is_over = is_gone or not is_running(pod, now)
    if not is_over and (has_started(pod) or pod["metadata"].get("deletionTimestamp")):
        return None
    code = None if terminated is None else int(terminated["exitCode"])
    seconds = 0.0 if terminated is None else _seconds(terminated)
    end = end_of_pod(pod, events, now=now, patience=_patience(pending_s, events))
    if stopped_here and is_over and (end is None or end.name in ("deleted", "evicted", "node lost")):
        return Ended("stopped", code, seconds)
    if end is None:
        return Ended("lost", code, seconds, trouble="it was deleted from outside") if is_over else None
    return _ended(end, code, seconds, name, image)


def needs_events(pod: Pod, pending_s: float, now: datetime | None = None) -> bool:
    """Return whether events say more of a pod than its status: it waits for too long, or was made to go."""
    if _disruption(pod):
        return True
    return not has_started(pod) and age_s(pod, now) > pending_s


def state_of(pod: Pod) -> dict[str, Any]:
    """Return the state of the task's container: empty, waiting, running or terminated."""
    for status in pod.get("status", {}).get("containerStatuses") or []:
        if status["name"] == CONTAINER:
            return dict(status.get("state") or {})
    return {}


def has_started(pod: Pod) -> bool:
    """Return whether the task runs or has run."""
    state = state_of(pod)
    return "running" in state or "terminated" in state


def is_running(pod: Pod, now: datetime | None = None) -> bool:
    """Return whether the task runs or may still start."""
    is_over = pod.get("status", {}).get("phase") in _OVER or "terminated" in state_of(pod) or is_lost(pod, now)
    return not is_over


def is_lost(pod: Pod, now: datetime | None = None) -> bool:
    """Return whether the pod's node does not answer any more, so that nobody says how the task ended."""
    if _disruption(pod) in _LOST:
        return True
    end = end_of_pod(pod, now=now, patience=Patience(_EVER_S, _EVER_S))
    return end is not None and end.name == "node lost"


def started_at(pod: Pod) -> datetime | None:
    """Return when the task's container started, in whole seconds, or None if it has not."""
    state = state_of(pod)
    text = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    # One that could not be started is said to have ended, with a start at the beginning of time.
    return None if text is None or read_time(text).timestamp() == 0 else read_time(text)


def age_s(pod: Pod, now: datetime | None = None) -> float:
    """Return the seconds since a pod was made."""
    return ((now or datetime.now(UTC)) - read_time(pod["metadata"]["creationTimestamp"])).total_seconds()


def read_time(text: str) -> datetime:
    """Return a time of the API, which is in UTC."""
    return datetime.fromisoformat(text)


def _ended(end: PodEnd, code: int | None, seconds: float, name: str, image: str) -> Ended:
    match end.name:
        case "out of memory" if code != 0:
            return Ended("memory", code, seconds)
        case "deadline":
            return Ended("time", code, seconds)
        case "evicted" if _OVER_DISK.search(end.reason):
            return Ended("disk", code, seconds, trouble=end.reason)
        case "deleted" | "evicted" | "node lost":
            return Ended("lost", code, seconds, trouble=end.reason)
        case "image pull":
            failure = (PullFailed if end.is_retried else ImageNotFound)(image, _said(end))
            return Ended("exit", None, 0.0, trouble=end.reason, failure=failure)
        case "unschedulable":
            return Ended("exit", None, 0.0, trouble=end.reason, failure=Unschedulable(name, end.reason))
        case "init failure" | "failed start":
            return Ended("exit", None, 0.0, trouble=end.reason)
        case _:
            return Ended("exit", code, seconds)


def _said(end: PodEnd) -> str:
    """Return Kubernetes' own words of an end that names the image before them."""
    found = _WORDS.search(end.reason)
    return end.reason if found is None else found["said"]


def _disruption(pod: Pod) -> str:
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return str(condition.get("reason"))
    return ""


def _seconds(terminated: Mapping[str, Any]) -> float:
    if not terminated.get("startedAt") or not terminated.get("finishedAt"):
        return 0.0
    seconds = (read_time(terminated["finishedAt"]) - read_time(terminated["startedAt"])).total_seconds()
    return max(0.0, seconds)


def _patience(pending_s: float, events: Sequence[Pod]) -> Patience:
    """Return how long a pod may wait: without end while its image is being pulled."""
    seconds = _EVER_S if events and events[-1].get("reason") == "Pulling" else pending_s
    return Patience(seconds, seconds)
