"""Removes what dead and hung sessions have left: tasks, networks and folders; a living session is never touched.

What is there is listed first and the records are read after that: a session writes its record before it makes
anything, so what has no record then has lost it. A session of another machine is judged by its run and its signs of
life only, and its folder is left to the clean-up of that machine; what belongs to another store is left to the clean-up
of those who use it. What cannot be removed is told, and tried again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient
from runstart.host import is_alive
from runstart.sessions.ending import remove_tasks
from runstart.sessions.folders import SessionFolder, find_session_folders, remove_session_folder
from runstart.sessions.labels import HOST_LABEL, SESSION_LABEL, STORE_LABEL
from runstart.sessions.records import (
    DamagedRecord,
    SessionRecord,
    end_record,
    is_session_id,
    read_all_records,
    read_status,
)
from runstart.sessions.store_identity import store_identity

if TYPE_CHECKING:
    from runstart.launchers import Launcher, ListedNetwork, ListedTask
    from runstart.storage import ObjectStore

ENDING_S = 30.0
"""For so long a session whose run has ended may take to remove its things itself."""

ORPHANED_AFTER_S = 600.0
"""What has no record is removed when it is older."""


@dataclass
class _Belongings:
    """What is there of one session."""

    session_id: str
    tasks: list[ListedTask] = field(default_factory=list)
    networks: list[ListedNetwork] = field(default_factory=list)
    folder: SessionFolder | None = None

    @property
    def is_empty(self) -> bool:
        return not self.tasks and not self.networks and self.folder is None

    def oldest(self) -> float | None:
        """Return when the first of it was made; None if that is not known."""
        times = [task.started_at for task in self.tasks]
        if self.folder is not None:
            times.append(self.folder.made_at)
        return min(times, default=None)


def clean_up(
    launcher: Launcher, store: ObjectStore, is_over: Callable[[str], bool], hung_after_s: float, now: float
) -> list[str]:
    """Remove what is left of sessions that have ended, died, or hang, and write their end into their records.

    Parameters
    ----------
    launcher : Launcher
        Lists and removes tasks and networks.
    store : ObjectStore
        Has the records.
    is_over : callable
        Tells of the id of a Dagster run whether it has ended.
    hung_after_s : float
        A session without a sign of life for this long, in seconds, counts as hung.
    now : float
        Unix time in seconds.

    Returns
    -------
    list of str
        What was removed and why, and what could not be, a text for each session, and for each task that nobody ends.

    Raises
    ------
    Transient
        The engine or the store does not answer.
    """
    told = [*launcher.remove_expired()]
    everything = _find(launcher, store_identity(store))
    records = {record.session_id: record for record in read_all_records(store)}
    judge = _Judge(store, is_over, hung_after_s, now, launcher.shares_machine)
    for session_id in sorted(everything.keys() | records.keys()):
        belongings = everything.get(session_id, _Belongings(session_id))
        reason = judge.why_dead(belongings, records.get(session_id))
        if reason is not None:
            text = _remove(launcher, store, belongings, records.get(session_id), reason, now)
            told += [text] if text else []
    return told


@dataclass(frozen=True)
class _Judge:
    """Tells the dead from the living."""

    store: ObjectStore
    is_over: Callable[[str], bool]
    hung_after_s: float
    now: float
    shares_machine: bool

    def why_dead(self, belongings: _Belongings, record: SessionRecord | DamagedRecord | None) -> str | None:
        """Return why what belongs to a session is to be removed; None if it lives, or may."""
        if isinstance(record, SessionRecord):
            return self._ended(belongings, record) if record.has_ended else self._unended(record)
        # What runs sessions on a cluster are pods, which have one name each: theirs never comes back.
        is_lost = record is None and not self.shares_machine
        if not is_lost and not _is_known_dead(belongings):
            return None
        if record is None:
            made_at = belongings.oldest()
            # A network does not tell its age: it goes when nothing else of its session is left.
            old = made_at is None or self.now - made_at > ORPHANED_AFTER_S
            return "it has no record any more" if old else None
        return f"its record cannot be read ({record.trouble}) and the process that ran it is gone"

    def _ended(self, belongings: _Belongings, record: SessionRecord) -> str | None:
        if belongings.is_empty:
            return None
        ended_at = self._last_sign(record) if record.ended_at is None else record.ended_at
        if self._process_is_dead(record) or self.now - ended_at > ENDING_S:
            return f"it had {record.state}" if record.state != "stopped" else "it was stopped"
        return None

    def _unended(self, record: SessionRecord) -> str | None:
        if self._process_is_dead(record):
            return "the process that ran it has died"
        silent_s = self.now - self._last_sign(record)
        if silent_s > ENDING_S and record.run_id and self.is_over(record.run_id):
            return "its run has ended"
        # One that waits for room says nothing, but its process is seen if it is here.
        waits_here = record.state == "queued" and record.host == socket.gethostname()
        if silent_s > self.hung_after_s and not waits_here:
            return f"it hung: there was no sign of life for {silent_s:.0f} s"
        return None

    def _process_is_dead(self, record: SessionRecord) -> bool:
        """Whether it is known that the session's process is gone; of other machines nothing is known."""
        return record.host == socket.gethostname() and not is_alive(record.pid, record.started_at)

    def _last_sign(self, record: SessionRecord) -> float:
        at = read_status(self.store, record.session_id).get("at")
        return max(record.started_at, at) if isinstance(at, int | float) else record.started_at


