"""Writes what a session shows and keeps, in a thread of its own: a store that is slow holds up nothing.

Of objects with one key only the newest is written. What a store refuses is tried again, then left out and counted;
so is what finds no room in memory to wait. Neither ends the session.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

_MOST_BYTES_WAITING = 256 << 20
_MOST_TRIES = 3
_AGAIN_S = 1.0


@dataclass
class _Waiting:
    """An object that is to be written."""

    data: bytes
    is_urgent: bool
    tries: int = 0


class Keeper:
    """Writes objects to a store.

    Parameters
    ----------
    store : ObjectStore
        Where they go.
    most_bytes_waiting : int, optional
        How much may wait in memory.
    again_s : float, optional
        Until a refused object is tried again, in seconds.
    """

    def __init__(
        self, store: ObjectStore, *, most_bytes_waiting: int = _MOST_BYTES_WAITING, again_s: float = _AGAIN_S
    ) -> None:
        self._store = store
        self._room = most_bytes_waiting
        self._again_s = again_s
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._bytes = 0
        self._is_writing = False
        self._is_closing = self._is_closed = False
        self._changed = threading.Condition()
        self._left_out = 0
        self._troubles: list[str] = []
        self._last_trouble = ""
        # A daemon: a store that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._write_all, name="session keeper", daemon=True)
        self._thread.start()

    def put(self, key: str, data: bytes, *, is_urgent: bool = False) -> bool:
        """Have an object written soon; return whether there is room for it to wait: always, if it is urgent."""
        with self._changed:
            before = self._waiting.get(key)
            size = self._bytes + len(data) - (0 if before is None else len(before.data))
            if (size > self._room and not is_urgent) or self._is_closed:
                self._leave_out(f"{key} was not kept: the store is too slow for what this session keeps.")
                return False
            self._waiting[key] = _Waiting(data, is_urgent=is_urgent)
            if is_urgent:
                self._waiting.move_to_end(key, last=False)
            self._bytes = size
            self._changed.notify_all()
        return True

    def troubles(self) -> list[str]:
        """Return what has gone wrong since the last call."""
        with self._changed:
            troubles, self._troubles = self._troubles, []
        return troubles

    def close(self, timeout_s: float) -> int:
        """Write what still waits, for a time; return how many objects were never written.

        What the store refuses now is not tried again, unless it is urgent.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
            while (self._waiting or self._is_writing) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            self._is_closed = True
            self._left_out += len(self._waiting) + self._is_writing
            self._waiting.clear()
            self._changed.notify_all()
            return self._left_out

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                key, one = self._waiting.popitem(last=False)
                self._bytes -= len(one.data)
                self._is_writing = True
            problem = self._try(key, one.data)
            with self._changed:
                self._is_writing = False
                if problem is not None and self._is_tried_again(key, one, problem):
                    self._changed.wait_for(lambda: self._is_closed, self._again_s)
                self._changed.notify_all()

    def _try(self, key: str, data: bytes) -> str | None:
        try:
            self._store.put(key, data)
        except (Alert, Transient, OSError) as problem:
            return str(problem)
        return None

    def _is_tried_again(self, key: str, one: _Waiting, problem: str) -> bool:
        if key in self._waiting:
            return True  # a newer one has come meanwhile
        one.tries += 1
        if self._is_closed or one.tries == _MOST_TRIES or (self._is_closing and not one.is_urgent):
            self._leave_out(problem)
            return False
        self._waiting[key] = one
        self._bytes += len(one.data)
        self._tell(problem)
        return True

    def _leave_out(self, problem: str) -> None:
        self._left_out += 1
        self._tell(problem)

    def _tell(self, problem: str) -> None:
        """Remember a trouble, each kind once in a row."""
        kind = problem.split(" ", 1)[-1]
        if kind != self._last_trouble:
            self._last_trouble = kind
            self._troubles.append(problem)
