"""Stands between a launcher and its task: starts it, holds it to its limits, removes all that it started.

A process of its own, so that watching takes nothing from the process that counts, and so that a task is removed
when that process is killed: the warden's standard input is then at its end. It reads one line of JSON, the order:
`command`, `environment`, `folder`, `readable`, `writable`, `limits`, `processors`, `confined`, `level`, `idle`,
`bubblewrap`, `output` (an open file, see `runstart.launchers._tail`), `scratch`. Then it reads `stop SECONDS`: the task
is told to end, and killed after these seconds. Other processes tell it by signals (`runstart.launchers._wardens`). It
writes one line of JSON, the fields of `Ended`. Descendants that leave their parent become the warden's children, and
die with the task.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from enum import Enum, auto
from typing import Any

from runstart.launchers import _seccomp
from runstart.launchers._confine import bubblewrap_command, confine
from runstart.launchers._tail import KEPT_OUTPUT, TailWriter
from runstart.launchers._tree import descendants, folder_bytes, heir, resident_bytes
from runstart.launchers._wardens import REMOVE, WISH
from runstart.launchers.removal import remove_tree

STOP = b"stop "
"""What the launcher says, followed by the seconds of grace."""

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.1
_LISTEN_S = 0.05
_LOOK_SHARE = 5  # a look may take a fifth of the time, on machines with very many processes
_DISK_EVERY = 5  # looks
_MOST_ENTRIES = 20_000  # of the folders that the task writes
_REMOVAL_S = 20.0
_BELOW_BUBBLEWRAP = 2  # the namespaces' own first process, then the task's


def main() -> None:
    """Carry out the order on standard input."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    order, words = _read_order()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    json.dump(_Watch(order, words).run(), sys.stdout)
    sys.stdout.flush()


class _Wish(Enum):
    """Whether the task shall end by itself."""

    NONE = auto()
    HEARD = auto()
    PASSED_ON = auto()


