"""How the watch of pods goes on when the cluster forgets, refuses, or answers late; on a cluster that is scripted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from waiting import wait_until

from runstart.launchers._cluster_client import ClusterFailed, NotThere, TooOld
from runstart.launchers._pod_watch import PodWatch, Watched
from runstart.launchers.failures import EngineUnreachable, RightMissing, Unschedulable

PATIENCE_S = 20.0
RUNNING = {"running": {"startedAt": "2026-11-26T05:18:13Z"}}
ENDED = {"terminated": {"exitCode": 3, "reason": "Error"}}


def pod_of(state: dict[str, Any] | None, **status: Any) -> dict[str, Any]:
    metadata = {
        "name": "task-1-x",
        "labels": {"batch.kubernetes.io/job-name": "task-1"},
        "creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "resourceVersion": "5",
    }
    statuses = [] if state is None else [{"name": "task", "image": "probe:1", "state": state}]
    whole = {"phase": "Pending" if state is None else "Running", "containerStatuses": statuses, **status}
    return {"metadata": metadata, "spec": {"containers": [{"name": "task"}]}, "status": whole}


class Script:
    """What a cluster client says: one item a call, the last for ever; an exception is raised."""

    def __init__(self, **items: list[Any]) -> None:
        self.items = {
            "pods": [[]],
            "changes": [[]],
            "events": [[]],
            "job": [{}],
            "printed": [b""],
            "deletion": [True],
        }
        self.items |= items
        self.asked: list[Any] = []

    def _next(self, name: str) -> Any:
        items = self.items[name]
        item = items.pop(0) if len(items) > 1 else items[0]
        if isinstance(item, Exception):
            raise item
        return item

    def list(self, resource: str, **selection: str) -> tuple[Any, str]:
        return self._next(resource), "1"

    def read(self, resource: str, name: str) -> Any:
        return self._next("job")

    def patch(self, resource: str, name: str, body: Any) -> None:
        self.asked.append(body)

    def delete(self, resource: str, name: str, **options: Any) -> Any:
        self.asked.append(f"delete {resource} {name}")
        return self._next("deletion")

    @contextmanager
    def watch(self, resource: str, *, labels: str, version: str, seconds: float) -> Iterator[Stream]:
        self.asked.append(f"watch from {version}")
        yield Stream(self._next("changes"))

    @contextmanager
    def follow_log(self, pod: str, container: str, most_lines: int) -> Iterator[Stream]:
        yield Stream([self._next("printed")])


class Stream:
    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def events(self) -> Iterator[Any]:
        for pod in self._items:
            yield {"type": "MODIFIED", "object": pod}
        time.sleep(0.02)  # an idle watch, in short

    def chunks(self) -> Iterator[Any]:
        yield from self._items

    def close(self) -> None:
        """Nothing waits."""


@contextmanager
def watching(script: Script, *, pending_s: float = 100.0, **fields: Any) -> Iterator[tuple[PodWatch, Watched]]:
    watch = PodWatch(script, "here", pending_s)  # type: ignore[arg-type]
    watched = Watched("task-1", "centre of mass", "probe:1", **fields)
    watch.add(watched)
    try:
        yield watch, watched
    finally:
        watch.forget("task-1")
        wait_until(lambda: watch._thread is None, "the end of the thread")


def test_watch_that_began_too_long_ago_begins_anew_with_a_list() -> None:
    script = Script(pods=[[pod_of(RUNNING)], [pod_of(ENDED)]], changes=[TooOld("expired"), []])
    with watching(script) as (watch, watched):
        ended = watch.await_end(watched, PATIENCE_S)

    assert ended is not None
    assert (ended.reason, ended.exit_code) == ("exit", 3)


def test_pod_that_went_unseen_is_lost() -> None:
    script = Script(pods=[[pod_of(RUNNING)], []], changes=[TooOld("expired"), []])
    with watching(script) as (watch, watched):
        ended = watch.await_end(watched, PATIENCE_S)

    assert ended is not None
    assert (ended.reason, ended.trouble) == ("lost", "it was deleted from outside")


def test_watch_goes_on_from_the_last_change_that_was_seen() -> None:
    script = Script(pods=[[pod_of(RUNNING)]], changes=[[pod_of(RUNNING)], [pod_of(ENDED)], []])
    with watching(script) as (watch, watched):
        assert watch.await_end(watched, PATIENCE_S) is not None

    assert script.asked[:2] == ["watch from 1", "watch from 5"]


def test_trouble_is_told_at_the_end_of_the_wait_and_forgotten_when_it_is_over() -> None:
    script = Script(pods=[EngineUnreachable("here", "refused")])
    with watching(script) as (watch, watched):
        wait_until(lambda: watch._trouble, "the trouble")
        with pytest.raises(EngineUnreachable):
            watch.await_end(watched, 0.0)
        script.items["pods"] = [[pod_of(ENDED)]]
        assert watch.await_end(watched, PATIENCE_S) is not None


def test_missing_right_is_told_at_once() -> None:
    script = Script(pods=[RightMissing("runs", "list", "pods", "operators")])
    with watching(script) as (watch, watched), pytest.raises(RightMissing, match="runs list pods"):
        watch.await_end(watched, None)


def test_time_limit_is_told_once_the_task_runs_and_counts_from_the_pods_start() -> None:
    pod = pod_of(RUNNING, startTime="2026-11-26T05:18:06Z")
    pod["spec"]["activeDeadlineSeconds"] = 200
    script = Script(pods=[[pod]], changes=[[pod, pod], [pod_of(ENDED)], []])
    with watching(script, seconds=10.0) as (watch, watched):
        watch.await_end(watched, PATIENCE_S)

    assert [each for each in script.asked if isinstance(each, dict)] == [{"spec": {"activeDeadlineSeconds": 18}}]


def test_task_that_will_never_start_is_forgotten_by_the_cluster_though_it_fails_at_first() -> None:
    state = {"waiting": {"reason": "ErrImageNeverPull", "message": "not present"}}
    script = Script(pods=[[pod_of(state)]], deletion=[ClusterFailed("no leader"), True])
    with watching(script) as (watch, watched):
        ended = watch.await_end(watched, PATIENCE_S)
        wait_until(lambda: not watched.must_go, "its removal")

    assert ended is not None
    assert ended.failure is not None
    assert script.asked.count("delete jobs task-1") == 2


@pytest.mark.parametrize(
    ("job", "said", "reason", "failure"),
    [
        (NotThere("gone"), [], "lost", type(None)),
        ({}, ["exceeded quota: full"], "exit", Unschedulable),
        ({}, [], "exit", Unschedulable),
        ({}, ["violates PodSecurity"], "exit", type(None)),
    ],
)
def test_task_that_gets_no_pod_in_time_is_told_why(job: Any, said: list[str], reason: str, failure: type) -> None:
    made = {"metadata": {"creationTimestamp": "2026-11-26T05:18:06Z"}}
    script = Script(job=[job], events=[[{**made, "message": each} for each in said]])
    with watching(script, pending_s=0.1) as (watch, watched):
        ended = watch.await_end(watched, PATIENCE_S)

    assert ended is not None
    assert (ended.reason, type(ended.failure)) == (reason, failure)
    assert all(each in ended.trouble for each in said)


def test_output_that_breaks_off_is_read_again_and_never_grows_shorter() -> None:
    broken = EngineUnreachable("here", "reset")
    script = Script(pods=[[pod_of(RUNNING)]], printed=[broken, b"one\ntwo\n", b"one\n"])
    with watching(script) as (watch, watched):
        wait_until(lambda: len(script.items["printed"]) == 1, "the second reading")
        script.items["changes"] = [[pod_of(ENDED)], []]
        assert watch.await_end(watched, PATIENCE_S) is not None
        assert watched.log is not None
        assert watched.log.read() == "one\ntwo\n"


def test_thread_that_fails_is_no_endless_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.excepthook", lambda arguments: None)
    watch = PodWatch(Script(pods=[[{"metadata": {}}]]), "here", 100.0)  # type: ignore[arg-type]
    watched = Watched("task-1", "task", "probe:1")
    watch.add(watched)
    with pytest.raises(AssertionError, match="has failed"):
        watch.await_end(watched, None)
