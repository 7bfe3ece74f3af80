"""Reads jobs with their pods, events and last lines from the Kubernetes API, judges them, and removes them.

Everything is read as the API's own JSON: making the client's classes of a hundred pods takes a second. Events are asked
for only of what has not started or is gone, since nothing else needs them to be told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runstart.pod_ends._statuses import Json, name_of
from runstart.pod_ends.ends import PodEnd, end_of_job, newest_of
from runstart.pod_ends.patience import USUAL_PATIENCE, Patience
from runstart.pod_ends.waiting import Waiting, job_waits_for

if TYPE_CHECKING:
    from kubernetes.client import BatchV1Api, CoreV1Api

LAST_LINES = 20
"""Lines of a pod's output that are kept with the name of its end."""

_JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
_NOT_FOUND = 404


@dataclass(frozen=True)
class JobPods:
    """A job with its pods.

    Attributes
    ----------
    name : str
        Of the job.
    job : mapping or None
        The job; None if it is gone.
    pods : list of mapping
        Its pods.
    """

    name: str
    job: Json | None = None
    pods: list[Json] = field(default_factory=list)

    @property
    def pod(self) -> Json | None:
        """The newest pod."""
        return newest_of(self.pods)


@dataclass(frozen=True)
class Judgement:
    """What is to be said of a job: how it ended, or what it waits for; neither while all is well."""

    end: PodEnd | None = None
    waiting: Waiting | None = None


def read_jobs(batch: BatchV1Api, core: CoreV1Api, namespace: str, selector: str) -> dict[str, JobPods]:
    """Return the jobs that a label selector finds, by name; pods whose job is gone are found too.

    Parameters
    ----------
    batch, core : BatchV1Api and CoreV1Api
        Clients.
    namespace : str
        Where to look.
    selector : str
        Labels that the jobs and their pods carry, such as `dagster/run-id=...`.

    Raises
    ------
    kubernetes.client.exceptions.ApiException
        If the API refuses.
    """
    # Pods first: a job that ends between the two is then seen with its end, never without its pod.
    pods = _items(core.list_namespaced_pod, namespace, label_selector=selector)
    jobs = _items(batch.list_namespaced_job, namespace, label_selector=selector)
    found = {name_of(job): JobPods(name_of(job), job) for job in jobs}
    for pod in pods:
        name = (pod["metadata"].get("labels") or {}).get(_JOB_NAME_LABEL)
        if name is not None:
            found.setdefault(name, JobPods(name)).pods.append(pod)
    return found


def judge_job(
    core: CoreV1Api,
    namespace: str,
    found: JobPods,
    *,
    now: datetime | None = None,
    patience: Patience = USUAL_PATIENCE,
) -> Judgement:
    """Return how a job ended or what it waits for; reads events where they matter.

    Parameters
    ----------
    core : CoreV1Api
        Client.
    namespace : str
        Of the job.
    found : JobPods
        The job, as it was read.
    now, patience
        As in `end_of_pod`.

    Raises
    ------
    kubernetes.client.exceptions.ApiException
        If the API refuses.
    """
    end = end_of_job(found.job, found.pods, name=found.name, now=now, patience=patience)
    waiting = None if found.job is None else job_waits_for(found.job, found.pod)
    is_plain = end is None or end.name in {"exit", "out of memory", "image pull", "init failure", "deadline"}
    if is_plain and waiting is None:
        return Judgement(end)
    events = read_events(core, namespace, [found.name, *(name_of(pod) for pod in found.pods)])
    end = end_of_job(found.job, found.pods, events, name=found.name, now=now, patience=patience)
    if end is not None or found.job is None:
        return Judgement(end)
    return Judgement(waiting=job_waits_for(found.job, found.pod, events))


def read_events(core: CoreV1Api, namespace: str, names: Iterable[str]) -> list[Json]:
    """Return what happened to things of these names, oldest first.

    Parameters
    ----------
    core : CoreV1Api
        Client.
    namespace : str
        Of the things.
    names : iterable of str
        Of jobs and pods.

    Raises
    ------
    kubernetes.client.exceptions.ApiException
        If the API refuses.
    """
    found: list[Json] = []
    for name in names:
        found += _items(core.list_namespaced_event, namespace, field_selector=f"involvedObject.name={name}")
    return sorted(found, key=_time_of)


def read_last_lines(core: CoreV1Api, pod: Json, lines: int = LAST_LINES) -> str:
    """Return the last lines that a pod's first container wrote; nothing if it has not started, or they are gone.

    Parameters
    ----------
    core : CoreV1Api
        Client.
    pod : mapping
        The pod.
    lines : int, optional
        How many.
    """
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    container = pod["spec"]["containers"][0]["name"]
    try:
        answer = core.read_namespaced_pod_log(
            name_of(pod),
            pod["metadata"]["namespace"],
            container=container,
            tail_lines=lines,
            _preload_content=False,
            _request_timeout=5.0,
        )
    except (ApiException, HTTPError):
        return ""  # a pod that never started has no log, and a node that is lost cannot be asked for it
    return str(answer.data.decode("utf-8", "replace")).strip()


def remove_job(
    batch: BatchV1Api, core: CoreV1Api, namespace: str, found: JobPods, *, grace_seconds: int | None = None
) -> None:
    """Remove a job and its pods; what is gone already is well.

    Parameters
    ----------
    batch, core : BatchV1Api and CoreV1Api
        Clients.
    namespace : str
        Of the job.
    found : JobPods
        The job, as it was read.
    grace_seconds : int, optional
        How long the pods' processes may take to end; by default as long as the pods say. With 0, not even the word of the
        node is waited for, which may be lost.

    Raises
    ------
    kubernetes.client.exceptions.ApiException
        If the API refuses.
    """
    _unless_gone(batch.delete_namespaced_job, found.name, namespace, propagation_policy="Background")
    grace = {} if grace_seconds is None else {"grace_period_seconds": grace_seconds}
    for pod in found.pods:
        _unless_gone(core.delete_namespaced_pod, name_of(pod), namespace, **grace)


def _unless_gone(delete: Any, name: str, namespace: str, **options: Any) -> None:
    from kubernetes.client.exceptions import ApiException

    try:
        delete(name, namespace, **options)
    except ApiException as error:
        if error.status != _NOT_FOUND:
            raise


def _items(list_things: Any, namespace: str, **selection: Any) -> list[Json]:
    answer = list_things(namespace, _preload_content=False, **selection)
    return list(json.loads(answer.data)["items"])


def _time_of(event: Json) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return next((str(time) for time in times if time), "")
