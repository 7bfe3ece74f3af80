"""Runs tasks as processes of this machine: the embedded default, which needs no engine.

Each task has a warden (`runstart.launchers._warden`), a small process that holds it to its limits and removes all
that it started: when it ends, when it is stopped, and when this process dies. Confined tasks run at the strongest
level of isolation that this system allows. Tasks of other processes are found by their wardens' command lines; ended ones
are not listed: nothing of them is left. There are neither images nor networks here.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from uuid import uuid4

from runstart.errors import Alert
from runstart.launchers._tail import make_tail_file, read_tail
from runstart.launchers._warden import STOP
from runstart.launchers._wardens import (
    About,
    end_warden,
    find_wardens,
    kill_with_task,
    wait_until_shown,
    warden_command,
)
from runstart.launchers.isolation import Isolation, bubblewrap, library_environment, readable_paths
from runstart.launchers.launcher import (
    Ended,
    Launcher,
    LaunchSpec,
    ListedNetwork,
    ListedTask,
    Mount,
    Task,
)

_STOPPING_S = 30.0
_ENGINE = "Run it where a container engine is configured."


@dataclass
class _Running:
    """What belongs to a started task."""

    warden: subprocess.Popen[bytes]
    output: int
    ended: Ended | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, words: bytes) -> None:
        """Tell the warden something; one that has ended needs no word, and one that was killed shows as lost."""
        if self.warden.stdin is None:
            raise AssertionError("a warden without standard input")
        with self.lock, contextlib.suppress(BrokenPipeError):
            self.warden.stdin.write(words)
            self.warden.stdin.flush()

    def close(self) -> None:
        for pipe in (self.warden.stdin, self.warden.stdout):
            if pipe is not None:
                # What could not be said to a warden that has ended is still in the pipe.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        os.close(self.output)


class SubprocessLauncher(Launcher):
    """Starts tasks as processes.

    Parameters
    ----------
    isolation : Isolation, optional
        Level at which confined tasks run; by default the strongest that works here, found at the first need.
    """

    name = "processes"
    runs_images = False
    has_networks = False

    def __init__(self, isolation: Isolation | None = None) -> None:
        self._isolation = isolation
        self._running: dict[str, _Running] = {}

    @property
    def isolation(self) -> str:
        """Name of the level at which confined tasks run."""
        return self._level().name

    def start(self, spec: LaunchSpec) -> Task:
        """Start a task and return at once; a command that cannot be run shows in `Ended.trouble`.

        Raises
        ------
        Alert
            The task needs an image or a network, or processors cannot be limited here.
        """
        _refuse_what_only_engines_have(spec)
        about = About(uuid4().hex, spec.name, spec.labels, time.time(), _choose_processors(spec))
        order = self._order(spec, about)
        output = make_tail_file()
        try:
            warden = subprocess.Popen(
                warden_command(about),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=library_environment(),
                pass_fds=(output,),
                start_new_session=True,
            )
        except OSError:
            os.close(output)
            raise
        running = self._running[about.identifier] = _Running(warden, output)
        running.say(json.dumps(order | {"output": output}).encode() + b"\n")
        wait_until_shown(warden)
        return Task(about.identifier, spec.name)

    def wait(self, task: Task, timeout_s: float | None = None) -> Ended | None:
        """Return how the task ended, or None if it has not within `timeout_s` seconds."""
        running = self._of(task)
        try:
            running.warden.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        with running.lock:
            if running.ended is None:
                running.ended = _read_ended(running.warden)
        return running.ended

    def logs(self, task: Task) -> str:
        """Return the end of what the task has printed so far, at most 64 kB; it is renewed ten times a second."""
        return read_tail(self._of(task).output).decode("utf-8", "replace")

    def stop(self, task: Task, grace_s: float = 0.0) -> None:
        """End the task with all its processes; return when none is left.

        A task of another process gets the wish to end even without grace, and is killed at once after it.

        Parameters
        ----------
        task : Task
            One that was started here, or listed.
        grace_s : float, optional
            Seconds between SIGTERM and SIGKILL; without any it is killed at once.
        """
        running = self._running.get(task.identifier)
        if running is None:
            end_warden(task.identifier, grace_s, _STOPPING_S)
            return
        running.say(b"%s%.3f\n" % (STOP, grace_s))
        try:
            running.warden.wait(grace_s + _STOPPING_S)
        except subprocess.TimeoutExpired:
            kill_with_task(running.warden.pid, _STOPPING_S)
            running.warden.wait()

    def remove(self, task: Task) -> None:
        """Stop the task if it runs, and forget it with its output; a task of another process shows there as lost."""
        if task.identifier not in self._running:
            end_warden(task.identifier, None, _STOPPING_S)
            return
        self.stop(task)
        self._running.pop(task.identifier).close()

    def list(self, labels: Mapping[str, str]) -> Sequence[ListedTask]:
        """Return the running tasks of this user on this machine that carry these labels, whoever has started them."""
        return [
            ListedTask(Task(about.identifier, about.name), about.labels, about.started_at, is_running=True)
            for about in find_wardens().values()
            if labels.items() <= about.labels.items()
        ]

    def make_network(self, name: str, labels: Mapping[str, str]) -> None:  # noqa: ARG002 - there are none
        """Refuse to.

        Raises
        ------
        Alert
            Always.
        """
        raise Alert(f"The network {name} cannot be made: plain processes have no networks of their own.", _ENGINE)

    def remove_network(self, name: str) -> None:
        """Do nothing: there are none."""

    def list_networks(self, labels: Mapping[str, str]) -> Sequence[ListedNetwork]:  # noqa: ARG002 - there are none
        """Return none: there are none."""
        return []

    def fetch_image(self, image: str) -> None:
        """Refuse to.

        Raises
        ------
        Alert
            Always.
        """
        raise Alert(f"The image {image} cannot be fetched: plain processes run no images.", _ENGINE)

    def seen_at(self, mount: Mount, *, in_image: bool = False) -> str:
        """Return the path at which a task sees a mount: where it is."""
        if in_image:
            raise AssertionError("plain processes have no image")
        return str(mount.source)

    def _order(self, spec: LaunchSpec, about: About) -> dict[str, object]:
        """Return what the warden is told; see `runstart.launchers._warden`."""
        level = self._level().name if spec.confined else None
        return {
            "command": spec.command,
            "environment": dict(spec.environment),
            "folder": spec.folder,
            "readable": [*readable_paths(), *(str(mount.source) for mount in spec.mounts if not mount.writable)],
            "writable": [str(mount.source) for mount in spec.mounts if mount.writable],
            "limits": asdict(spec.limits),
            "processors": about.processors,
            "confined": spec.confined,
            "level": level,
            "idle": spec.idle,
            "bubblewrap": bubblewrap() if level == "namespaces" else None,
            "scratch": None if spec.scratch is None else str(spec.scratch),
        }

    def _of(self, task: Task) -> _Running:
        running = self._running.get(task.identifier)
        if running is None:
            message = f"{task.name} was removed, or was started by another launcher"
            raise KeyError(message)
        return running

    def _level(self) -> Isolation:
        if self._isolation is None:
            from runstart.launchers.finding import find_isolation

            self._isolation = find_isolation()
        return self._isolation


def _refuse_what_only_engines_have(spec: LaunchSpec) -> None:
    if spec.image is not None and not spec.image_optional:
        raise Alert(f"{spec.name} needs the image {spec.image}, which plain processes cannot run.", _ENGINE)
    for what, name in (("network", spec.network), ("network alias", spec.network_alias)):
        if name is not None:
            raise Alert(f"{spec.name} needs the {what} {name}, which processes have not.", _ENGINE)


def _choose_processors(spec: LaunchSpec) -> tuple[int, ...]:
    """Return the processors to keep a task on: those on which the fewest tasks are kept already; none for all."""
    if spec.limits.cpus is None:
        return ()
    if not hasattr(os, "sched_getaffinity"):
        raise Alert(
            f"{spec.name} is limited to {spec.limits.cpus:g} processors, which this system cannot hold.",
            "Leave the limit out, or run it on Linux.",
        )
    allowed = os.sched_getaffinity(0)
    count = max(1, math.ceil(spec.limits.cpus))
    if count >= len(allowed):
        return ()
    taken = [processor for about in find_wardens().values() for processor in about.processors]
    return tuple(sorted(sorted(allowed, key=taken.count)[:count]))


def _read_ended(warden: subprocess.Popen[bytes]) -> Ended:
    """Return what a warden said at its end; one that was killed has said nothing."""
    said = b"" if warden.stdout is None else warden.stdout.read()
    try:
        return Ended(**json.loads(said))
    except ValueError:
        return Ended("lost", None, 0.0, trouble="the process that watched it was killed")
