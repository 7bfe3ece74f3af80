"""Scans that are announced on a Kafka topic, as JSON: a file that has arrived or begins to, or a stream of frames.

A file that is announced and found in the folder is one scan: it has the same partition key and the same version, so that
`run_key` is the same. An announcement of a file that cannot be read yet is kept, and given up after an hour. A stream that
is announced twice in the same words is one scan; give `started` where numbers begin anew.

Without a cursor, or on a topic that was made anew, all scans that stand there become known, and only the newest of each
microscope is launched. Messages that cannot be read are counted, kept under `unreadable/` in the object store, and told.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from runstart.errors import Alert
from runstart.kafka import Announcement, AnnouncementSearch, RunInfoLog, SearchCursor, SearchFindings
from runstart.microscopes import Microscope
from runstart.scans._places import ScanPlace, explain_name, is_scan, open_place, scan_key
from runstart.scans.arrivals import FoundScan, look_at
from runstart.scans.model import ScanRecord
from runstart.scans.record import load_record, save_record
from runstart.storage import ObjectStore

LONGEST = 2**16  # bytes of an announcement
MOST_PENDING = 1000
GIVE_UP_SECONDS = 3600.0

_MOST_FRAMES = 2**28

_Side = Annotated[int, Field(ge=1, le=2**26)]
_Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class StreamedScan(_Strict):
    """A scan whose frames come as batches of electron events on the microscope's `frames_topic`."""

    number: Annotated[int, Field(ge=0, lt=2**53)]
    """That its batches bear."""

    scan_shape: tuple[_Side, _Side]
    """Rows and columns of the scan."""

    frame_shape: tuple[_Side, _Side]
    """Rows and columns of a frame."""

    frames_per_position: Annotated[int, Field(ge=1, le=2**16)] = 1
    """Frames that are to be taken at each position."""

    started: Annotated[str, Field(max_length=64)] = ""
    """When it began, ISO 8601 with a time zone."""

    calibration: dict[Literal["scan_step_nm", "mrad_per_pixel", "voltage_kv"], _Length] = {}
    """What is known of lengths."""

    @field_validator("started")
    @classmethod
    def _check_started(cls, started: str) -> str:
        if started and datetime.fromisoformat(started).tzinfo is None:
            raise ValueError("give the time with its zone, such as 2026-05-01T12:00:00Z")
        return started

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        frames = math.prod(self.scan_shape) * self.frames_per_position
        if frames > _MOST_FRAMES or math.prod(self.frame_shape) > 2**26:
            raise ValueError(f"a scan has at most {_MOST_FRAMES:,} frames, and a frame {2**26:,} pixels")
        return self


class ScanAnnouncement(_Strict):
    """A scan, of which either the file or the stream is announced."""

    microscope: Annotated[str, Field(max_length=63)]
    """A microscope of microscopes.toml."""

    scan: Annotated[str, Field(max_length=180)] = ""
    """The scan's partition key. That of a file follows from its path, and need not be given."""

    file: Annotated[str, Field(max_length=180)] | None = None
    """Path below the folder or prefix in which the microscope's scans arrive."""

    stream: StreamedScan | None = None

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if (self.file is None) == (self.stream is None):
            raise ValueError("give either file or stream")
        if self.file is not None:
            _check_text(self.file)
            if not is_scan(self.file):
                raise ValueError(f"{self.file!a} does not end like the name of a file of frames")
            if self.scan not in ("", scan_key(self.file)):
                raise ValueError(f"the scan in {self.file!a} is called {scan_key(self.file)!a}; leave `scan` out")
        else:
            _check_text(self.scan)
            if "/" in self.scan or is_scan(self.scan):
                raise ValueError(f"{self.scan!a} cannot be a streamed scan: it is called like a file")
        return self


@dataclass(frozen=True)
class FoundAnnounced:
    """What is new on the topics of one Kafka cluster.

    Attributes
    ----------
    scans : tuple of FoundScan
        In the order of their announcement; their records are in the object store. The newest scan of a backlog comes
        twice, the second time to be launched.
    cursor : str
        To be kept together with what is done about them, and given at the next look.
    remarks : tuple of str
        What people should know.
    messages : int
        That were read.
    unreadable, refused : int
        Totals since the cursor began: messages that are no announcements, and announcements that cannot be scans.
    """

    scans: tuple[FoundScan, ...]
    cursor: str
    remarks: tuple[str, ...]
    messages: int
    unreadable: int
    refused: int


