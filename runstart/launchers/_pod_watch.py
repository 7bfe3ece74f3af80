"""Watches the pods of the tasks that a launcher has started: one watch for all, in a thread that lives as long as they do.

It sees each end before the cluster forgets it, keeps what is printed, sets each task's time limit once it runs, and gives
up on pods that have found no place in time. A watch that breaks goes on from where it was, or from a list.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from runstart.errors import Alert, Transient
from runstart.launchers._cluster_client import ClusterClient, NotThere, Stream, TooOld
from runstart.launchers._job_manifest import STARTED_BY, time_limit
from runstart.launchers._pod_log import PodLog
from runstart.launchers._pods import JOB, Pod, age_s, has_started, judge_pod, needs_events, read_time, started_at
from runstart.launchers.failures import Unschedulable
from runstart.launchers.launcher import Ended
from runstart.pod_ends import waits_for

_LONGEST_WATCH_S = 15.0  # a node that does not answer makes no changes
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_PATIENCE_S = 60.0
_LOG_S = 5.0


@dataclass
class Watched:
    """What is known of a task.

    Attributes
    ----------
    identifier, name, image : str
        Its job, and what it was started as.
    seconds : float or None
        Its time limit.
    made_at : float
        By the monotonic clock.
    pod : mapping or None
        As last seen.
    ended : Ended or None
        How it ended.
    is_stopped : bool
        Whether its caller wants its end.
    has_limit : bool
        Whether its pod has been told the time limit.
    must_go : bool
        Whether the cluster still has to forget it, because it will never start.
    log : PodLog or None
        Its output, once it has started.
    """

    identifier: str
    name: str
    image: str
    seconds: float | None = None
    made_at: float = field(default_factory=time.monotonic)
    pod: Pod | None = None
    ended: Ended | None = None
    is_stopped: bool = False
    has_limit: bool = False
    must_go: bool = False
    log: PodLog | None = None


class PodWatch:
    """The tasks that a launcher has started.

    Parameters
    ----------
    client : ClusterClient
        Of their namespace.
    launcher : str
        The label of their pods.
    pending_s : float
        Seconds that a pod may wait for a place and its volumes.
    """

    def __init__(self, client: ClusterClient, launcher: str, pending_s: float) -> None:
        self._client = client
        self._selector = f"{STARTED_BY}={launcher}"
        self._pending_s = pending_s
        self._longest_s = max(1.0, min(_LONGEST_WATCH_S, pending_s / 2))
        self._all: dict[str, Watched] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stream: Stream | None = None
        self._version = ""
        self._trouble: Alert | Transient | None = None

    def add(self, watched: Watched) -> None:
        """Watch a task that is about to be started."""
        with self._changed:
            self._all[watched.identifier] = watched
            self._trouble = None  # of the past
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch of pods", daemon=True)
                self._thread.start()

    def of(self, identifier: str) -> Watched | None:
        """Return what is known of a task; None if it is not watched."""
        with self._changed:
            return self._all.get(identifier)

    def why_waiting(self, identifier: str) -> str:
        """Return what a task waits for, as a sentence's end; empty if it does not wait, or that is not known."""
        watched = self.of(identifier)
        waiting = None if watched is None or watched.pod is None else waits_for(watched.pod)
        return waiting.reason if waiting is not None and waiting.is_for_place else ""

    def end(self, watched: Watched, ended: Ended) -> None:
        """Say how a task ended, unless that is known."""
        with self._changed:
            if watched.ended is None:
                watched.ended = ended
            if watched.log is not None:
                watched.log.end()
            self._changed.notify_all()

    def forget(self, identifier: str) -> None:
        """Watch a task no longer, and know nothing of it."""
        with self._changed:
            watched = self._all.pop(identifier, None)
            stream = None if self._all else self._stream
            self._changed.notify_all()
        if watched is not None and watched.log is not None:
            watched.log.close()
        if stream is not None:
            stream.close()

    def await_end(self, watched: Watched, timeout_s: float | None) -> Ended | None:
        """Return how a task ended, with all that it printed at hand, or None if it has not within `timeout_s` seconds.

        Raises
        ------
        Alert
            The cluster refuses to show its pods.
        Transient
            The cluster does not answer at the end of that time, or for a minute.
        """
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        heard_at = time.monotonic()
        with self._changed:
            while watched.ended is None:
                now = time.monotonic()
                heard_at = now if self._trouble is None else heard_at
                left_s = _PATIENCE_S if ends_at is None else ends_at - now
                if isinstance(self._trouble, Alert) or (
                    self._trouble is not None and self._is_late(left_s, now - heard_at)
                ):
                    raise self._trouble
                if left_s <= 0.0:
                    return None
                if self._thread is None or not self._thread.is_alive():
                    raise AssertionError("the thread that watches pods has failed")
                self._changed.wait(min(left_s, 1.0))
        if watched.log is not None:
            watched.log.wait_complete(_LOG_S)
        return watched.ended

    @staticmethod
    def _is_late(left_s: float, unheard_s: float) -> bool:
        return left_s <= 0.0 or unheard_s >= _PATIENCE_S

    def _run(self) -> None:
        pause_s = _SHORTEST_PAUSE_S
        while self._has_any():
            try:
                self._list()
                self._follow()
                pause_s = _SHORTEST_PAUSE_S
            except TooOld:
                self._version = ""
            except (Alert, Transient) as problem:
                self._version = ""
                with self._changed:
                    self._trouble = problem
                    self._changed.notify_all()
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _has_any(self) -> bool:
        """Return whether there is something to watch; without it the thread has ended."""
        with self._changed:
            if not self._all:
                self._thread = None
                self._version, self._trouble = "", None
            return bool(self._all)

    def _list(self) -> None:
        """See all pods as they are, unless the watch goes on from where it was."""
        if self._version:
            return
        pods, self._version = self._client.list("pods", labels=self._selector)
        names = {pod["metadata"]["name"] for pod in pods}
        with self._changed:
            self._trouble = None
            known = [each.pod for each in self._all.values() if each.ended is None and each.pod is not None]
        for pod in known:
            if pod["metadata"]["name"] not in names:
                self._take(pod, is_gone=True)
        for pod in pods:
            self._take(pod)

    def _follow(self) -> None:
        seconds = self._look_at_times()
        with self._client.watch("pods", labels=self._selector, version=self._version, seconds=seconds) as stream:
            with self._changed:
                self._trouble = None
                self._stream = stream if self._all else None
                if self._stream is None:
                    return
            try:
                for event in stream.events():
                    self._version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._take(event["object"], is_gone=event["type"] == "DELETED")
            finally:
                with self._changed:
                    self._stream = None

    def _look_at_times(self) -> float:
        """Do what is due without any change, and return the seconds until more may be."""
        with self._changed:
            everything = list(self._all.values())
        for watched in everything:
            if watched.must_go:
                self._drop(watched)
            if watched.ended is None and watched.pod is not None:
                self._judge(watched, watched.pod)
            elif watched.ended is None and time.monotonic() - watched.made_at > self._pending_s:
                self._look_for_pod(watched)
        ages = [
            time.monotonic() - watched.made_at if watched.pod is None else age_s(watched.pod)
            for watched in everything
            if watched.ended is None and (watched.pod is None or not has_started(watched.pod))
        ]
        next_s = min((self._pending_s - age for age in ages if age < self._pending_s), default=self._longest_s)
        return min(self._longest_s, max(1.0, next_s + 1.0))

    def _take(self, pod: Pod, *, is_gone: bool = False) -> None:
        watched = self.of(pod["metadata"]["labels"].get(JOB, ""))
        if watched is None:
            return
        watched.pod = pod
        if watched.ended is None:
            if has_started(pod):
                self._begin(watched, pod)
            self._judge(watched, pod, is_gone=is_gone)

    def _begin(self, watched: Watched, pod: Pod) -> None:
        """Keep what a task prints, and tell its pod the limit of time, which counts from the pod's own start."""
        if watched.log is None:
            watched.log = PodLog(self._client, pod["metadata"]["name"])
        began = started_at(pod)
        if watched.seconds is None or watched.has_limit or began is None or not pod["status"].get("startTime"):
            return
        made_s = (began - read_time(pod["status"]["startTime"])).total_seconds()
        limit = time_limit(made_s, watched.seconds)
        if limit < pod["spec"].get("activeDeadlineSeconds", limit):
            with suppress(NotThere):
                self._client.patch("pods", pod["metadata"]["name"], {"spec": {"activeDeadlineSeconds": limit}})
        watched.has_limit = True

    def _judge(self, watched: Watched, pod: Pod, *, is_gone: bool = False) -> None:
        events = self._events_of(pod["metadata"]["name"]) if needs_events(pod, self._pending_s) else []
        ended = judge_pod(
            pod,
            events,
            name=watched.name,
            image=watched.image,
            stopped_here=watched.is_stopped,
            is_gone=is_gone,
            pending_s=self._pending_s,
        )
        if ended is None:
            return
        self.end(watched, ended)
        if not is_gone and not has_started(pod):
            # It would be tried again, and might start after all.
            watched.must_go = True
            self._drop(watched)

    def _look_for_pod(self, watched: Watched) -> None:
        """Judge a task that has no pod after all the time that a pod may wait."""
        try:
            self._client.read("jobs", watched.identifier)
        except NotThere:
            self.end(watched, Ended("lost", None, 0.0, trouble="it was deleted from outside"))
            return
        said = [str(event.get("message", "")) for event in self._events_of(watched.identifier)][-1:]
        trouble = said[0] if said else "the cluster has not made its pod"
        # Room within a quota comes; what is forbidden stays so.
        failure = Unschedulable(watched.name, trouble) if "quota" in trouble or not said else None
        self.end(watched, Ended("exit", None, 0.0, trouble=trouble, failure=failure))
        watched.must_go = True
        self._drop(watched)

    def _drop(self, watched: Watched) -> None:
        self._client.delete("jobs", watched.identifier, propagationPolicy="Background")
        watched.must_go = False

    def _events_of(self, name: str) -> Sequence[dict[str, Any]]:
        """Return what happened to a pod or job, oldest first."""
        events, _ = self._client.list("events", fields=f"involvedObject.name={name}")
        return sorted(events, key=_time_of)


def _time_of(event: dict[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])