def _is_known_dead(belongings: _Belongings) -> bool:
    """Whether a session without a readable record was of this machine, and its process is gone."""
    if belongings.folder is not None:
        return not belongings.folder.is_in_use
    labels = [task.labels for task in belongings.tasks] + [network.labels for network in belongings.networks]
    hosts = {one.get(HOST_LABEL) for one in labels}
    return hosts == {socket.gethostname()}


def _find(launcher: Launcher, store_id: str) -> Mapping[str, _Belongings]:
    """Return what is there of each session of a store."""
    found: dict[str, _Belongings] = {}

    def of(session_id: str) -> _Belongings:
        return found.setdefault(session_id, _Belongings(session_id))

    labels = {STORE_LABEL: store_id}
    for task in launcher.list(labels):
        if is_session_id(session_id := task.labels.get(SESSION_LABEL, "")):
            of(session_id).tasks.append(task)
    for network in launcher.list_networks(labels):
        if is_session_id(session_id := network.labels.get(SESSION_LABEL, "")):
            of(session_id).networks.append(network)
    for folder in find_session_folders():
        if folder.store_id == store_id:
            of(folder.session_id).folder = folder
    return found


def _remove(
    launcher: Launcher,
    store: ObjectStore,
    belongings: _Belongings,
    record: SessionRecord | DamagedRecord | None,
    reason: str,
    now: float,
) -> str:
    """Remove everything of a session, end its record if all is gone, and tell it; empty if there is nothing to tell."""
    removed, left = [], []
    tasks = [listed.task for listed in belongings.tasks]
    for task, problem in zip(tasks, remove_tasks(launcher, tasks), strict=True):
        what = f"the task {task.name}"
        if problem is None:
            removed.append(what)
        else:
            left.append(f"{what} could not be removed: {problem}")
    for what, remove in _removals(launcher, belongings):
        try:
            remove()
            removed.append(what)
        except (Alert, Transient, OSError) as trouble:
            left.append(f"{what} could not be removed: {trouble}")
    ended = False
    if not left and isinstance(record, SessionRecord) and not record.has_ended:
        ended = end_record(store, record.session_id, "failed", f"Removed by the clean-up: {reason}.", now)
    if not removed and not left and not ended:
        return ""
    gone = f"removed {_and(removed)}" if removed else "nothing was left to remove"
    return "; ".join([f"Session {belongings.session_id}: {reason}; {gone}", *left]) + "."


def _removals(launcher: Launcher, belongings: _Belongings) -> Iterable[tuple[str, Callable[[], None]]]:
    """Return what there is besides tasks, which must be gone: a network must be empty, a folder unused."""
    for network in belongings.networks:
        yield f"the network {network.name}", partial(launcher.remove_network, network.name)
    if (folder := belongings.folder) is not None:
        yield f"the folder {folder.path}", partial(remove_session_folder, folder.path)


def _and(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