def find_announced(
    microscopes: Iterable[Microscope],
    cursor: str | None,
    log: RunInfoLog,
    store: ObjectStore,
    seconds: float,
    *,
    now: datetime | None = None,
    s3_client: Any = None,
) -> FoundAnnounced:
    """Return the scans that were announced since the cursor.

    Parameters
    ----------
    microscopes : iterable of Microscope
        Those whose scans are announced on one Kafka cluster.
    cursor : str or None
        The newest cursor that was kept; None or empty at the first look.
    log : RunInfoLog
        Reads their topics; used by one search at a time.
    store : ObjectStore
        Keeps records, and what cannot be read.
    seconds : float
        How long to wait, at most; the search ends as soon as there is a scan.
    now : datetime, optional
        With a time zone; by default the present.
    s3_client : botocore.client.S3, optional
        For buckets; by default one made from the standard AWS environment variables.

    Raises
    ------
    Alert
        If the cursor is damaged.
    Transient
        If the broker or the store does not answer; the cursor stays as it was.
    """
    search = _Search(log, microscopes, store, now, s3_client)
    findings = SearchFindings[_Cursor, FoundScan](_read_cursor(cursor))
    search.search(findings, seconds)
    state = findings.cursor
    return FoundAnnounced(
        scans=tuple(findings.found),
        cursor=state.to_json(),
        remarks=tuple(findings.remarks),
        messages=findings.messages,
        unreadable=state.unreadable,
        refused=state.refused,
    )


@dataclass
class _Cursor(SearchCursor):
    """Where the search stands; `pending` has the announcements of files that cannot be read yet."""

    pending: list[dict[str, Any]] = field(default_factory=list)


_Findings = SearchFindings[_Cursor, FoundScan]


