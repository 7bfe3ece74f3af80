"""What an operator's process counts, in a file that outlives it, so that a message that dies with it is missed.

The file is 55 whole numbers of 64 bits, little-endian, mapped into memory: counting is a store to memory, and what was
counted is there whatever kills the process. One thread counts; anybody may read. A process that shares no file with its
session, such as a pod, counts in memory of its own, and tells its counts: those since the last time die with it.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from runstart.errors import Alert

MOST_OUTPUTS = 24
"""Outputs, counted by URI, that an operator can have."""

_NAMES = (
    "received",
    "received_bytes",
    "finished",
    "failed",
    "emitted",
    "kernel_ns",
    "busy_since_ns",
)
_SENT = len(_NAMES)
_SENT_BYTES = _SENT + MOST_OUTPUTS
_COUNT = _SENT_BYTES + MOST_OUTPUTS
_FORM = struct.Struct(f"<{_COUNT}q")
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True)
class CounterValues:
    """Counters as they were at an instant.

    Attributes
    ----------
    received, received_bytes : int
        Messages taken from all inputs, and the bytes of their data.
    finished : int
        Calls of the operator for a message, or for nothing in a source, whose output was handed to the sockets.
    failed : int
        Messages that broke the operator, or were broken.
    emitted : int
        Messages made.
    kernel_ns : int
        Time in the operator's function, in nanoseconds.
    busy_since_ns : int
        Since when it works on a message, on the machine's monotonic clock; 0 if it does not.
    sent, sent_bytes : tuple of int
        Messages handed to each output, and the bytes of their data.
    """

    received: int = 0
    received_bytes: int = 0
    finished: int = 0
    failed: int = 0
    emitted: int = 0
    kernel_ns: int = 0
    busy_since_ns: int = 0
    sent: tuple[int, ...] = (0,) * MOST_OUTPUTS
    sent_bytes: tuple[int, ...] = (0,) * MOST_OUTPUTS


def make_counters(path: Path, *, open_to_all: bool = False) -> None:
    """Make a file of counters that are all 0, for this user or for all; what is there is replaced, never followed."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(bytes(_FORM.size))
        if open_to_all:
            os.fchmod(descriptor, 0o666)


def read_told_counters(told: object) -> CounterValues:
    """Return counters that a process has told, as JSON has them; what has not their form counts as 0."""
    table = told if isinstance(told, dict) else {}
    plain = {name: _whole(table.get(name)) for name in _NAMES}
    return CounterValues(**plain, sent=_wholes(table.get("sent")), sent_bytes=_wholes(table.get("sent_bytes")))


class Counters:
    """The counters of this process.

    Parameters
    ----------
    buffer : mmap or bytearray
        Where they are.
    """

    def __init__(self, buffer: mmap.mmap | bytearray) -> None:
        if sys.byteorder != "little":
            raise Alert(
                "Operators count in little-endian numbers, and this machine is big-endian.", "Use another one."
            )
        self._numbers = memoryview(buffer).cast("q")

    @classmethod
    def open(cls, path: Path | None) -> Counters:
        """Return counters in a file that `make_counters` has made, or in memory only.

        Raises
        ------
        Alert
            The file is not there, or is none of counters.
        """
        if path is None:
            return cls(bytearray(_FORM.size))
        try:
            with path.open("r+b") as file:
                return cls(mmap.mmap(file.fileno(), _FORM.size))
        except (OSError, ValueError) as error:
            raise Alert(f"The file of counters {path} cannot be used: {error}.", "The session makes it.") from error

    @staticmethod
    def read(path: Path) -> CounterValues:
        """Return what a process has counted; zeros if there is no file.

        Raises
        ------
        Alert
            The file is none of counters.
        """
        try:
            # Who counts may have put a link or a pipe there: neither is followed, nor waited for.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return CounterValues()
        except OSError as error:
            raise Alert(f"{path} is no file of counters: {error.strerror}.", "Remove it.") from error
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            data = file.read(_FORM.size) if stat.S_ISREG(status.st_mode) else b""
        if status.st_size != _FORM.size or len(data) != _FORM.size:
            raise Alert(f"{path} has {status.st_size} bytes, and a file of counters {_FORM.size}.", "Remove it.")
        return _values(_FORM.unpack(data))

    def values(self) -> CounterValues:
        """Return what was counted so far."""
        return _values(tuple(self._numbers))

    def receive(self, size: int) -> None:
        """Count a message that was taken from an input."""
        numbers = self._numbers
        numbers[0] += 1
        numbers[1] += size

    def finish(self) -> None:
        """Count a call that has ended well."""
        self._numbers[2] += 1

    def fail(self) -> None:
        """Count a message that broke the operator."""
        self._numbers[3] += 1

    def emit(self) -> None:
        """Count a message that was made."""
        self._numbers[4] += 1

    def work(self, nanoseconds: int) -> None:
        """Count time in the operator's function."""
        self._numbers[5] += nanoseconds

    def set_busy(self, since_ns: int) -> None:
        """Note since when the operator works on a message; 0: it does not."""
        self._numbers[6] = since_ns

    def send(self, output: int, size: int) -> None:
        """Count a message that is handed to an output."""
        self._numbers[_SENT + output] += 1
        self._numbers[_SENT_BYTES + output] += size

    def take_back(self, output: int, size: int) -> None:
        """Undo `send`: the output had no room."""
        self._numbers[_SENT + output] -= 1
        self._numbers[_SENT_BYTES + output] -= size


def _values(numbers: tuple[int, ...]) -> CounterValues:
    plain = dict(zip(_NAMES, numbers, strict=False))
    return CounterValues(**plain, sent=numbers[_SENT:_SENT_BYTES], sent_bytes=numbers[_SENT_BYTES:])


def _wholes(told: object) -> tuple[int, ...]:
    numbers = [_whole(number) for number in told[:MOST_OUTPUTS]] if isinstance(told, list) else []
    return tuple(numbers + [0] * (MOST_OUTPUTS - len(numbers)))


def _whole(told: object) -> int:
    return told if type(told) is int and 0 <= told <= _LARGEST else 0
