"""Removes the containers that nobody will end any more, because the process that started them has died."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from runstart.launchers._containers import About
from runstart.launchers.launcher import ListedTask, Task
from runstart.launchers.removal import remove_tree

_GRACE_S = 60.0
"""Beyond its time limit, for whatever else ends it."""


def remove_expired(found: Iterable[tuple[ListedTask, About]], remove: Callable[[Task], None]) -> list[str]:
    """Remove those over their time limit, and those whose scratch folder a process of this machine has left by dying.

    Parameters
    ----------
    found : iterable of (ListedTask, About)
        All that are there.
    remove : callable
        Removes one.

    Returns
    -------
    list of str
        What was removed and why.
    """
    told = []
    for listed, about in found:
        is_orphan = _is_orphan(about)
        reason = _why(listed, about, is_orphan=is_orphan)
        if reason is None:
            continue
        remove(listed.task)
        if about.scratch is not None and is_orphan:
            # It may have gone with the process, or belong to another user.
            with suppress(OSError):
                remove_tree(about.scratch)
        told.append(f"{listed.task.name} ({listed.task.identifier[:12]}) was removed: {reason}.")
    return told


def _why(listed: ListedTask, about: About, *, is_orphan: bool) -> str | None:
    if is_orphan and about.scratch is not None:
        return "the process that started it has died"
    if about.seconds is not None and time.time() - listed.started_at > about.seconds + _GRACE_S:
        return f"it was over its time limit of {about.seconds:g} s"
    return None


def _is_orphan(about: About) -> bool:
    """Whether it is known that the process that started a task is gone; of other machines nothing is known."""
    from runstart.host import is_alive

    return about.host == socket.gethostname() and not is_alive(about.pid, about.at)
