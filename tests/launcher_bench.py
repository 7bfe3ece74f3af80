"""A launcher as the tests of launchers see it: snippets of Python run by it, waited for, and judged."""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from waiting import wait_until

from runstart.errors import Alert, Transient
from runstart.launchers import Ended, Launcher, LaunchSpec, Task
from runstart.launchers.failures import failure_of

PATIENCE_S = 60.0


class Bench(ABC):
    """A launcher, and what the tests have to know of it."""

    launcher: Launcher
    making: str
    """Python source that makes such a launcher, as `launcher`, in another process."""
    added_environment: frozenset[str] = frozenset({"LC_CTYPE"})  # Python's own
    """Variables that a task has besides those of its specification."""
    missing_image: str = "localhost/runstart-there-is-none:1"
    forbidden_image: str = ""
    """An image that this launcher may not run; empty where none is forbidden."""
    starts_s: float = 30.0
    """Within which a task is surely running."""
    least_grace_s: float = 0.0
    """Seconds between SIGTERM and SIGKILL where no grace is wanted; 0 if SIGKILL comes alone."""

    @abstractmethod
    def spec(self, text: str, *arguments: str, **fields: Any) -> LaunchSpec:
        """Return the specification of a task that runs Python source; fields are those of `LaunchSpec`."""

    @abstractmethod
    def left(self) -> list[str]:
        """Return what is still there of the tasks and networks of this test."""

    @property
    def has_image(self) -> bool:
        return self.launcher.runs_images

    def elsewhere(self, text: str) -> str:
        """Run Python source in another process, where `launcher` is such a launcher; return what it prints."""
        command = [sys.executable, "-c", f"{self.making}\n{text}"]
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert said.returncode == 0, said.stderr
        return said.stdout


@contextmanager
def started(bench: Bench, text: str, *arguments: str, **fields: Any) -> Iterator[Task]:
    """Start a snippet, and remove it at the end."""
    task = bench.launcher.start(bench.spec(text, *arguments, **fields))
    try:
        yield task
    finally:
        bench.launcher.remove(task)


def end_of(bench: Bench, task: Task) -> Ended:
    ended = bench.launcher.wait(task, PATIENCE_S)
    assert ended is not None, "it has not ended"
    return ended


def failure(bench: Bench, task: Task) -> Alert | Transient | None:
    return failure_of(task, end_of(bench, task), bench.launcher.logs(task))


def run_to_failure(bench: Bench, spec: LaunchSpec) -> None:
    """Raise what a task amounts to that fails, whether its launcher tells at its start or at its end."""
    task = bench.launcher.start(spec)
    try:
        found = failure(bench, task)
    finally:
        bench.launcher.remove(task)
    if found is not None:
        raise found


def wait_for_words(bench: Bench, task: Task, words: str) -> None:
    wait_until(lambda: words in bench.launcher.logs(task), f"the task's words {words}", PATIENCE_S)


def run(bench: Bench, text: str, *arguments: str, **fields: Any) -> tuple[Ended, str]:
    """Run a snippet to its end; return how it ended and what it printed."""
    with started(bench, text, *arguments, **fields) as task:
        ended = end_of(bench, task)
        return ended, bench.launcher.logs(task)


def label() -> dict[str, str]:
    return {"runstart.test": uuid4().hex}


SLEEPS = "import time; print('up', flush=True); time.sleep(1000)"
HANDLES = """
import signal, sys, time
def leave(*_):
    print("leaving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
time.sleep(1000)
"""
IGNORES = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True: time.sleep(1000)
"""
