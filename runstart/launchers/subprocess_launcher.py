"""Runs tasks as processes of this machine: the embedded default, which needs no engine.

Each task has a warden (`runstart.launchers._warden`), a small process that holds it to its limits and removes all
that it started: when it ends, when it is stopped, and when this process dies. Confined tasks run at the strongest
level of isolation that this system allows.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from runstart.errors import Alert
from runstart.launchers.isolation import Isolation, bubblewrap, library_environment, readable_paths
from runstart.launchers.launcher import Ended, Launcher, LaunchSpec, Mount, Task

_ROOT = str(Path(__file__).resolve().parents[2])
_WARDEN = "import sys; sys.path.insert(0, sys.argv[1]); from runstart.launchers._warden import main; main()"
_STOPPING_S = 30.0
STOP = b"stop\n"


@dataclass
class _Running:
    """What belongs to a started task."""

    warden: subprocess.Popen[bytes]
    folder: tempfile.TemporaryDirectory[str]
    ended: Ended | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class SubprocessLauncher(Launcher):
    """Starts tasks as processes.

    Parameters
    ----------
    isolation : Isolation, optional
        Level at which confined tasks run; by default the strongest that works here, found at the first need.
    """

    runs_images = False

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
            The task needs an image or a network alias.
        """
        if spec.image is not None and not spec.image_optional:
            raise Alert(f"{spec.name} needs the image {spec.image}, which plain processes cannot run.", _ENGINE)
        if spec.network_alias is not None:
            raise Alert(
                f"{spec.name} needs the network alias {spec.network_alias}, which processes have not.", _ENGINE
            )
        level = self._level().name if spec.confined else None
        folder = tempfile.TemporaryDirectory(prefix="runstart-task-")
        order = {
            "command": spec.command,
            "environment": dict(spec.environment),
            "folder": spec.folder,
            "readable": [*readable_paths(), *(str(mount.source) for mount in spec.mounts if not mount.writable)],
            "writable": [str(mount.source) for mount in spec.mounts if mount.writable],
            "limits": asdict(spec.limits),
            "confined": spec.confined,
            "level": level,
            "idle": spec.idle,
            "bubblewrap": bubblewrap() if level == "namespaces" else None,
            "log": str(Path(folder.name) / "output"),
            "scratch": None if spec.scratch is None else str(spec.scratch),
        }
        warden = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WARDEN, _ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=library_environment(),
            start_new_session=True,
        )
        task = Task(uuid4().hex, spec.name)
        self._running[task.identifier] = _Running(warden, folder)
        if warden.stdin is None:
            raise AssertionError("a warden without standard input")
        # A warden that was killed already shows as lost in `wait`.
        with contextlib.suppress(BrokenPipeError):
            warden.stdin.write(json.dumps(order).encode() + b"\n")
            warden.stdin.flush()
        return task

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
        output = Path(self._of(task).folder.name) / "output"
        return output.read_bytes().decode("utf-8", "replace") if output.exists() else ""

    def stop(self, task: Task) -> None:
        """End the task with all its processes; return when none is left."""
        warden = self._of(task).warden
        if warden.stdin is not None and not warden.stdin.closed:
            # A warden that has ended already needs no word.
            with contextlib.suppress(BrokenPipeError):
                warden.stdin.write(STOP)
                warden.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                warden.stdin.close()
        try:
            warden.wait(_STOPPING_S)
        except subprocess.TimeoutExpired:
            warden.kill()
            warden.wait()

    def remove(self, task: Task) -> None:
        """Stop the task if it runs, and forget it with its output."""
        if task.identifier not in self._running:
            return
        self.stop(task)
        running = self._running.pop(task.identifier)
        if running.warden.stdout is not None:
            running.warden.stdout.close()
        running.folder.cleanup()

    def seen_at(self, mount: Mount, *, in_image: bool = False) -> str:
        """Return the path at which a task sees a mount: where it is."""
        if in_image:
            raise AssertionError("plain processes have no image")
        return str(mount.source)

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


_ENGINE = "Run it where a container engine is configured."


def _read_ended(warden: subprocess.Popen[bytes]) -> Ended:
    """Return what a warden said at its end; one that was killed has said nothing."""
    said = b"" if warden.stdout is None else warden.stdout.read()
    try:
        return Ended(**json.loads(said))
    except ValueError:
        return Ended("lost", None, 0.0, trouble="the process that watched it was killed")
