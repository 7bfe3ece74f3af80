"""What many ask for at once is read once: a reading of the store, shared for a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["SharedReading"]

T = TypeVar("T")


class SharedReading(Generic[T]):
    """A value that is read anew when it is older than it may be; safe among threads, of which one reads.

    Parameters
    ----------
    read : callable
        Reads the value; what it raises is raised, and not kept.
    lasting_s : float
        How old the value may be, in seconds.
    """

    def __init__(self, read: Callable[[], T], lasting_s: float = 1.0) -> None:
        self._read = read
        self._lasting_s = lasting_s
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def get(self) -> T:
        """Return the value."""
        with self._lock:
            if self._kept is None or self._kept[0] <= time.monotonic():
                value = self._read()
                self._kept = (time.monotonic() + self._lasting_s, value)
            return self._kept[1]
