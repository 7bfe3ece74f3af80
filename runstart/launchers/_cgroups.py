"""What the kernel counts of a container on this machine: memory, processor time, and whether memory ran out.

An engine says after the end whether memory ran out, and some (Podman before 4.4) never do; how much was used, none says
after the end. The control group is found by the container's identifier in its name: the process number that an engine
tells may be of another machine. Where there is none to be found the engine's word is all there is.
"""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path
from typing import Protocol

_ROOT = Path("/sys/fs/cgroup")
_DEEPEST = 6
_LONGEST = 4096  # of a file of events


class ControlGroup(Protocol):
    """A container's control group."""

    memory_ran_out: bool
    """Whether the kernel has ended one of its processes for want of memory."""
    peak_memory_bytes: int
    processor_s: float
    wakes_by: int
    """What `select.poll` tells of its file when memory may have run out."""

    def look(self) -> bool:
        """Read the counts, and return whether the group is still there; once it is gone they stay as they are."""

    def fileno(self) -> int:
        """Return the file to poll."""

    def close(self) -> None:
        """Let go of it."""


def find_control_group(identifier: str, root: Path = _ROOT) -> ControlGroup | None:
    """Return the control group of a container, or None if it is not to be seen here.

    Parameters
    ----------
    identifier : str
        Of the container: 64 hexadecimal digits.
    root : Path, optional
        Where the kernel shows control groups.
    """
    memory = _find(root / "memory", identifier)
    try:
        if memory is not None:
            return _First(memory, _find(root / "cpuacct", identifier))
        unified = _find(root, identifier)
        return None if unified is None else _Second(unified)
    except OSError:
        return None  # it has ended meanwhile, or is not to be watched by this user


def _find(root: Path, identifier: str) -> Path | None:
    for depth in range(_DEEPEST):
        for path in root.glob(f"{'*/' * depth}*{identifier}*"):
            if path.is_dir():
                return path
    return None


class _First:
    """Of the first version: an event for want of memory, and one at its end."""

    wakes_by = select.POLLIN

    def __init__(self, memory: Path, processor: Path | None) -> None:
        self._memory, self._processor = memory, processor
        self.memory_ran_out, self.peak_memory_bytes, self.processor_s = False, 0, 0.0
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            with (memory / "memory.oom_control").open("rb") as control:
                self._listener = memory / "cgroup.event_control"
                self._listener.write_text(f"{self._event} {control.fileno()}")
        except OSError:
            os.close(self._event)
            raise

    def look(self) -> bool:
        is_there = self._listener.exists()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
            # The group's end is an event too, but then its files are gone.
            is_there = self._listener.exists()
            self.memory_ran_out |= is_there
        self.peak_memory_bytes = _number(self._memory / "memory.max_usage_in_bytes", self.peak_memory_bytes)
        if self._processor is not None:
            self.processor_s = _number(self._processor / "cpuacct.usage", round(self.processor_s * 1e9)) / 1e9
        return is_there

    def fileno(self) -> int:
        return self._event

    def close(self) -> None:
        os.close(self._event)


class _Second:
    """Of the second version: files of counts."""

    wakes_by = select.POLLPRI

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.memory_ran_out, self.peak_memory_bytes, self.processor_s = False, 0, 0.0
        self._events = os.open(folder / "memory.events", os.O_RDONLY | os.O_CLOEXEC)

    def look(self) -> bool:
        try:
            # Reading this very file is what makes its next change wake.
            events = os.pread(self._events, _LONGEST, 0)
        except OSError:
            return False
        self.memory_ran_out |= _counts(events).get(b"oom_kill", 0) > 0
        with contextlib.suppress(OSError):
            used = _counts((self._folder / "cpu.stat").read_bytes())
            self.processor_s = used.get(b"usage_usec", 0) / 1e6
        self.peak_memory_bytes = _number(self._folder / "memory.peak", self.peak_memory_bytes)
        return True

    def fileno(self) -> int:
        return self._events

    def close(self) -> None:
        os.close(self._events)


def _number(path: Path, otherwise: int) -> int:
    try:
        return int(path.read_text())
    except OSError:
        return otherwise  # the group is gone, or the kernel does not count this


def _counts(text: bytes) -> dict[bytes, int]:
    return {name: int(count) for name, count in (line.split() for line in text.splitlines())}
