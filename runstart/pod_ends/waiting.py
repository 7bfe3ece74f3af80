"""What a pod waits for that has not started: a place on a node, in the scheduler's own words, or its volumes.

A pod that would have a place if others ended waits in a queue, and may do so for long. One that would have none on an empty
cluster (it asks for too much, or for a node that there is not) waits for people.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runstart.pod_ends._statuses import Json, condition_that_fails, container_statuses, init_statuses, when

_HOPELESS = re.compile(r"0/(\d+) nodes are available: (\d+) Preemption is not helpful")
_TROUBLES = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedCreatePodContainer")


@dataclass(frozen=True)
class Waiting:
    """What a pod waits for.

    Attributes
    ----------
    reason : str
        The end of a sentence that begins "It waits: ".
    is_for_place : bool
        Whether the cluster has no room for it, rather than its containers not being made.
    is_in_queue : bool
        Whether it has a place as soon as other pods have ended.
    """

    reason: str
    is_for_place: bool
    is_in_queue: bool = False


def waits_for(pod: Json, events: Sequence[Json] = ()) -> Waiting | None:
    """Return what a pod waits for, or None if it has started.

    Parameters
    ----------
    pod : mapping
        The pod, as the API's own JSON.
    events : sequence of mapping, optional
        Its events, oldest first; they say why volumes and networks are not ready.
    """
    if (pod.get("status") or {}).get("phase") != "Pending" or pod["metadata"].get("deletionTimestamp"):
        return None
    unscheduled = condition_that_fails(pod, "PodScheduled")
    if unscheduled:
        said = unscheduled.get("message") or unscheduled.get("reason") or "the scheduler has not said why"
        in_queue = _may_find_room(str(said))
        return Waiting(f"no node has a place for it. {sentence(said)}", is_for_place=True, is_in_queue=in_queue)
    if any((each.get("state") or {}).get("running") for each in (*init_statuses(pod), *container_statuses(pod))):
        return None
    said = _last_message(events, _TROUBLES) or "Kubernetes has not said why"
    return Waiting(f"its containers are not made yet. {sentence(said)}", is_for_place=False)


def job_waits_for(job: Json, pod: Json | None, events: Sequence[Json] = ()) -> Waiting | None:
    """Return what a job waits for: what its pod waits for, or why it has none.

    Parameters
    ----------
    job : mapping
        The job, as the API's own JSON.
    pod : mapping or None
        Its newest pod.
    events : sequence of mapping, optional
        Events of both, oldest first.
    """
    if pod is not None:
        return waits_for(pod, events)
    status = job.get("status") or {}
    if status.get("conditions") or any(
        status.get(count) for count in ("active", "terminating", "failed", "succeeded")
    ):
        return None
    said = _last_message(events, ("FailedCreate",)) or "Kubernetes has not said why"
    is_quota = "quota" in said
    return Waiting(f"it has no pod yet. {sentence(said)}", is_for_place=is_quota, is_in_queue=is_quota)


def is_overdue(thing: Json, now: datetime, pending_seconds: float) -> bool:
    """Return whether a pod or job that waits has waited for longer than it may.

    Parameters
    ----------
    thing : mapping
        The pod or job.
    now : datetime
        The time now.
    pending_seconds : float
        How long it may wait, in seconds.
    """
    made = thing["metadata"].get("creationTimestamp")
    return made is not None and now - when(made) > timedelta(seconds=pending_seconds)


def sentence(text: object) -> str:
    """Return Kubernetes' own words as a sentence, in one line."""
    line = " ".join(str(text or "").split())
    return line if not line or line.endswith((".", "!", "?")) else f"{line}."


def _may_find_room(said: str) -> bool:
    """Return whether the scheduler says that the end of other pods would help.

    It does so when it tells why it takes no place from pods of less priority: on nodes where that would not help, nothing
    will. A pod that may not take places at all is told less; then, what is insufficient now is taken to come.
    """
    without, _, preemption = said.partition("preemption:")
    hopeless = _HOPELESS.search(preemption)
    if "nodes are available" in preemption:
        return hopeless is None or hopeless[1] != hopeless[2]
    return "Insufficient" in without or "Too many pods" in without


def _last_message(events: Sequence[Json], reasons: Sequence[str]) -> str | None:
    messages = [str(event.get("message", "")) for event in events if event.get("reason") in reasons]
    return messages[-1] if messages else None
