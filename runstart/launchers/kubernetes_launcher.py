"""Runs tasks as pods of a Kubernetes cluster, each of a job that is tried once, through the official client.

The cluster keeps what it runs: a task goes on when this process dies, and every process finds it by its labels. All
limits are held by the node that runs it, but for what is written to volumes: this process sees them too, and ends who
writes too much. A pod is ended by SIGTERM first, with a second of grace at least, and a limit of time is held to a few
seconds. Each call fails as `EngineUnreachable` while the cluster does not answer, and may then be repeated.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

from runstart.errors import Alert, Transient
from runstart.launchers import _network_manifest as networks
from runstart.launchers._awaiting import await_end
from runstart.launchers._cluster_client import ClusterClient, ClusterFailed, ClusterRefused, NotThere, Taken
from runstart.launchers._containers import container_name, image_of
from runstart.launchers._expired import remove_expired
from runstart.launchers._image_names import ImagePolicy
from runstart.launchers._job_manifest import (
    CONTAINER,
    check_name,
    check_processes,
    job_of,
    label_selection,
    selector_of,
)
from runstart.launchers._pod_listing import find_tasks, had_pod
from runstart.launchers._pod_log import MOST_LINES, shown
from runstart.launchers._pod_settings import read_pod_settings
from runstart.launchers._pod_watch import PodWatch, Watched
from runstart.launchers._pods import JOB, Pod, has_started, is_lost, is_running, judge_pod
from runstart.launchers._volume_watch import VolumeWatch
from runstart.launchers.failures import PullFailed, StartFailed, failure_of
from runstart.launchers.launcher import Ended, Launcher, LaunchSpec, Limits, ListedNetwork, ListedTask, Mount, Task

_NO_PROGRAM = "/runstart/no-such-program"
_PULL_S = 600.0
# With its time limit, after which it is removed though whoever started it is gone.
_SMALL = Limits(seconds=_PULL_S, memory_bytes=64 << 20, cpus=0.1)
_LEAST_GRACE_S = 1
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
_STOPPING_S = 30.0
_LOST = Ended("lost", None, 0.0, trouble="it was removed from outside")


class KubernetesLauncher(Launcher):
    """Starts tasks as pods.

    Parameters
    ----------
    environ : mapping of str to str, optional
        Which cluster (`KUBECONFIG`; without it that of this pod) and how tasks run there
        (`runstart.launchers._pod_settings`); by default this process's environment.
    images : sequence of str, optional
        Which images may be run (`runstart.launchers._image_names.ImagePolicy`); by default any.

    Raises
    ------
    Alert
        A setting does not have its form; whether the cluster answers is not seen yet.
    """

    name = "pods"
    runs_images = True
    has_networks = True
    shares_machine = False
    isolation = "pod"

    def __init__(self, environ: Mapping[str, str] | None = None, images: Sequence[str] = ()) -> None:
        environ = os.environ if environ is None else environ
        self._settings = read_pod_settings(environ)
        self._policy = ImagePolicy(images)
        self.place_s = self._settings.pending_s
        self._client = ClusterClient(environ, self._settings.namespace)
        self._identity = uuid4().hex
        self._watch = PodWatch(self._client, self._identity, self._settings.pending_s)
        self._volumes = VolumeWatch(self._end_pod)
        self._doubtful: list[str] = []

    def start(self, spec: LaunchSpec) -> Task:
        """Start a task and return at once; an image that cannot be pulled, or no place, shows in `Ended.failure`.

        Raises
        ------
        ImageForbidden, ImageNotFound, StartFailed, RightMissing, Alert
            It cannot be run as specified.
        EngineUnreachable, ClusterFailed
            It may be tried again.
        """
        image = image_of(spec)
        reference = self._policy.check(image)
        self._remove_doubtful()
        name = container_name(spec)
        job = job_of(spec, reference, name, self._identity, self._settings)
        self._check_network(spec)
        self._volumes.add(name, spec)
        # Before it is there: no change of its pod is missed.
        self._watch.add(Watched(name, spec.name, image, spec.limits.seconds))
        try:
            self._client.create("jobs", job)
        except BaseException as problem:
            # Whether it was made is not known: nothing may be left of it.
            self._forget(name)
            self._doubtful.append(name)
            with suppress(Alert, Transient):
                self._remove_doubtful()
            if isinstance(problem, (ClusterRefused, NotThere)):
                raise StartFailed(spec.name, str(problem)) from problem
            raise
        return Task(name, spec.name)

    def wait(self, task: Task, timeout_s: float | None = None) -> Ended | None:
        """Return how the task ended, or None if it has not within `timeout_s` seconds.

        Raises
        ------
        RightMissing
            The cluster refuses to show its pods.
        EngineUnreachable, ClusterFailed
            The cluster does not answer at the end of that time, or for a minute.
        """
        watched = self._watch.of(task.identifier)
        if watched is not None:
            ended = self._watch.await_end(watched, timeout_s)
            if ended is not None and self._volumes.is_over(task.identifier):
                return replace(ended, reason="disk")
            return ended
        pauses_s = (_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S)
        return await_end(lambda: self._look_at_other(task), timeout_s, pauses_s)

    def logs(self, task: Task) -> str:
        """Return the end of what the task has printed so far, at most 64 kB.

        What a task of another process has printed goes with its pod.
        """
        watched = self._watch.of(task.identifier)
        if watched is not None and watched.log is not None:
            return watched.log.read()
        for pod in self._pods_of(task):
            if has_started(pod):
                with suppress(NotThere):
                    return shown(self._client.read_log(pod["metadata"]["name"], CONTAINER, MOST_LINES))
        return ""

    def stop(self, task: Task, grace_s: float = 0.0) -> None:
        """End the task with all its processes; return when none is left.

        Parameters
        ----------
        task : Task
            One that was started here, or listed.
        grace_s : float, optional
            Seconds between SIGTERM and SIGKILL, made whole; one at least.

        Raises
        ------
        ClusterFailed
            Its end is not seen: its node may not answer.
        """
        if self.wait(task, 0.0) is not None:
            return
        watched = self._watch.of(task.identifier)
        if watched is not None:
            watched.is_stopped = True
        grace = max(_LEAST_GRACE_S, math.ceil(grace_s))
        pods = self._pods_of(task)
        for pod in pods:
            self._client.delete("pods", pod["metadata"]["name"], gracePeriodSeconds=grace)
        if not pods:
            # It must not get one any more.
            self._client.delete("jobs", task.identifier, propagationPolicy="Background")
            if watched is not None:
                self._watch.end(watched, Ended("stopped", None, 0.0))
        if self.wait(task, grace + _STOPPING_S) is None:
            raise ClusterFailed(f"{task.name} has not ended {_STOPPING_S:g} s after it was killed")

    def remove(self, task: Task) -> None:
        """Stop the task if it runs, and forget it with its output; nothing if it is gone.

        What a node that does not answer still runs is ended by it when it answers again.
        """
        try:
            self._remove(task.identifier)
        except Transient:
            self._doubtful.append(task.identifier)
            raise
        self._forget(task.identifier)

    def list(self, labels: Mapping[str, str]) -> Sequence[ListedTask]:
        """Return the tasks of this namespace that carry these labels, whoever has started them, ended ones too."""
        return [listed for listed, _ in find_tasks(self._client, labels)]

    def make_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a network on which tasks reach each other by their aliases.

        They reach nothing else where the cluster's network plugin enforces policies.

        Raises
        ------
        Alert
            One has this name, or it cannot be one of a cluster's.
        """
        check_name("network", name)
        try:
            service = self._client.create("services", networks.service_of(name, labels))
        except (Taken, ClusterRefused) as problem:
            raise Alert(
                f"The network {name} could not be made: {problem}.",
                "Remove networks that nothing uses any more, or give it another name.",
            ) from problem
        try:
            self._client.create("networkpolicies", networks.policy_of(name, labels, service))
        except BaseException:
            with suppress(Alert, Transient):
                self.remove_network(name)
            raise

    def remove_network(self, name: str) -> None:
        """Remove a network; nothing if it is gone."""
        self._client.delete("networkpolicies", name)
        self._client.delete("services", name)

    def list_networks(self, labels: Mapping[str, str]) -> Sequence[ListedNetwork]:
        """Return the networks that carry these labels, whoever has made them."""
        selector = selector_of({**label_selection(labels), **networks.OURS})
        services, _ = self._client.list("services", labels=selector)
        found = [ListedNetwork(each["metadata"]["name"], networks.labels_of_network(each)) for each in services]
        return [network for network in found if labels.items() <= network.labels.items()]

    def fetch_image(self, image: str) -> None:
        """See that an image can be run: a pod is started in it, with a program that cannot be there.

        Raises
        ------
        ImageForbidden, ImageNotFound
            It may not be run, or does not exist.
        PullFailed, Unschedulable, EngineUnreachable, ClusterFailed
            It may be tried again.
        """
        task = self.start(LaunchSpec((_NO_PROGRAM,), "image check", image=image, limits=_SMALL))
        try:
            ended = self.wait(task, _PULL_S)
        finally:
            self.remove(task)
        if ended is None:
            raise PullFailed(image, f"it was still being pulled after {_PULL_S:g} s")
        failure = failure_of(task, ended, "")
        if failure is not None and not isinstance(failure, StartFailed):
            raise failure

    def check_limits(self, name: str, limits: Limits) -> None:
        """Make sure that the nodes would hold a task to its limit of processes; all others are always held.

        Raises
        ------
        Alert
            They would not, or it is not known whether they would.
        """
        check_processes(name, limits, self._settings)

    def waits_for(self, task: Task) -> str:
        """Return why a task has not begun yet: what the scheduler says, if it has no place."""
        return self._watch.why_waiting(task.identifier)

    def address_here(self) -> str:
        """Return the address that this machine, or pod, has on its way to the cluster."""
        return self._client.address_here()

    def seen_at(self, mount: Mount, *, in_image: bool = False) -> str:
        """Return the path at which a task sees a mount: always that in its image."""
        if not in_image:
            raise AssertionError("a pod has an image")
        return mount.target

    def remove_expired(self) -> Sequence[str]:
        """Remove tasks that nobody will end any more: over their time limit, or with the scratch of a dead process.

        Returns
        -------
        list of str
            What was removed and why, a text for each task.
        """
        return remove_expired(find_tasks(self._client, {}), self.remove)

    def _check_network(self, spec: LaunchSpec) -> None:
        if spec.network is None:
            return
        try:
            self._client.read("services", spec.network)
        except NotThere as problem:
            raise StartFailed(spec.name, f"the network {spec.network} does not exist") from problem

    def _remove_doubtful(self) -> None:
        while self._doubtful:
            self._remove(self._doubtful[-1])
            self._forget(self._doubtful.pop())

    def _forget(self, identifier: str) -> None:
        self._volumes.forget(identifier)
        self._watch.forget(identifier)

    def _end_pod(self, identifier: str) -> None:
        """End a task that has written too much to volumes; `wait` says so."""
        watched = self._watch.of(identifier)
        if watched is not None:
            watched.is_stopped = True
        for pod in self._pods_of(Task(identifier, "")):
            self._client.delete("pods", pod["metadata"]["name"], gracePeriodSeconds=_LEAST_GRACE_S)

    def _remove(self, identifier: str) -> None:
        self._client.delete("jobs", identifier, propagationPolicy="Background")
        gives_up_at = time.monotonic() + _STOPPING_S
        pause_s, asked = _SHORTEST_PAUSE_S, set()
        while pods := self._pods_of(Task(identifier, "")):
            is_late = time.monotonic() > gives_up_at
            for pod in pods:
                name = pod["metadata"]["name"]
                # Without grace nobody waits for its node; nothing of it runs, or its node does not answer.
                grace = 0 if is_late or is_lost(pod) or not is_running(pod) else _LEAST_GRACE_S
                if (name, grace) not in asked:
                    self._client.delete("pods", name, gracePeriodSeconds=grace)
                    asked.add((name, grace))
            if time.monotonic() > gives_up_at + _STOPPING_S:
                raise ClusterFailed(f"{identifier} is still there {2 * _STOPPING_S:g} s after it was removed")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _pods_of(self, task: Task) -> Sequence[Pod]:
        return self._client.list("pods", labels=f"{JOB}={task.identifier}")[0]

    def _look_at_other(self, task: Task) -> Ended | None:
        if pods := self._pods_of(task):
            return judge_pod(pods[0], [], name=task.name, image=pods[0]["spec"]["containers"][0]["image"])
        try:
            job = self._client.read("jobs", task.identifier)
        except NotThere:
            return _LOST
        return _LOST if had_pod(job) else None
