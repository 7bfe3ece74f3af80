"""The two clients of the Kubernetes API, over jobs, pods and events that a test has put there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kubernetes.client.exceptions import ApiException

RECORDED: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "runstart" / "pod_ends" / "recorded.json").read_text()
)


class FakeKubernetes:
    """Stands for `BatchV1Api` and `CoreV1Api` of one namespace; notes what is made and what is removed."""

    def __init__(self, *, lines: str = "") -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.removed: list[tuple[str, str, Mapping[str, Any]]] = []
        self.created: list[Any] = []
        self.asked_for_events = 0
        self.lines = lines
        self.refuses = False

    def put(self, recorded: str, name: str | None = None, **labels: str) -> None:
        """Put a recorded job with its pods there, by another name and with labels."""
        case = json.loads(json.dumps(RECORDED[recorded]))
        job = case["job"]
        before = job["metadata"]["name"]
        job["metadata"] |= {
            "name": name or before,
            "labels": {key.replace("__", "/"): v for key, v in labels.items()},
        }
        self.jobs[job["metadata"]["name"]] = job
        for pod in case["pods"]:
            if name is not None:
                pod["metadata"]["name"] = pod["metadata"]["name"].replace(before, name)
            pod["metadata"]["labels"] = job["metadata"]["labels"] | {"batch.kubernetes.io/job-name": name or before}
            self.pods[pod["metadata"]["name"]] = pod
        for event in case["events"]:
            event["involvedObject"]["name"] = event["involvedObject"]["name"].replace(before, name or before)
            self.events.append(event)

    # Jobs

    def list_namespaced_job(self, namespace: str, label_selector: str = "", **_: Any) -> SimpleNamespace:
        return self._answer(job for job in self.jobs.values() if _selects(label_selector, job))

    def create_namespaced_job(self, body: Any, namespace: str, **_: Any) -> None:
        self.created.append(body)

    def delete_namespaced_job(self, name: str, namespace: str, **options: Any) -> None:
        self._remove(self.jobs, "job", name, options)

    # Pods and events

    def list_namespaced_pod(self, namespace: str, label_selector: str = "", **_: Any) -> SimpleNamespace:
        found = [pod for pod in self.pods.values() if _selects(label_selector, pod)]
        return SimpleNamespace(data=json.dumps({"items": found}).encode(), items=[])

    def delete_namespaced_pod(self, name: str, namespace: str, **options: Any) -> None:
        self._remove(self.pods, "pod", name, options)

    def list_namespaced_event(self, namespace: str, field_selector: str, **_: Any) -> SimpleNamespace:
        self.asked_for_events += 1
        name = field_selector.removeprefix("involvedObject.name=")
        return self._answer(event for event in self.events if event["involvedObject"]["name"] == name)

    def read_namespaced_pod_log(self, name: str, namespace: str, **_: Any) -> SimpleNamespace:
        if not self.lines:
            raise ApiException(status=400, reason="the container has not started")
        return SimpleNamespace(data=self.lines.encode())

    def _answer(self, items: Any) -> SimpleNamespace:
        if self.refuses:
            raise ApiException(status=503, reason="Service Unavailable")
        return SimpleNamespace(data=json.dumps({"items": list(items)}).encode())

    def _remove(self, things: dict[str, Any], kind: str, name: str, options: Mapping[str, Any]) -> None:
        if things.pop(name, None) is None:
            raise ApiException(status=404, reason="Not Found")
        self.removed.append((kind, name, options))


def _selects(selector: str, thing: Mapping[str, Any]) -> bool:
    """Return whether a selector of the forms `key`, `key=value` and `key in (a,b)` finds a thing."""
    labels = thing["metadata"].get("labels", {})
    return all(_matches(part, labels) for part in _split(selector))


def _split(selector: str) -> Sequence[str]:
    parts, depth = [""], 0
    for letter in selector:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part]


def _matches(part: str, labels: Mapping[str, str]) -> bool:
    key, _, values = part.partition(" in ")
    if values:
        return labels.get(key) in values.strip("()").split(",")
    key, sign, value = part.partition("=")
    return labels.get(key) == value if sign else key in labels
