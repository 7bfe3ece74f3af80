"""Watches what tasks write to volumes while this process lives: a cluster does not bound that, and it is seen here too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from runstart.errors import Alert, Transient
from runstart.launchers._tree import folder_bytes
from runstart.launchers.launcher import LaunchSpec

_LOOK_S = 0.5
_SHARE = 5  # a look may take a fifth of the time
_MOST_ENTRIES = 20_000  # of the folders that a task writes


@dataclass
class _Bound:
    """What a task may write, and whether it has written more and was ended for it."""

    folders: list[str]
    n_bytes: int
    is_over: bool = False
    is_ended: bool = False


class VolumeWatch:
    """The tasks that this process has started with a limit of disk, and folders to write.

    Parameters
    ----------
    end : callable
        Ends a task, given its identifier; called from another thread, and again at the next look if it raises.
    """

    def __init__(self, end: Callable[[str], None]) -> None:
        self._end = end
        self._all: dict[str, _Bound] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, identifier: str, spec: LaunchSpec) -> None:
        """Watch a task that is about to be started, if there is something to watch.

        Raises
        ------
        Alert
            A folder that it may write is not seen here, so that its limit could not be held.
        """
        writable = [mount.source for mount in spec.mounts if mount.writable]
        if spec.limits.disk_bytes is None or not writable:
            return
        for source in writable:
            if not source.is_dir():
                raise Alert(
                    f"{spec.name} has a limit of disk, and writes to {source}, which is no folder here.",
                    "Start it where the volume is mounted, or leave the limit out.",
                )
        with self._changed:
            self._all[identifier] = _Bound([str(source) for source in writable], spec.limits.disk_bytes)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch of volumes", daemon=True)
                self._thread.start()

    def is_over(self, identifier: str) -> bool:
        """Tell whether a task has written more than it may."""
        with self._changed:
            bound = self._all.get(identifier)
        return bound is not None and bound.is_over

    def forget(self, identifier: str) -> None:
        """Watch a task no longer."""
        with self._changed:
            self._all.pop(identifier, None)
            self._changed.notify_all()

    def _run(self) -> None:
        while watched := self._watched():
            began = time.monotonic()
            for identifier, bound in watched:
                self._look(identifier, bound)
            pause_s = max(_LOOK_S, _SHARE * (time.monotonic() - began))
            with self._changed:
                self._changed.wait_for(lambda: not self._all, pause_s)

    def _watched(self) -> list[tuple[str, _Bound]]:
        """Return what is to be watched; without any the thread has ended."""
        with self._changed:
            if not self._all:
                self._thread = None
            return list(self._all.items())

    def _look(self, identifier: str, bound: _Bound) -> None:
        if bound.is_ended:
            return
        if not bound.is_over:
            bound.is_over = folder_bytes(bound.folders, _MOST_ENTRIES) > bound.n_bytes
        if bound.is_over:
            try:
                self._end(identifier)
            except (Alert, Transient):
                return  # the cluster is asked again at the next look
            bound.is_ended = True
