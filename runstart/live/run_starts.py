"""Finds the RunStarts of all instruments of one Kafka cluster, without losing or repeating one.

Where reading goes on is a cursor that the caller keeps: it maps topic and partition to the next offset. On a
topic seen for the first time, or made anew, what is already there is the backlog: every run in it becomes
known, and only the newest of each instrument is launched. After that every RunStart is launched. Messages that
cannot be read, and RunStarts that cannot be runs, are counted, kept or told, and never stop the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from runstart.events import ForeignMessage, MalformedMessage, RunStart, decode
from runstart.instruments import Instrument
from runstart.kafka import Announcement, AnnouncementSearch, RunInfoLog, SearchCursor, SearchFindings
from runstart.live.record import RunRecord, make_record, refusal, save_record
from runstart.storage import ObjectStore

Cursor = SearchCursor
"""`newest` has the newest run of each instrument found in a backlog, by partition key and start time."""


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


_Findings = SearchFindings[Cursor, FoundRun]


class Findings(_Findings):
    """What one search found, and the cursor after it."""

    @property
    def runs(self) -> list[FoundRun]:
        """The runs that were found."""
        return self.found


class RunStartSearch(AnnouncementSearch[Cursor, FoundRun]):
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

    lost = "runs announced there are not known"

    def __init__(self, log: RunInfoLog, instruments: Iterable[Instrument], store: ObjectStore) -> None:
        super().__init__(log, store)
        self._instruments = list(instruments)

    def search(self, cursor: Cursor, seconds: float) -> Findings:
        """Return what is new since the cursor, waiting at most `seconds` for it.

        Returns as soon as there is a run to launch. The records of the runs found are in the store by then.

        Raises
        ------
        Transient
            If the broker or the store does not answer; the cursor stays as it was.
        """
        findings = Findings(cursor)
        self._search(findings, seconds)
        findings.found = _mark_newest(findings.found)
        return findings

    def _see(self, announcement: Announcement, findings: _Findings) -> None:
        cursor = findings.cursor
        try:
            message = decode(announcement.payload)
        except ForeignMessage:
            return
        except MalformedMessage as error:
            self._keep_unreadable(announcement, error, findings)
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
        self._add_run(instrument, announcement, record, findings)

    def _add_run(
        self,
        instrument: Instrument,
        announcement: Announcement,
        record: RunRecord,
        findings: _Findings,
    ) -> None:
        cursor = findings.cursor
        in_backlog = self._is_backlog(announcement, cursor)
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
        findings.found.append(
            FoundRun(
                instrument.name,
                record.partition_key,
                start.run_name,
                launch=launch,
                start_time_ms=start.start_time_ms,
            )
        )

    def _launch_newest(self, owner: str, newest: dict[str, Any], findings: _Findings) -> None:
        if any(instrument.name == owner and instrument.live_reduction for instrument in self._instruments):
            findings.found.append(
                FoundRun(
                    owner,
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


def _mark_newest(runs: list[FoundRun]) -> list[FoundRun]:
    newest: dict[str, FoundRun] = {}
    for run in runs:
        if run.launch and run.start_time_ms >= newest.get(run.instrument, run).start_time_ms:
            newest[run.instrument] = run
    live = {(run.instrument, run.partition_key) for run in newest.values()}
    return [replace(run, newest=(run.instrument, run.partition_key) in live) for run in runs]
