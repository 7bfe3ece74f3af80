"""Runs tasks as containers of an engine, Docker or Podman, through Docker's SDK.

The engine keeps what it runs: a task goes on when this process or the engine's own dies, and every process finds it
by its labels. Memory, processors and processes are held by the engine; time and disk by a thread of this process, and
time after its death by `remove_expired`. Each call fails as `EngineUnreachable` while the engine does not answer, and may
then be repeated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from runstart.errors import Alert, Transient
from runstart.launchers._awaiting import await_end
from runstart.launchers._containers import (
    OURS,
    About,
    State,
    container_name,
    creation_of,
    exec_trouble,
    image_of,
    lend_scratch,
    read_labels,
    read_state,
)
from runstart.launchers._engine import Engine, EngineFailed, EngineRefused
from runstart.launchers._engine_watch import EngineWatch, Watched
from runstart.launchers._expired import remove_expired
from runstart.launchers._image_names import ImagePolicy
from runstart.launchers.failures import StartFailed
from runstart.launchers.launcher import Ended, Launcher, LaunchSpec, ListedNetwork, ListedTask, Mount, Reason, Task

_NETWORK = {"runstart": "network"}
_RUNNING = {"running", "paused", "restarting"}
_KEPT_OUTPUT = 64 * 1024
_PAUSES_S = (0.02, 0.25)
_STOPPING_S = 30.0


class DockerLauncher(Launcher):
    """Starts tasks as containers.

    Parameters
    ----------
    environ : mapping of str to str, optional
        Where the engine is: `DOCKER_HOST` and the like; by default this process's environment.
    images : sequence of str, optional
        Which images may be run (`runstart.launchers._image_names.ImagePolicy`); by default any.

    Raises
    ------
    Alert
        The engine's address does not have its form; whether it answers is not seen yet.
    """

    name = "containers"
    runs_images = True
    has_networks = True
    isolation = "container"

    def __init__(self, environ: Mapping[str, str] | None = None, images: Sequence[str] = ()) -> None:
        environ = os.environ if environ is None else environ
        self._engine = Engine(environ)
        self._policy = ImagePolicy(images)
        # Clients of the SDK are not made for two threads.
        self._watch = EngineWatch(Engine(environ).kill)
        self._stopped: set[str] = set()
        self._ended: dict[str, Ended] = {}
        self._doubtful: list[str] = []

    def start(self, spec: LaunchSpec) -> Task:
        """Start a task and return at once; its image is pulled if it is not here.

        Raises
        ------
        ImageForbidden, ImageNotFound, StartFailed, Alert
            It cannot be run as specified.
        PullFailed, EngineUnreachable
            It may be tried again.
        """
        image = image_of(spec)
        reference = self._policy.check(image)
        self._remove_doubtful()
        lend_scratch(spec, self._about_engine)
        name = container_name(spec)
        try:
            identifier = self._create_and_start(spec, image, reference, name)
        except BaseException as problem:
            # Whether it was made is not known: nothing may be left of it.
            self._doubtful.append(name)
            with suppress(Alert, Transient):
                self._remove_doubtful()
            if isinstance(problem, (EngineRefused, EngineFailed)):
                raise StartFailed(spec.name, problem.said) from problem
            raise
        limits = spec.limits
        ends_at = None if limits.seconds is None else time.monotonic() + limits.seconds
        folders = [str(mount.source) for mount in spec.mounts if mount.writable]
        self._watch.add(Watched(identifier, ends_at, limits.disk_bytes, folders))
        return Task(identifier, spec.name)

    def wait(self, task: Task, timeout_s: float | None = None) -> Ended | None:
        """Return how the task ended, or None if it has not within `timeout_s` seconds.

        Raises
        ------
        EngineUnreachable
            The engine does not answer, neither at once nor within the time-out, or a minute without one.
        """
        return await_end(lambda: self._look(task), timeout_s, _PAUSES_S)

    def logs(self, task: Task) -> str:
        """Return the end of what the task has printed so far, at most 64 kB; nothing of one that is gone."""
        from docker.errors import NotFound

        try:
            with self._engine.asked() as client:
                # All that is kept: Podman confuses what was printed in pieces when it is asked for the last lines only.
                printed: bytes = client.logs(task.identifier)
        except NotFound:
            return ""
        return printed.decode("utf-8", "replace").encode()[-_KEPT_OUTPUT:].decode("utf-8", "ignore")

    def stop(self, task: Task, grace_s: float = 0.0) -> None:
        """End the task with all its processes; return when none is left.

        Parameters
        ----------
        task : Task
            One that was started here, or listed.
        grace_s : float, optional
            Seconds between SIGTERM and SIGKILL; without any it is killed at once.

        Raises
        ------
        EngineFailed
            It cannot be ended.
        """
        if self._look(task) is not None:
            return
        self._stopped.add(task.identifier)
        if grace_s > 0.0:
            self._engine.signal(task.identifier, "SIGTERM")
            if self.wait(task, grace_s) is not None:
                return
        self._engine.kill(task.identifier)
        if self.wait(task, _STOPPING_S) is None:
            raise EngineFailed(f"{task.name} has not ended {_STOPPING_S:g} s after it was killed")

    def remove(self, task: Task) -> None:
        """Stop the task if it runs, and forget it with its output; nothing if it is gone."""
        try:
            self._engine.remove(task.identifier)
        except Transient:
            self._doubtful.append(task.identifier)
            raise
        self._watch.forget(task.identifier)
        self._ended.pop(task.identifier, None)
        self._stopped.discard(task.identifier)

    def list(self, labels: Mapping[str, str]) -> Sequence[ListedTask]:
        """Return the tasks of this engine that carry these labels, whoever has started them, ended ones too."""
        return [listed for listed, _ in self._find(labels)]

    def make_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a network on which tasks reach each other by their aliases, and nothing else but this machine's gateway.

        Raises
        ------
        Alert
            One has this name, or the engine cannot make any more.
        """
        try:
            with self._engine.asked() as client:
                client.create_network(
                    name, driver="bridge", internal=True, check_duplicate=True, labels={**labels, **_NETWORK}
                )
        except (EngineRefused, EngineFailed) as problem:
            raise Alert(
                f"The network {name} could not be made: {problem.said}.",
                "Remove networks that nothing uses any more.",
            ) from problem

    def remove_network(self, name: str) -> None:
        """Remove a network; nothing if it is gone.

        Raises
        ------
        Alert, Transient
            A task is still on it.
        """
        from docker.errors import NotFound

        self._remove_doubtful()
        with suppress(NotFound), self._engine.asked() as client:
            client.remove_network(name)

    def list_networks(self, labels: Mapping[str, str]) -> Sequence[ListedNetwork]:
        """Return the networks that carry these labels, whoever has made them."""
        with self._engine.asked() as client:
            found = client.networks(filters={"label": _filters(_NETWORK)})
        of_all = {one["Name"]: dict(one.get("Labels") or {}) for one in found}
        return [
            ListedNetwork(name, {key: value for key, value in theirs.items() if key not in _NETWORK})
            for name, theirs in of_all.items()
            if labels.items() <= theirs.items()
        ]

    def fetch_image(self, image: str) -> None:
        """See that an image is here, and pull it if it is not.

        Raises
        ------
        ImageForbidden, ImageNotFound
            It may not be run, or does not exist.
        PullFailed, EngineUnreachable
            It may be tried again.
        """
        from docker.errors import NotFound

        reference = self._policy.check(image)
        try:
            with self._engine.asked() as client:
                client.inspect_image(reference)
        except NotFound:
            self._engine.pull(image, reference)

    def seen_at(self, mount: Mount, *, in_image: bool = False) -> str:
        """Return the path at which a task sees a mount: always that in its image."""
        if not in_image:
            raise AssertionError("a container has an image")
        return mount.target

    def remove_expired(self) -> Sequence[str]:
        """Remove tasks that nobody will end any more: over their time limit, or with the scratch of a dead process.

        Returns
        -------
        list of str
            What was removed and why, a text for each task.
        """
        return remove_expired(self._find({}), self.remove)

    @cached_property
    def _about_engine(self) -> Mapping[str, Any]:
        with self._engine.asked() as client:
            about: Mapping[str, Any] = client.info()
        return about

    def _create_and_start(self, spec: LaunchSpec, image: str, reference: str, name: str) -> str:
        """Return the identifier of a task's container; pulls its image if it is not here."""
        from docker.errors import ImageNotFound, NotFound

        try:
            try:
                return self._attempt(spec, reference, name)
            except ImageNotFound:
                self._engine.pull(image, reference)
                return self._attempt(spec, reference, name)
        except NotFound as problem:
            raise StartFailed(spec.name, str(problem.explanation)) from problem

    def _attempt(self, spec: LaunchSpec, reference: str, name: str) -> str:
        about = self._about_engine
        with self._engine.asked() as client:
            identifier: str = client.create_container(name=name, **creation_of(client, spec, reference, about))[
                "Id"
            ]
            client.start(identifier)
        return identifier

    def _remove_doubtful(self) -> None:
        while self._doubtful:
            self._engine.remove(self._doubtful[-1])
            self._doubtful.pop()

    def _look(self, task: Task) -> Ended | None:
        """Return how a task has ended, or None if it runs."""
        from docker.errors import NotFound

        if (known := self._ended.get(task.identifier)) is not None:
            return known
        try:
            with self._engine.asked() as client:
                state = read_state(client.inspect_container(task.identifier))
        except NotFound:
            self._watch.close(task.identifier)
            return Ended("lost", None, 0.0, trouble="it was removed from outside")
        if not state.is_ended:
            return None
        self._watch.close(task.identifier)
        ended = self._ended[task.identifier] = self._judge(task, state)
        return ended

    def _judge(self, task: Task, state: State) -> Ended:
        watched = self._watch.of(task.identifier)
        reason: Reason = "exit"
        if watched.over is not None:
            reason = watched.over
        elif task.identifier in self._stopped:
            reason = "stopped"
        elif state.exit_code != 0 and (state.memory_ran_out or watched.memory_ran_out):
            reason = "memory"
        elif trouble := exec_trouble(state, self.logs(task)):
            return Ended("exit", None, 0.0, trouble=trouble)
        return Ended(reason, state.exit_code, state.seconds, watched.processor_s, watched.peak_memory_bytes)

    def _find(self, labels: Mapping[str, str]) -> Sequence[tuple[ListedTask, About]]:
        """Return the tasks that carry these labels, and what else is known of them."""
        with self._engine.asked() as client:
            containers = client.containers(all=True, filters={"label": _filters({**labels, **OURS})})
        found = []
        for one in containers:
            about, theirs = read_labels(one["Labels"], one["Id"][:12])
            task = Task(one["Id"], about.name)
            if labels.items() <= theirs.items():
                found.append((ListedTask(task, theirs, float(one["Created"]), one["State"] in _RUNNING), about))
        return found


def _filters(labels: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in labels.items()]