class _Watch:
    """One task from start to end."""

    def __init__(self, order: dict[str, Any], words: bytes) -> None:
        self._order = order
        self._limits = order["limits"]
        self._tail = TailWriter(order["output"])
        self._peak = 0
        self._looks = 0
        self._wish = _Wish.NONE
        self._kill_at = math.inf
        self._is_removed = False
        self._is_orphan = False
        if words:
            self._obey(words)

    def run(self) -> dict[str, Any]:
        """Run the task and return how it ended."""
        began = time.monotonic()
        reading, writing = os.pipe()
        try:
            child = self._start(writing)
        except (OSError, subprocess.SubprocessError) as problem:
            return {"reason": "exit", "exit_code": None, "seconds": 0.0, "trouble": str(problem)}
        finally:
            os.close(writing)
        try:
            reason = self._watch(child, reading, began)
        finally:
            seconds = time.monotonic() - began
            _remove_all(child)
        self._read(reading)
        self._write_tail()
        if self._is_orphan or self._has_become_orphan():
            self._clean_up()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "reason": reason,
            "exit_code": child.returncode,
            "seconds": seconds,
            "processor_s": used.ru_utime + used.ru_stime,
            "peak_memory_bytes": self._peak,
            "trouble": "it was removed by another process" if reason == "lost" else "",
        }

    def _clean_up(self) -> None:
        """Remove the folder that nobody else will remove any more."""
        if self._order["scratch"] is not None:
            # Nobody is left to be told.
            with contextlib.suppress(OSError):
                remove_tree(self._order["scratch"])

    def _has_become_orphan(self) -> bool:
        ready, _, _ = select.select([sys.stdin.fileno()], [], [], 0)
        return bool(ready) and not os.read(sys.stdin.fileno(), 4096)

    def _start(self, output: int) -> subprocess.Popen[bytes]:
        order = self._order
        command: list[str] = order["command"]
        passed: tuple[int, ...] = ()
        folder = order["folder"]
        if self._in_namespaces():
            filter_fd = _filter_file() if _seccomp.is_known() else None
            command = bubblewrap_command(order, filter_fd)
            passed = () if filter_fd is None else (filter_fd,)
            folder = None
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=order["environment"],
            cwd=folder,
            pass_fds=passed,
            start_new_session=True,
            preexec_fn=lambda: _confine_or_say(order),  # noqa: PLW1509 - a warden has one thread
        )

    def _watch(self, child: subprocess.Popen[bytes], output: int, began: float) -> str:
        """Return why the task has to end, or `exit` once its first process has ended."""
        os.set_blocking(output, False)
        bell = self._listen_to_signals()
        next_look = next_listen = began
        while True:
            # Output is no reason to wake up: a task that prints without end would keep the warden busy.
            wait_s = max(0.0, min(next_listen, next_look, self._kill_at) - time.monotonic())
            ready, _, _ = select.select([sys.stdin.fileno(), bell], [], [], wait_s)
            if bell in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(bell, 4096)
            _bury(child)
            if child.poll() is not None:
                return "exit" if self._wish is _Wish.NONE else "stopped"
            if sys.stdin.fileno() in ready:
                self._obey(os.read(sys.stdin.fileno(), 4096))
            if self._wish is _Wish.HEARD:
                self._pass_on(child)
            now = time.monotonic()
            if self._is_orphan or now >= self._kill_at:
                return "stopped"
            if self._is_removed:
                return "lost" if self._wish is _Wish.NONE else "stopped"
            if now >= next_listen:
                self._read(output)
                next_listen = now + _LISTEN_S
            if now >= next_look:
                if over := self._limit_exceeded(now - began):
                    return over
                self._write_tail()
                next_look = now + max(_LOOK_S, _LOOK_SHARE * (time.monotonic() - now))

    def _listen_to_signals(self) -> int:
        """Return a file that can be read as soon as a child has ended or the warden is told to end."""
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(WISH, lambda *_: self._hear())
        signal.signal(REMOVE, lambda *_: setattr(self, "_is_removed", True))
        return reading

    def _obey(self, words: bytes) -> None:
        """Carry out what the launcher says; the end without a word is its death."""
        self._is_orphan = not words
        for line in words.splitlines():
            grace_s = float(line.removeprefix(STOP))
            self._kill_at = min(self._kill_at, time.monotonic() + grace_s)
            # A task that is killed at once shall not begin to leave.
            if grace_s > 0:
                self._hear()

    def _hear(self) -> None:
        if self._wish is _Wish.NONE:
            self._wish = _Wish.HEARD

    def _pass_on(self, child: subprocess.Popen[bytes]) -> None:
        """Tell the task's first process to end; inside namespaces that may not be there yet."""
        first: int | None = child.pid
        if self._in_namespaces():
            first = heir(child.pid, _BELOW_BUBBLEWRAP)
        if first is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGTERM)
            self._wish = _Wish.PASSED_ON

    def _in_namespaces(self) -> bool:
        return bool(self._order["confined"] and self._order["level"] == "namespaces")

    def _limit_exceeded(self, seconds: float) -> str | None:
        limits = self._limits
        self._looks += 1
        if limits["seconds"] is not None and seconds > limits["seconds"]:
            return "time"
        processes = descendants()
        memory = resident_bytes(processes)
        self._peak = max(self._peak, memory)
        if limits["memory_bytes"] is not None and memory > limits["memory_bytes"]:
            return "memory"
        if limits["processes"] is not None and len(processes) > limits["processes"]:
            return "processes"
        if limits["disk_bytes"] is None or self._looks % _DISK_EVERY:
            return None
        on_disk = folder_bytes(self._order["writable"], _MOST_ENTRIES)
        return "disk" if on_disk > limits["disk_bytes"] else None

    def _read(self, output: int) -> None:
        """Read what was printed since, a pipe's content at most: who prints faster has to wait."""
        try:
            text = os.read(output, KEPT_OUTPUT)
        except BlockingIOError:
            return
        self._tail.add(text)

    def _write_tail(self) -> None:
        # Without room, an older end of the output stays; the watch must not end.
        with contextlib.suppress(OSError):
            self._tail.write()


def _read_order() -> tuple[dict[str, Any], bytes]:
    """Return the order, and what the launcher has said after it already."""
    said = b""
    # Each word is written at once, and ends its line.
    while not said.endswith(b"\n"):
        read = os.read(sys.stdin.fileno(), 65536)
        if not read:
            raise SystemExit(0)  # the launcher's process died over it
        said += read
    order, _, words = said.partition(b"\n")
    return json.loads(order), words


def _confine_or_say(order: dict[str, Any]) -> None:
    try:
        confine(order)
    except OSError as problem:
        os.write(2, f"cannot confine: {problem}\n".encode())
        raise


def _filter_file() -> int:
    """Return an open file that holds the filter of system calls."""
    reading, writing = os.pipe()
    os.write(writing, _seccomp.program())
    os.close(writing)
    return reading


def _bury(child: subprocess.Popen[bytes]) -> None:
    """Collect the ended processes that were left to the warden, but not the task's first one."""
    while hasattr(os, "waitid"):  # where there is none, no process is left to the warden either
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == child.pid:
            return
        os.waitpid(ended.si_pid, 0)


def _remove_all(child: subprocess.Popen[bytes]) -> None:
    """Kill everything that descends from this process, until nothing does.

    Killed processes cannot fork, so that each round leaves fewer, however fast the rest forks.
    """
    deadline = time.monotonic() + _REMOVAL_S
    while time.monotonic() < deadline:
        if child.poll() is None:
            child.kill()
        living = descendants()
        for process in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        child.poll()
        _bury(child)
        if not living and child.returncode is not None:
            return
        time.sleep(0.0 if len(living) > 1 else 0.002)
