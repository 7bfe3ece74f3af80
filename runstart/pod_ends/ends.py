"""Names the end of a pod from what the Kubernetes API says of it, of its job, and of what happened to it.

Objects are the API's own JSON, as `kubectl get -o json` shows it. A pod is judged by the first rule that fits: what
Kubernetes did to it comes before what its containers did, since the containers of a pod that is evicted or deleted exit
with whatever code their program makes of SIGTERM. What passes by itself is retried; what a person must mend is told.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from runstart.pod_ends._reasons import EVICTED, FAILED_START, IMAGE_PULL, OUTAGES
from runstart.pod_ends._statuses import (
    Json,
    condition_of,
    condition_that_fails,
    container_statuses,
    end_of_container,
    has_event,
    init_statuses,
    name_of,
    was_ended_by_deletion,
    when,
)
from runstart.pod_ends.patience import USUAL_PATIENCE, Patience
from runstart.pod_ends.waiting import Waiting, is_overdue, job_waits_for, sentence, waits_for

EndName = Literal[
    "deleted",
    "evicted",
    "out of memory",
    "image pull",
    "init failure",
    "unschedulable",
    "node lost",
    "deadline",
    "failed start",
    "exit",
]

NODE_SILENCE_SECONDS = 30
"""How long a node may not answer until its pods are given up, from when Kubernetes has noticed."""

_RETRIED = frozenset({"deleted", "evicted", "out of memory", "node lost"})
# A pod that waits for a node that has gone waits for its return.
LOST_NODE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_DISRUPTION = "DisruptionTarget"  # the condition of a pod that Kubernetes ends for the sake of others
_BY_TAINT = "DeletionByTaintManager"


@dataclass(frozen=True)
class PodEnd:
    """How a pod ended, or that it will never start.

    Attributes
    ----------
    name : str
        One of the names that `docs/kubernetes.md` lists.
    reason : str
        What happened, in a sentence that names the pod, with Kubernetes' own words.
    is_retried : bool
        Whether it passes by itself, so that the same again may succeed.
    exit_code : int or None
        That of the container which ended, where one did.
    """

    name: EndName
    reason: str
    is_retried: bool
    exit_code: int | None = None


def end_of_job(
    job: Json | None,
    pods: Sequence[Json],
    events: Sequence[Json] = (),
    *,
    name: str = "",
    now: datetime | None = None,
    patience: Patience = USUAL_PATIENCE,
) -> PodEnd | None:
    """Return how the one pod of a job ended, or None while it may still start, or runs.

    Parameters
    ----------
    job : mapping or None
        The job, or None if there is none (any more).
    pods : sequence of mapping
        Its pods; the newest counts.
    events : sequence of mapping, optional
        Events of the job and of its pods.
    name : str, optional
        The job's name, to be told when the job is gone.
    now, patience
        As in `end_of_pod`.
    """
    if job is None:
        return _end(
            "deleted", f"The Kubernetes job {name} is gone: somebody, or the end of its time to live, removed it."
        )
    named = name_of(job)
    failure = condition_of(job, "Failed") or condition_of(job, "FailureTarget")
    if failure.get("reason") == "DeadlineExceeded":
        return _end("deadline", f"The pod of job {named} reached its deadline: {_said(failure)}")
    newest = newest_of(pods)
    if newest is not None:
        return end_of_pod(newest, events, now=now, patience=patience)
    if failure:
        return _end_of_vanished(named, failure, events)
    if condition_of(job, "Complete"):
        return PodEnd("exit", f"The pod of job {named} exited with code 0.", is_retried=False, exit_code=0)
    waiting = job_waits_for(job, None, events)
    return _end_by_waiting(job, waiting, now or datetime.now(UTC), patience)


def end_of_pod(
    pod: Json,
    events: Sequence[Json] = (),
    *,
    now: datetime | None = None,
    patience: Patience = USUAL_PATIENCE,
) -> PodEnd | None:
    """Return how a pod ended, or None while it may still start, or runs.

    Parameters
    ----------
    pod : mapping
        The pod.
    events : sequence of mapping, optional
        Events of the pod; they tell a lost node from one that asked the pod to leave, and why a pod does not start.
    now : datetime, optional
        The time now; that of the system by default.
    patience : Patience, optional
        How long the pod may wait.
    """
    status = pod.get("status") or {}
    named, said = name_of(pod), _said(status)
    if status.get("reason") == "DeadlineExceeded":
        return _end("deadline", f"The pod {named} reached its deadline: {said}")
    if status.get("reason") == "NodeLost":
        return _end("node lost", f"The node of pod {named} is lost: {said}")
    if status.get("reason") in EVICTED:
        return _end("evicted", f"The pod {named} was evicted ({status['reason']}): {said}")
    disruption = condition_of(pod, _DISRUPTION)
    if disruption:
        return _end_by_disruption(named, disruption, events)
    now = now or datetime.now(UTC)
    return (
        _end_by_silence(pod, now)
        or _end_by_memory(pod)
        or _end_by_deletion(pod)
        or _end_of_init(pod)
        or _end_before_start(pod)
        or _end_by_exit(pod)
        or _end_by_waiting(pod, waits_for(pod, events), now, patience)
    )


def newest_of(pods: Sequence[Json]) -> Json | None:
    """Return the pod that was made last."""
    return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)


def _end(name: EndName, reason: str, exit_code: int | None = None, *, is_retried: bool | None = None) -> PodEnd:
    return PodEnd(name, reason.strip(), name in _RETRIED if is_retried is None else is_retried, exit_code)


def _end_of_vanished(named: str, failure: Json, events: Iterable[Json]) -> PodEnd:
    """Return the end of a pod that is gone, by what its job and the events remember."""
    if has_event(events, "NodeNotReady"):
        return _end("node lost", f"The node of the pod of job {named} is lost: Kubernetes removed the pod.")
    if failure.get("reason") == "PodFailurePolicy" and _DISRUPTION in str(failure.get("message")):
        return _end("evicted", f"The pod of job {named} was evicted: {_said(failure)}")
    if failure.get("reason") == "BackoffLimitExceeded":
        return _end("deleted", f"The pod of job {named} was deleted before it had ended.")
    return _end("deleted", f"The pod of job {named} is gone: {_said(failure)}")


def _end_by_disruption(named: str, disruption: Json, events: Iterable[Json]) -> PodEnd:
    if disruption.get("reason") == _BY_TAINT and has_event(events, "NodeNotReady"):
        return _end("node lost", f"The node of pod {named} is lost: {_said(disruption)}")
    return _end(
        "evicted",
        f"The pod {named} was evicted ({disruption.get('reason')}): {_said(disruption)}",
    )


def _end_by_silence(pod: Json, now: datetime) -> PodEnd | None:
    """Return the end of a pod whose node does not answer any more.

    Kubernetes then calls the pod not ready, although its node has said last that all of its containers are. It gives the
    pod up only while other nodes answer.
    """
    ready = condition_that_fails(pod, "Ready")
    if not ready or not condition_of(pod, "ContainersReady"):
        return None
    silence = (now - when(ready["lastTransitionTime"])).total_seconds()
    if silence < NODE_SILENCE_SECONDS:
        return None
    node = pod["spec"].get("nodeName", "")
    return _end("node lost", f"The node {node} of pod {name_of(pod)} has not answered for {silence:.0f} s.")


def _end_by_memory(pod: Json) -> PodEnd | None:
    for container in container_statuses(pod):
        ended = end_of_container(container)
        if ended.get("reason") == "OOMKilled":
            limit = _memory_limit(pod, container["name"])
            allowed = f" of {limit}" if limit else ""
            return _end(
                "out of memory",
                f"The pod {name_of(pod)} needed more memory than its limit{allowed}, and was killed.",
                ended.get("exitCode"),
            )
    return None


def _end_by_deletion(pod: Json) -> PodEnd | None:
    if not was_ended_by_deletion(pod):
        return None
    codes = [
        code for each in container_statuses(pod) if (code := end_of_container(each).get("exitCode")) is not None
    ]
    return _end("deleted", f"The pod {name_of(pod)} was deleted before it had ended.", codes[0] if codes else None)


def _end_of_init(pod: Json) -> PodEnd | None:
    for container in init_statuses(pod):
        ended = end_of_container(container)
        if ended.get("exitCode"):
            how = f"The init container {container['name']} of pod {name_of(pod)} failed with exit code {ended['exitCode']}"
            return _end(
                "init failure",
                f"{how} ({ended.get('reason', 'Error')}). {_said(ended)}",
                ended["exitCode"],
            )
    return None


def _end_before_start(pod: Json) -> PodEnd | None:
    """Return the end of a pod of which a container cannot start, be it an init container."""
    for container in (*init_statuses(pod), *container_statuses(pod)):
        state = container.get("state") or {}
        waiting = state.get("waiting") or state.get("terminated") or {}
        reason = waiting.get("reason")
        if reason in IMAGE_PULL:
            said = _said(waiting)
            return _end(
                "image pull",
                f"The image {container.get('image', '')} of pod {name_of(pod)} cannot be pulled ({reason}): {said}",
                is_retried=any(each in said.lower() for each in OUTAGES),
            )
        if reason in FAILED_START:
            return _end(
                "failed start",
                f"The container {container['name']} of pod {name_of(pod)} cannot start ({reason}): {_said(waiting)}",
                waiting.get("exitCode"),
            )
    return None


def _end_by_exit(pod: Json) -> PodEnd | None:
    """Return the end of a pod whose first container has exited; others are its helpers."""
    statuses = container_statuses(pod)
    ended = end_of_container(statuses[0]) if statuses else {}
    if ended:
        code = int(ended.get("exitCode", 0))
        how = f"exited {_with(code)}. {_said(ended)}"
        return _end("exit", f"The pod {name_of(pod)} {how}", code, is_retried=_signal(code) is not None)
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        why = f"({status.get('reason', 'no reason given')}): {_said(status)}"
        return _end("failed start", f"The pod {name_of(pod)} failed before it started {why}")
    return None


def _end_by_waiting(thing: Json, waiting: Waiting | None, now: datetime, patience: Patience) -> PodEnd | None:
    if waiting is None:
        return None
    seconds = patience.room_seconds if waiting.is_in_queue else patience.pending_seconds
    if not is_overdue(thing, now, seconds):
        return None
    name: EndName = "unschedulable" if waiting.is_for_place else "failed start"
    reason = f"{name_of(thing)} has not started for {seconds:.0f} s: {waiting.reason}"
    return _end(name, reason, is_retried=any(taint in reason for taint in LOST_NODE_TAINTS))


def _memory_limit(pod: Json, container: str) -> str | None:
    for each in pod.get("spec", {}).get("containers", []):
        if each["name"] == container:
            limits: Mapping[str, Any] = (each.get("resources") or {}).get("limits") or {}
            return limits.get("memory")
    return None


def _with(code: int) -> str:
    name = _signal(code)
    return f"with code {code}, by the signal {name}" if name else f"with code {code}"


def _signal(code: int) -> str | None:
    number = code - 128
    return signal.Signals(number).name if number in set(signal.Signals) else None


def _said(what: Json) -> str:
    return sentence(what.get("message"))
