"""Finds the RunStarts of all instruments of one Kafka cluster, without losing or repeating one.

Where reading goes on is a cursor that the caller keeps: it maps topic and partition to the next offset. On a
topic seen for the first time, or made anew, what is already there is the backlog: every run in it becomes
known, and only the newest of each instrument is launched. After that every RunStart is launched. Messages that
cannot be read, and RunStarts that cannot be runs, are counted, kept or told, and never stop the rest.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from runstart.events import ForeignMessage, MalformedMessage, RunStart, decode
from runstart.instruments import Instrument
from runstart.kafka import Announcement, RunInfoLog
from runstart.live.record import RunRecord, make_record, refusal, save_record
from runstart.storage import ObjectStore, PreconditionFailed

MOST_MESSAGES = 5000  # a tick
READ_MESSAGES = 200  # records are stored one by one, and a tick must end in time
LONGEST_SEGMENT = 200  # characters that the object store takes between slashes
DRAIN_SECONDS = 0.05  # a further message that follows at once belongs to the same tick

Offsets = dict[str, dict[int, int]]


@dataclass
class Cursor:
    """Where the search stands; `to_json` and `from_json` keep it as text.

    Attributes
    ----------
    offsets : dict of str to dict of int to int
        Topic to partition to next offset.
    backlog_ends : dict of str to dict of int to int
        For topics whose backlog is not read to its end yet: where it ends.
    newest : dict of str to dict
        The newest run of each instrument found in a backlog, by partition key and start time.
    unreadable, refused : int
        Totals of messages that could not be decoded, and of RunStarts that cannot be runs.
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
    def from_json(cls, text: str | None) -> Cursor:
        """Return the cursor of a text; a fresh one for None."""
        if not text:
            return cls()
        fields = json.loads(text)
        for name in ("offsets", "backlog_ends"):
            fields[name] = {t: {int(p): o for p, o in parts.items()} for t, parts in fields[name].items()}
        return cls(**fields)


@dataclass(frozen=True)
class FoundRun:
    """A run to make known, and whether to launch it.

    Attributes
    ----------
    instrument, partition_key, run_name : str
        Identity of the run.
    launch : bool
        Whether to reduce it now.
    newest : bool
        Whether it is the newest run of its instrument in this search: the live one.
    start_time_ms : int
        Start of the run.
    """

    instrument: str
    partition_key: str
    run_name: str
    launch: bool
    newest: bool = True
    start_time_ms: int = 0


@dataclass
class Findings:
    """What one search found, and the cursor after it."""

    cursor: Cursor
    runs: list[FoundRun] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    messages: int = 0


