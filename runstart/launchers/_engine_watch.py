"""Watches containers while this process lives: ends those over their limit of time or disk, and counts what all use.

An engine holds memory, processors and processes itself. What it does not hold is held by a thread that runs as long
as there is something to watch; it keeps trying while the engine does not answer.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from runstart.errors import Alert, Transient
from runstart.launchers._cgroups import ControlGroup, find_control_group
from runstart.launchers._tree import folder_bytes

_LOOK_S = 0.1
_DISK_EVERY = 5  # looks
_DISK_SHARE = 5  # a look may take a fifth of the time
_MOST_ENTRIES = 20_000  # of the folders that a task writes


@dataclass
class Watched:
    """What is known of a container.

    Attributes
    ----------
    identifier : str
        The engine's.
    ends_at : float or None
        By the monotonic clock; None without a limit.
    disk_bytes : int or None
        What its folders may hold.
    folders : list of str
        Those that it may write, on this machine.
    over : str or None
        The limit for which it was ended.
    memory_ran_out, peak_memory_bytes, processor_s
        What the kernel has counted.
    is_ended, is_forgotten : bool
        Whether it need not be watched, and whether nobody will ask for it any more.
    group : ControlGroup or None
        Open while the container runs, if there is one to be seen.
    """

    identifier: str
    ends_at: float | None = None
    disk_bytes: int | None = None
    folders: list[str] = field(default_factory=list)
    over: Literal["time", "disk"] | None = None
    memory_ran_out: bool = False
    peak_memory_bytes: int = 0
    processor_s: float = 0.0
    is_ended: bool = False
    is_forgotten: bool = False
    group: ControlGroup | None = None

    def look(self, *, with_disk: bool) -> Literal["time", "disk"] | None:
        """Read its counts, and return the limit that it is over."""
        if self.group is not None:
            is_there = self.group.look()
            self.memory_ran_out |= self.group.memory_ran_out
            self.peak_memory_bytes, self.processor_s = self.group.peak_memory_bytes, self.group.processor_s
            if not is_there:
                # It has ended, whether anybody waits for it or not.
                self.is_ended = True
        if self.ends_at is not None and time.monotonic() >= self.ends_at:
            return "time"
        if with_disk and self.disk_bytes is not None:
            return "disk" if folder_bytes(self.folders, _MOST_ENTRIES) > self.disk_bytes else None
        return None

    def let_go(self) -> None:
        """Close its control group."""
        if self.group is not None:
            self.group.close()
            self.group = None


class EngineWatch:
    """The containers that this process has started.

    Parameters
    ----------
    kill : callable
        Kills a container, given its identifier; called from another thread. It returns whether it still ran.
    """

    def __init__(self, kill: Callable[[str], bool]) -> None:
        self._kill = kill
        self._all: dict[str, Watched] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, watched: Watched) -> None:
        """Watch a container that has just been started."""
        watched.group = find_control_group(watched.identifier)
        if watched.group is None and watched.ends_at is None and watched.disk_bytes is None:
            return
        with self._lock:
            self._all[watched.identifier] = watched
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch of containers", daemon=True)
                self._thread.start()

    def of(self, identifier: str) -> Watched:
        """Return what is known of a container; of one that is not watched, nothing."""
        with self._lock:
            return self._all.get(identifier) or Watched(identifier)

    def close(self, identifier: str) -> None:
        """Watch a container no longer, for it has ended; what is known of it stays."""
        with self._lock:
            if (watched := self._all.get(identifier)) is not None:
                watched.is_ended = True

    def forget(self, identifier: str) -> None:
        """Watch a container no longer, and know nothing of it."""
        with self._lock:
            watched = self._all.get(identifier)
            if watched is None:
                return
            watched.is_ended = watched.is_forgotten = True
            if self._thread is None:
                del self._all[identifier]

    def _run(self) -> None:
        looks = 0
        while alive := self._alive():
            began = time.monotonic()
            for watched in alive:
                if (over := watched.look(with_disk=looks % _DISK_EVERY == 0)) is not None:
                    self._end(watched, over)
            looks += 1
            _sleep(alive, max(_LOOK_S, _DISK_SHARE * (time.monotonic() - began)))

    def _alive(self) -> list[Watched]:
        """Return what is to be watched, and let go of the rest; without any the thread has ended."""
        with self._lock:
            for watched in [watched for watched in self._all.values() if watched.is_ended]:
                watched.let_go()
                if watched.is_forgotten:
                    del self._all[watched.identifier]
            alive = [watched for watched in self._all.values() if not watched.is_ended]
            if not alive:
                self._thread = None
            return alive

    def _end(self, watched: Watched, over: Literal["time", "disk"]) -> None:
        # Before it is killed: whoever waits for it sees its end at once.
        watched.over = over
        try:
            has_killed = self._kill(watched.identifier)
        except (Alert, Transient):
            watched.over = None
            return  # the engine is asked again at the next look
        if not has_killed:
            watched.over = None
        watched.is_ended = True


def _sleep(alive: list[Watched], seconds: float) -> None:
    """Sleep until the next look, or until memory may have run out."""
    poller = select.poll()
    for watched in alive:
        if watched.group is not None:
            poller.register(watched.group.fileno(), watched.group.wakes_by)
    poller.poll(1000 * seconds)
