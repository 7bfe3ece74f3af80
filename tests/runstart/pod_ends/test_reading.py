"""Jobs, pods, events and last lines as they are read from the API, and what is removed there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import urllib3.exceptions
from fake_kubernetes import FakeKubernetes
from kubernetes.client.exceptions import ApiException

from runstart.pod_ends import JobPods, Patience, judge_job, read_jobs, read_last_lines, remove_job

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)


def read(api: FakeKubernetes, selector: str = "") -> dict[str, JobPods]:
    return read_jobs(api, api, "runstart", selector)  # type: ignore[arg-type]


def judge(api: FakeKubernetes, found: JobPods) -> Any:
    return judge_job(api, "runstart", found, now=NOW, patience=Patience(30, 30))  # type: ignore[arg-type]


def test_jobs_are_read_with_their_pods() -> None:
    api = FakeKubernetes()
    api.put("running", "one", run="1")
    api.put("deleted, gone", "two", run="1")
    api.put("out of memory", "three", run="2")
    found = read(api, "run=1")

    assert sorted(found) == ["one", "two"]
    assert [len(found[name].pods) for name in ("one", "two")] == [1, 0]
    assert found["two"].pod is None


def test_pod_whose_job_is_gone_is_read() -> None:
    api = FakeKubernetes()
    api.put("running", "one")
    del api.jobs["one"]
    (found,) = read(api).values()

    assert found.job is None
    assert found.pod is not None


def test_events_are_asked_for_only_where_they_tell_something() -> None:
    api = FakeKubernetes()
    api.put("out of memory", "plain")
    assert judge(api, read(api)["plain"]).end.name == "out of memory"
    assert api.asked_for_events == 0

    api.put("volume missing", "waiting")
    assert "MountVolume.SetUp failed" in judge(api, read(api)["waiting"]).end.reason
    assert api.asked_for_events > 0


def test_pod_that_waits_within_its_time_is_said_to_wait() -> None:
    api = FakeKubernetes()
    api.put("unschedulable", "waits")
    soon = datetime(2026, 11, 26, 5, 18, 15, tzinfo=UTC)
    judgement = judge_job(api, "runstart", read(api)["waits"], now=soon)  # type: ignore[arg-type]

    assert judgement.end is None
    assert judgement.waiting is not None
    assert judgement.waiting.is_for_place
    assert "Insufficient cpu" in judgement.waiting.reason


def test_last_lines_are_those_of_the_pod() -> None:
    api = FakeKubernetes(lines="one\ntwo\n")
    api.put("out of memory", "job")
    pod = read(api)["job"].pod
    assert pod is not None

    assert read_last_lines(api, pod) == "one\ntwo"  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [ApiException(status=500), urllib3.exceptions.ReadTimeoutError(None, "", "")])  # type: ignore[arg-type]
def test_lines_that_cannot_be_had_hold_up_nothing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    api = FakeKubernetes()
    api.put("out of memory", "job")
    monkeypatch.setattr(api, "read_namespaced_pod_log", fail)
    pod = read(api)["job"].pod
    assert pod is not None

    assert read_last_lines(api, pod) == ""  # type: ignore[arg-type]


def test_job_is_removed_with_its_pods_and_once_more_without_harm() -> None:
    api = FakeKubernetes()
    api.put("running", "job")
    found = read(api)["job"]
    remove_job(api, api, "runstart", found)  # type: ignore[arg-type]
    remove_job(api, api, "runstart", found)  # type: ignore[arg-type]

    assert [(kind, options) for kind, _, options in api.removed] == [
        ("job", {"propagation_policy": "Background"}),
        ("pod", {}),
    ]


def test_pod_of_a_lost_node_is_removed_without_its_word() -> None:
    api = FakeKubernetes()
    api.put("node silent", "job")
    remove_job(api, api, "runstart", read(api)["job"], grace_seconds=0)  # type: ignore[arg-type]

    assert ("pod", "job-9t4dm", {"grace_period_seconds": 0}) in api.removed


def test_api_that_refuses_is_heard() -> None:
    api = FakeKubernetes()
    api.refuses = True
    with pytest.raises(ApiException):
        read(api)