def _read_cursor(text: str | None) -> _Cursor:
    try:
        return _Cursor.from_json(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"The cursor of announced scans, {str(text)[:100]!a}, cannot be read."
        raise Alert(what, "Clear the sensor's cursor: all that is announced becomes known anew.") from error


class _Search(AnnouncementSearch[_Cursor, FoundScan]):
    lost = "scans announced there are not known"

    def __init__(
        self,
        log: RunInfoLog,
        microscopes: Iterable[Microscope],
        store: ObjectStore,
        now: datetime | None,
        s3_client: Any,
    ) -> None:
        super().__init__(log, store)
        self._microscopes = {microscope.name: microscope for microscope in microscopes}
        self._places: dict[str, ScanPlace] = {}
        self._fixed_now = now
        self._s3_client = s3_client

    def search(self, findings: _Findings, seconds: float) -> None:
        """Add what is new since the cursor, beginning with files that could not be read before."""
        pending, findings.cursor.pending = findings.cursor.pending, []
        for announced in pending:
            self._look(announced, findings)
        self._search(findings, seconds)
        findings.cursor.pending, dropped = (
            findings.cursor.pending[-MOST_PENDING:],
            findings.cursor.pending[:-MOST_PENDING],
        )
        for announced in dropped:
            self._refuse(announced["place"], "too many announced files are waited for", findings)

    def _see(self, announcement: Announcement, findings: _Findings) -> None:
        try:
            announced = _read(announcement.payload)
        except ValueError as error:
            self._keep_unreadable(announcement, error, findings)
            return
        microscope = self._microscopes.get(announced.microscope)
        why = _explain(announced, announcement.topic, microscope)
        if microscope is None or why:
            self._refuse(announcement.place, why, findings)
            return
        is_backlog = self._is_backlog(announcement, findings.cursor)
        if announced.file is not None:
            waiting = {
                "microscope": microscope.name,
                "file": announced.file,
                "place": announcement.place,
                "announced_ms": announcement.timestamp_ms,
                "launch": not is_backlog,
            }
            key = {"file": announced.file}
            self._look(waiting, findings)
        else:
            record = save_record(self._store, _streamed(microscope, announced, announcement, self._now()))
            key = {"scan": record.scan}
            findings.found.append(FoundScan(record, growing=True, launch=not is_backlog, bytes=0))
        if is_backlog:
            self._note_newest(microscope, announcement, key, findings.cursor)

    def _note_newest(
        self, microscope: Microscope, announcement: Announcement, key: dict[str, str], cursor: _Cursor
    ) -> None:
        known = cursor.newest.get(microscope.name)
        if known is None or known["announced_ms"] <= announcement.timestamp_ms:
            cursor.newest[microscope.name] = {
                "topic": announcement.topic,
                "place": announcement.place,
                "announced_ms": announcement.timestamp_ms,
                **key,
            }

    def _launch_newest(self, owner: str, newest: dict[str, Any], findings: _Findings) -> None:
        if owner not in self._microscopes:
            return
        if "scan" in newest:
            record = load_record(self._store, owner, newest["scan"])
            findings.found.append(FoundScan(record, growing=True, launch=True, bytes=0))
            return
        waiting = findings.cursor.pending
        waiting[:] = [other for other in waiting if (other["microscope"], other["file"]) != (owner, newest["file"])]
        self._look({**newest, "microscope": owner, "launch": True}, findings)

    def _look(self, announced: dict[str, Any], findings: _Findings) -> None:
        """Look for a file that was announced: it is found, kept for later, or refused."""
        microscope = self._microscopes.get(announced["microscope"])
        if microscope is None:
            self._refuse(announced["place"], f"{announced['microscope']} is no longer declared", findings)
            return
        now = self._now()
        sighting = look_at(self._place(microscope), microscope, announced["file"], now)
        if sighting.record is not None:
            record = save_record(self._store, sighting.record)
            found = FoundScan(record, sighting.growing, announced["launch"], sighting.bytes)
            findings.found.append(found)
        elif sighting.refused:
            self._refuse(announced["place"], f"{announced['file']}: {sighting.refused}", findings)
        elif now - announced["announced_ms"] / 1000 > GIVE_UP_SECONDS:
            why = f"{announced['file']} has not come within an hour: {sighting.left_alone}"
            self._refuse(announced["place"], why, findings)
        else:
            findings.cursor.pending.append(announced)

    def _place(self, microscope: Microscope) -> ScanPlace:
        if microscope.name not in self._places:
            self._places[microscope.name] = open_place(microscope, self._s3_client)
        return self._places[microscope.name]

    def _now(self) -> float:
        return time.time() if self._fixed_now is None else self._fixed_now.timestamp()

    @staticmethod
    def _refuse(place: str, why: str, findings: _Findings) -> None:
        findings.cursor.refused += 1
        findings.remarks.append(f"Refused the scan announced at {place}: {why}.")


def _read(payload: bytes) -> ScanAnnouncement:
    """Return an announcement.

    Raises
    ------
    ValueError
        If it is none, with the reason in one line.
    """
    if len(payload) > LONGEST:
        raise ValueError(f"its {len(payload):,} bytes are more than {LONGEST:,}")
    try:
        return ScanAnnouncement.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:80] for part in first["loc"])
        raise ValueError(ascii(f"{where}: {first['msg']}" if where else first["msg"])[1:-1][:300]) from None


def _explain(announced: ScanAnnouncement, topic: str, microscope: Microscope | None) -> str:
    """Return why a scan that was announced cannot be one; empty if it can."""
    declared = None if microscope is None else microscope.announcements
    if declared is None or declared.topic != topic:
        return f"it names microscope {announced.microscope!a}, which is not declared for this topic"
    if announced.stream is not None and declared.frames_topic is None:
        return f"{announced.microscope} has no frames_topic on which a stream could come"
    return ""


def _streamed(
    microscope: Microscope, announced: ScanAnnouncement, announcement: Announcement, now: float
) -> ScanRecord:
    declared, stream = microscope.announcements, announced.stream
    if declared is None or stream is None:
        raise ValueError("no stream was announced")
    said = {"scan": announced.scan, "dtype": "sparse", **stream.model_dump(mode="json")}
    where = {"kafka": declared.kafka, "topic": declared.frames_topic}
    version = hashlib.sha256(json.dumps({**said, **where}, sort_keys=True).encode()).hexdigest()[:24]
    return ScanRecord(
        microscope.name,
        announced.scan,
        name="",
        version=version,
        found_at=now,
        stream={**said, **where, "announced_ms": announcement.timestamp_ms},
    )


def _check_text(name: str) -> None:
    reason = explain_name(name)
    if reason:
        raise ValueError(f"{name!a} cannot be used: {reason}")
