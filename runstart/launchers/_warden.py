"""Stands between a launcher and its task: starts it, holds it to its limits, removes all that it started.

A process of its own, so that watching takes nothing from the process that counts, and so that a task is removed
when that process is killed: the warden's standard input is then at its end without a word. It reads one line of
JSON, the order: `command`, `environment`, `folder`, `readable`, `writable`, `limits`, `confined`, `level`, `idle`,
`bubblewrap`, `log`, `scratch`. It writes one line of JSON, the fields of `Ended`. Output goes to the file `log`, of
which only the end is kept. Descendants that leave their parent become the warden's children, and die with the task.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from runstart.launchers import _seccomp
from runstart.launchers._confine import bubblewrap_command, confine
from runstart.launchers._tree import descendants, folder_bytes, resident_bytes
from runstart.launchers.removal import remove_tree

KEPT_OUTPUT = 64 * 1024
"""Bytes of output that are kept."""

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.1
_LISTEN_S = 0.05
_LOOK_SHARE = 5  # a look may take a fifth of the time, on machines with very many processes
_DISK_EVERY = 5  # looks
_MOST_ENTRIES = 20_000  # of the folders that the task writes
_REMOVAL_S = 20.0


def main() -> None:
    """Carry out the order on standard input."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    order = json.loads(sys.stdin.buffer.readline())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    json.dump(_Watch(order).run(), sys.stdout)
    sys.stdout.flush()


class _Watch:
    """One task from start to end."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._limits = order["limits"]
        self._tail = b""
        self._peak = 0
        self._looks = 0
        self._log = Path(order["log"])
        self._told_to_stop = False
        self._is_orphan = False

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
        self._write_log()
        if self._is_orphan:
            self._clean_up()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "reason": reason,
            "exit_code": child.returncode,
            "seconds": seconds,
            "processor_s": used.ru_utime + used.ru_stime,
            "peak_memory_bytes": self._peak,
            "trouble": "",
        }

    def _clean_up(self) -> None:
        """Remove the folders that nobody else will remove any more."""
        for folder in (self._order["scratch"], str(self._log.parent)):
            if folder is not None:
                # Nobody is left to be told, and the other folder has to go all the same.
                with contextlib.suppress(OSError):
                    remove_tree(folder)

    def _start(self, output: int) -> subprocess.Popen[bytes]:
        order = self._order
        command: list[str] = order["command"]
        passed: tuple[int, ...] = ()
        folder = order["folder"]
        if order["confined"] and order["level"] == "namespaces":
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
            wait_s = max(0.0, min(next_listen, next_look) - time.monotonic())
            ready, _, _ = select.select([sys.stdin.fileno(), bell], [], [], wait_s)
            if sys.stdin.fileno() in ready:
                self._is_orphan = not os.read(sys.stdin.fileno(), 64)
                return "stopped"
            if self._told_to_stop:
                return "stopped"
            if bell in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(bell, 4096)
            _bury(child)
            if child.poll() is not None:
                return "exit"
            now = time.monotonic()
            if now >= next_listen:
                self._read(output)
                next_listen = now + _LISTEN_S
            if now >= next_look:
                if over := self._limit_exceeded(now - began):
                    return over
                self._write_log()
                next_look = now + max(_LOOK_S, _LOOK_SHARE * (time.monotonic() - now))

    def _listen_to_signals(self) -> int:
        """Return a file that can be read as soon as a child has ended or the warden is told to end."""
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_told_to_stop", True))
        return reading

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
        self._tail = (self._tail + text)[-KEPT_OUTPUT:]

    def _write_log(self) -> None:
        """Put the end of the output where the launcher looks for it."""
        fresh = self._log.with_suffix(".new")
        # A full disk must not end the watch: an older end of the output stays.
        with contextlib.suppress(OSError):
            fresh.write_bytes(self._tail)
            fresh.replace(self._log)


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
