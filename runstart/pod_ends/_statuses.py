"""Reads single facts out of the JSON of pods, jobs and events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

Json = Mapping[str, Any]


def name_of(thing: Json) -> str:
    """Return the name of a pod or job."""
    return str(thing["metadata"]["name"])


def condition_of(thing: Json, kind: str) -> Json:
    """Return a condition of a pod or job that holds, or an empty mapping."""
    for condition in (thing.get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind and condition.get("status") == "True":
            return dict(condition)
    return {}


def condition_that_fails(pod: Json, kind: str) -> Json:
    """Return a condition of a pod that does not hold, or an empty mapping."""
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind and condition.get("status") == "False":
            return dict(condition)
    return {}


def container_statuses(pod: Json) -> list[Json]:
    """Return what is known of a pod's containers, in the order of the pod's own specification.

    Kubernetes sorts statuses by name; the first container is the one that matters.
    """
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    order = [each["name"] for each in (pod.get("spec") or {}).get("containers") or []]
    return sorted(statuses, key=lambda each: order.index(each["name"]) if each["name"] in order else len(order))


def init_statuses(pod: Json) -> list[Json]:
    """Return what is known of a pod's init containers."""
    return list((pod.get("status") or {}).get("initContainerStatuses") or [])


def end_of_container(status: Json) -> Json:
    """Return how a container ended, now or before it was started again, or an empty mapping."""
    state, before = status.get("state") or {}, status.get("lastState") or {}
    return dict(state.get("terminated") or ({} if state.get("running") else before.get("terminated")) or {})


def has_event(events: Iterable[Json], reason: str) -> bool:
    """Return whether something of this kind happened."""
    return any(event.get("reason") == reason for event in events)


def was_ended_by_deletion(pod: Json) -> bool:
    """Return whether a pod was asked to go before its containers had ended by themselves."""
    metadata = pod["metadata"]
    if not metadata.get("deletionTimestamp"):
        return False
    asked = when(metadata["deletionTimestamp"]) - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    ends = [end_of_container(each) for each in container_statuses(pod)]
    # Kubernetes writes whole seconds, rounded down, and none for a container of which it never heard.
    times = [end.get("finishedAt") for end in ends]
    return not times or any(time is None or when(time) >= asked - timedelta(seconds=1) for time in times)


def when(text: str) -> datetime:
    """Return a time of the API, which is in UTC."""
    return datetime.fromisoformat(text)
