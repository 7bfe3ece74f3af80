"""Which tasks a cluster has, whoever has started them, as their jobs and pods tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from runstart.launchers._cluster_client import ClusterClient
from runstart.launchers._containers import OURS, About, read_labels
from runstart.launchers._job_manifest import ABOUT, label_selection, selector_of
from runstart.launchers._pods import JOB, Pod, is_running, read_time, started_at
from runstart.launchers.launcher import ListedTask, Task


def find_tasks(client: ClusterClient, labels: Mapping[str, str]) -> Sequence[tuple[ListedTask, About]]:
    """Return the tasks that carry these labels, and what else is known of them."""
    selector = selector_of({**label_selection(labels), **OURS})
    jobs, _ = client.list("jobs", labels=selector)
    pods = {pod["metadata"]["labels"].get(JOB): pod for pod in client.list("pods", labels=selector)[0]}
    found = []
    for job in jobs:
        name = job["metadata"]["name"]
        about, theirs = read_labels(json.loads(job["metadata"].get("annotations", {}).get(ABOUT, "{}")), name)
        if not labels.items() <= theirs.items():
            continue
        pod = pods.get(name)
        began = None if pod is None else started_at(pod)
        at = (began or read_time(job["metadata"]["creationTimestamp"])).timestamp()
        runs = not had_pod(job) if pod is None else is_running(pod)
        # What has not started has used none of its time.
        about = about if began is not None else replace(about, seconds=None)
        found.append((ListedTask(Task(name, about.name), theirs, at, runs), about))
    return found


def had_pod(job: Pod) -> bool:
    """Return whether a job has had its only pod."""
    status = job.get("status", {})
    uncounted = any((status.get("uncountedTerminatedPods") or {}).values())
    return uncounted or any(status.get(name) for name in ("conditions", "failed", "succeeded"))
