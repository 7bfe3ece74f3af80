"""Searches topics for announcements, without losing or repeating one.

Where reading goes on is a cursor that the caller keeps: it maps topic and partition to the next offset. On a topic seen
for the first time, or made anew, what is already there is the backlog: everything in it becomes known, and only the newest
of each owner is launched. Messages that cannot be read are counted, kept, told, and never stop the rest.
"""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Self, TypeVar

from runstart.kafka.run_info_log import Announcement, RunInfoLog
from runstart.storage import ObjectStore, PreconditionFailed

MOST_MESSAGES = 5000  # a tick
READ_MESSAGES = 200  # records are stored one by one, and a tick must end in time
LONGEST_SEGMENT = 200  # characters that the object store takes between slashes
DRAIN_SECONDS = 0.05  # a further message that follows at once belongs to the same tick

Offsets = dict[str, dict[int, int]]


@dataclass
class SearchCursor:
    """Where the search stands; `to_json` and `from_json` keep it as text.

    Attributes
    ----------
    offsets : dict of str to dict of int to int
        Topic to partition to next offset.
    backlog_ends : dict of str to dict of int to int
        For topics whose backlog is not read to its end yet: where it ends.
    newest : dict of str to dict
        What is newest of each owner in a backlog, with its `topic`.
    unreadable, refused : int
        Totals of messages that could not be decoded, and of announcements that cannot be.
    """

    offsets: Offsets = field(default_factory=dict)
    backlog_ends: Offsets = field(default_factory=dict)
    newest: dict[str, dict[str, Any]] = field(default_factory=dict)
    unreadable: int = 0
    refused: int = 0

    def to_json(self) -> str:
        """Return the cursor as text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> Self:
        """Return the cursor of a text; a fresh one for None."""
        if not text:
            return cls()
        fields = json.loads(text)
        for name in ("offsets", "backlog_ends"):
            fields[name] = {t: {int(p): o for p, o in parts.items()} for t, parts in fields[name].items()}
        return cls(**fields)


Cursor = TypeVar("Cursor", bound=SearchCursor)
Found = TypeVar("Found")


@dataclass
class SearchFindings(Generic[Cursor, Found]):
    """What one search found, and the cursor after it."""

    cursor: Cursor
    found: list[Found] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    messages: int = 0


class AnnouncementSearch(ABC, Generic[Cursor, Found]):
    """Searches the topics of a log.

    Parameters
    ----------
    log : RunInfoLog
        Reads the topics; used by one search at a time.
    store : ObjectStore
        Keeps what cannot be read.
    """

    lost = "what was announced there is not known"
    """What is told of messages that the broker deleted before they were read."""

    def __init__(self, log: RunInfoLog, store: ObjectStore) -> None:
        self._log = log
        self._store = store

    @abstractmethod
    def _see(self, announcement: Announcement, findings: SearchFindings[Cursor, Found]) -> None:
        """Take one message."""

    @abstractmethod
    def _launch_newest(self, owner: str, newest: dict[str, Any], findings: SearchFindings[Cursor, Found]) -> None:
        """Launch what is newest of an owner in a backlog that has been read to its end."""

    def _search(self, findings: SearchFindings[Cursor, Found], seconds: float) -> None:
        """Add what is new since the cursor, waiting at most `seconds` for it; end as soon as there is something."""
        self._position(findings)
        deadline = time.monotonic() + seconds
        while findings.messages < MOST_MESSAGES:
            ready = bool(findings.found)
            wait = deadline - time.monotonic()
            if wait <= 0:
                break
            announcements = self._log.read(min(wait, DRAIN_SECONDS if ready else 1.0), READ_MESSAGES)
            self._note_resets(findings)
            for announcement in announcements:
                self._see(announcement, findings)
            findings.messages += len(announcements)
            self._move(findings.cursor)
            self._end_backlogs(findings)
            if ready and not announcements:
                break

    def _is_backlog(self, announcement: Announcement, cursor: Cursor) -> bool:
        ends = cursor.backlog_ends.get(announcement.topic, {})
        return announcement.offset < ends.get(announcement.partition, 0)

    def _position(self, findings: SearchFindings[Cursor, Found]) -> None:
        cursor = findings.cursor
        existing: dict[str, set[int]] = {}
        for tp in self._log.partitions():
            existing.setdefault(tp.topic, set()).add(tp.partition)
        reading = {topic: set(partitions) for topic, partitions in self._log.offsets.items()}
        wanted = {topic: offsets for topic, offsets in cursor.offsets.items() if topic in existing}
        if reading != existing or self._log.offsets != wanted:
            self._log.seek(cursor.offsets)
        self._note_resets(findings)
        if new := set(self._log.offsets) - set(cursor.offsets) - set(cursor.backlog_ends):
            ends = self._log.end_offsets()
            cursor.backlog_ends |= {topic: ends[topic] for topic in new}
        self._move(cursor)
        self._end_backlogs(findings)

    def _move(self, cursor: Cursor) -> None:
        """Take over where the log has come to; a topic that is away for now keeps its place."""
        for topic, offsets in self._log.offsets.items():
            cursor.offsets[topic] = cursor.offsets.get(topic, {}) | offsets

    def _note_resets(self, findings: SearchFindings[Cursor, Found]) -> None:
        for reset in self._log.resets:
            place = f"{reset.topic}[{reset.partition}]"
            if reset.made_anew:
                findings.remarks.append(
                    f"Topic {place} ends before offset {reset.wanted}, which had been read: it was made anew. "
                    f"Reading it from offset {reset.resumed}."
                )
                findings.cursor.backlog_ends[reset.topic] = self._log.end_offsets()[reset.topic]
            else:
                findings.remarks.append(
                    f"The broker deleted offsets [{reset.wanted}, {reset.resumed}) of {place} before they were "
                    f"read: {self.lost}."
                )
        self._log.resets.clear()

    def _end_backlogs(self, findings: SearchFindings[Cursor, Found]) -> None:
        cursor = findings.cursor
        for topic, ends in list(cursor.backlog_ends.items()):
            if any(cursor.offsets[topic].get(partition, 0) < end for partition, end in ends.items()):
                continue
            del cursor.backlog_ends[topic]
            for name, newest in list(cursor.newest.items()):
                if newest["topic"] == topic:
                    del cursor.newest[name]
                    self._launch_newest(name, newest, findings)

    def _keep_unreadable(
        self, announcement: Announcement, reason: object, findings: SearchFindings[Cursor, Found]
    ) -> None:
        """Count, keep and tell a message that cannot be read."""
        findings.cursor.unreadable += 1
        key = self._keep(announcement)
        findings.remarks.append(f"Unreadable message at {announcement.place}, kept as {key}: {reason}")

    def _keep(self, announcement: Announcement) -> str:
        folder = f"unreadable/{announcement.topic[:LONGEST_SEGMENT]}/{announcement.partition}"
        digest = hashlib.sha256(announcement.payload).hexdigest()[:8]  # a topic made anew counts from 0 again
        key = f"{folder}/{announcement.offset}-{digest}.bin"
        try:
            self._store.put_if_absent(key, announcement.payload)
        except PreconditionFailed:
            return key
        return key