class RunStartSearch:
    """Searches the run-info topics of a cluster's instruments.

    Parameters
    ----------
    log : RunInfoLog
        Reads the topics; used by one search at a time.
    instruments : iterable of Instrument
        All of one Kafka cluster.
    store : ObjectStore
        Keeps the records of runs and what cannot be read.
    """

    def __init__(self, log: RunInfoLog, instruments: Iterable[Instrument], store: ObjectStore) -> None:
        self._log = log
        self._instruments = list(instruments)
        self._store = store

    def search(self, cursor: Cursor, seconds: float) -> Findings:
        """Return what is new since the cursor, waiting at most `seconds` for it.

        Returns as soon as there is a run to launch. The records of the runs found are in the store by then.

        Raises
        ------
        Transient
            If the broker or the store does not answer; the cursor stays as it was.
        """
        findings = Findings(cursor)
        self._position(findings)
        deadline = time.monotonic() + seconds
        while findings.messages < MOST_MESSAGES:
            ready = bool(findings.runs)
            wait = deadline - time.monotonic()
            if wait <= 0:
                break
            announcements = self._log.read(min(wait, DRAIN_SECONDS if ready else 1.0), READ_MESSAGES)
            self._note_resets(findings)
            for announcement in announcements:
                self._see(announcement, findings)
            findings.messages += len(announcements)
            self._move(cursor)
            self._end_backlogs(findings)
            if ready and not announcements:
                break
        findings.runs = _mark_newest(findings.runs)
        return findings

    def _position(self, findings: Findings) -> None:
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

    def _note_resets(self, findings: Findings) -> None:
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
                    "read: runs announced there are not known."
                )
        self._log.resets.clear()

    def _see(self, announcement: Announcement, findings: Findings) -> None:
        cursor = findings.cursor
        try:
            message = decode(announcement.payload)
        except ForeignMessage:
            return
        except MalformedMessage as error:
            cursor.unreadable += 1
            key = self._keep(announcement)
            findings.remarks.append(f"Unreadable message at {announcement.place}, kept as {key}: {error}")
            return
        if not isinstance(message, RunStart):
            return
        instrument = self._route(announcement.topic, message)
        why = (
            f"it names instrument {message.instrument_name[:80]!r}, which is not declared for this topic"
            if instrument is None
            else refusal(message, announcement.timestamp_ms)
        )
        if instrument is None or why is not None:
            cursor.refused += 1
            findings.remarks.append(f"Refused RunStart {message.run_name[:80]!r} at {announcement.place}: {why}.")
            return
        record = make_record(instrument.name, announcement, message)
        save_record(self._store, record)
        self._add_run(instrument, record, findings)

    def _add_run(self, instrument: Instrument, record: RunRecord, findings: Findings) -> None:
        cursor = findings.cursor
        ends = cursor.backlog_ends.get(record.topic, {})
        in_backlog = record.offset < ends.get(record.partition, 0)
        if in_backlog:
            known = cursor.newest.get(instrument.name)
            if known is None or known["start_time_ms"] <= record.start.start_time_ms:
                cursor.newest[instrument.name] = {
                    "partition_key": record.partition_key,
                    "start_time_ms": record.start.start_time_ms,
                    "run_name": record.start.run_name,
                    "topic": record.topic,
                }
        launch = instrument.live_reduction and not in_backlog
        start = record.start
        findings.runs.append(
            FoundRun(
                instrument.name,
                record.partition_key,
                start.run_name,
                launch=launch,
                start_time_ms=start.start_time_ms,
            )
        )

    def _end_backlogs(self, findings: Findings) -> None:
        cursor = findings.cursor
        for topic, ends in list(cursor.backlog_ends.items()):
            if any(cursor.offsets[topic].get(partition, 0) < end for partition, end in ends.items()):
                continue
            del cursor.backlog_ends[topic]
            for name, newest in list(cursor.newest.items()):
                if newest["topic"] == topic:
                    del cursor.newest[name]
                    self._launch_newest(name, newest, findings)

    def _launch_newest(self, name: str, newest: dict[str, Any], findings: Findings) -> None:
        if any(instrument.name == name and instrument.live_reduction for instrument in self._instruments):
            findings.runs.append(
                FoundRun(
                    name,
                    newest["partition_key"],
                    newest["run_name"],
                    launch=True,
                    start_time_ms=newest["start_time_ms"],
                )
            )

    def _route(self, topic: str, start: RunStart) -> Instrument | None:
        candidates = [i for i in self._instruments if i.topics.run_info == topic]
        if not start.instrument_name and len(candidates) == 1:
            return candidates[0]
        named = [i for i in candidates if i.name.lower() == start.instrument_name.lower()]
        return named[0] if named else None

    def _keep(self, announcement: Announcement) -> str:
        folder = f"unreadable/{announcement.topic[:LONGEST_SEGMENT]}/{announcement.partition}"
        digest = hashlib.sha256(announcement.payload).hexdigest()[:8]  # a topic made anew counts from 0 again
        key = f"{folder}/{announcement.offset}-{digest}.bin"
        try:
            self._store.put_if_absent(key, announcement.payload)
        except PreconditionFailed:
            return key
        return key


def _mark_newest(runs: list[FoundRun]) -> list[FoundRun]:
    newest: dict[str, FoundRun] = {}
    for run in runs:
        if run.launch and run.start_time_ms >= newest.get(run.instrument, run).start_time_ms:
            newest[run.instrument] = run
    live = {(run.instrument, run.partition_key) for run in newest.values()}
    return [replace(run, newest=(run.instrument, run.partition_key) in live) for run in runs]
