"""The record of a run: what its RunStart said and where it lay, kept in the object store.

The sensor writes it once, before it asks for the Dagster run, so that a replay needs no run-info topic. This
module also says which RunStarts are acceptable and what a run's partition is called.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from runstart.errors import Alert
from runstart.events import RunStart, decode
from runstart.kafka import Announcement
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

MS_TO_NS = 1_000_000
EARLIEST_START_MS = 946_684_800_000  # 2000-01-01: earlier start times are unset clocks or other units
LATEST_TIME_MS = 7_258_118_400_000  # 2200-01-01: later times are no clock's, and would not fit 64-bit ns for long
LARGEST_LEAD_MS = 24 * 3_600_000  # a start later than this after its own message is a wrong clock
LONGEST_NAME = 64  # characters of a run name that go into the partition key
LARGEST_PERIODS = 4096

_RECORD_FIELDS = ("instrument", "partition_key", "payload", "topic", "partition", "offset", "timestamp_ms")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True)
class RunRecord:
    """A run that an instrument announced.

    Attributes
    ----------
    instrument : str
        Name of the instrument in instruments.toml.
    partition_key : str
        Key of the run in Dagster and in the object store.
    start : RunStart
        The announcement.
    topic, partition, offset, timestamp_ms
        Where the announcement lies, and Kafka's time of it.
    """

    instrument: str
    partition_key: str
    start: RunStart
    payload: bytes
    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def start_time_ns(self) -> int:
        """Start of the run in ns since 1970."""
        return self.start.start_time_ms * MS_TO_NS

    @property
    def planned_stop_ns(self) -> int | None:
        """Stop that the RunStart itself announced, in ns since 1970; None if it did not, or an absurd one."""
        planned = self.start.stop_time_ms
        return planned * MS_TO_NS if self.start.start_time_ms < planned < LATEST_TIME_MS else None


def refusal(start: RunStart, timestamp_ms: int) -> str | None:
    """Return why a RunStart cannot be a run, or None if it can.

    Parameters
    ----------
    start : RunStart
        The announcement.
    timestamp_ms : int
        Kafka's timestamp of its message: the clock that the start time is held against.
    """
    if start.start_time_ms < EARLIEST_START_MS:
        return f"its start time of {start.start_time_ms} ms lies before the year 2000: unset clock, or not in ms"
    if start.start_time_ms >= LATEST_TIME_MS:
        return f"its start time of {start.start_time_ms} ms lies after the year 2199: no clock gives it"
    if start.start_time_ms > timestamp_ms + LARGEST_LEAD_MS:
        return f"its start time of {start.start_time_ms} ms lies over a day after its own message"
    if start.n_periods > LARGEST_PERIODS:
        return f"its {start.n_periods} periods are more than {LARGEST_PERIODS}"
    return None


def name_partition(run_name: str, start_time_ms: int) -> str:
    """Return the partition key of a run: its start in UTC and its name, safe in paths, pages and shells.

    Characters other than letters, digits, `.`, `_`, `+` and `-` become `-`. A name that had to be changed or cut
    gets eight digits of its SHA-256, so that two names never share a key.
    """
    name = _UNSAFE.sub("-", run_name)[:LONGEST_NAME].strip("._-") or "unnamed"
    if name != run_name:
        name += f"-{hashlib.sha256(run_name.encode()).hexdigest()[:8]}"
    began = datetime.fromtimestamp(start_time_ms // 1000, UTC)
    return f"{began:%Y%m%dT%H%M%S}.{start_time_ms % 1000:03d}Z_{name}"


def make_record(instrument: str, announcement: Announcement, start: RunStart) -> RunRecord:
    """Return the record of an acceptable RunStart."""
    return RunRecord(
        instrument=instrument,
        partition_key=name_partition(start.run_name, start.start_time_ms),
        start=start,
        payload=announcement.payload,
        topic=announcement.topic,
        partition=announcement.partition,
        offset=announcement.offset,
        timestamp_ms=announcement.timestamp_ms,
    )


def run_prefix(instrument: str, partition_key: str) -> str:
    """Return the folder of a run in the object store."""
    return f"live/{instrument}/{partition_key}"


def save_record(store: ObjectStore, record: RunRecord) -> None:
    """Write a record once; a RunStart that is announced again leaves the first record as it is."""
    text = json.dumps(
        {
            "instrument": record.instrument,
            "partition_key": record.partition_key,
            "run_name": record.start.run_name,
            "payload": base64.b64encode(record.payload).decode(),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp_ms": record.timestamp_ms,
        },
        indent=1,
    )
    try:
        store.put_if_absent(_record_key(record.instrument, record.partition_key), text.encode())
    except PreconditionFailed:
        return


def load_record(store: ObjectStore, instrument: str, partition_key: str) -> RunRecord:
    """Return the record of a run.

    Raises
    ------
    Alert
        If no RunStart of that key has been seen, or its record lacks what every version has written.
    """
    try:
        fields = json.loads(store.get(_record_key(instrument, partition_key)).data)
    except ObjectMissing as error:
        raise Alert(
            f"No RunStart was recorded for run {partition_key} of {instrument}.",
            "Choose a partition that the sensor added, or look whether the object store is the right one.",
        ) from error
    lacking = [name for name in _RECORD_FIELDS if name not in fields]
    if lacking:
        raise Alert(
            f"The record of run {partition_key} of {instrument} has no {lacking[0]}, which every version writes.",
            "It has been changed by something else; restore run_start.json.",
        )
    payload = base64.b64decode(fields["payload"])
    start = decode(payload)
    if not isinstance(start, RunStart):
        raise TypeError(f"The record of run {partition_key} of {instrument} holds no RunStart.")
    return RunRecord(
        instrument=fields["instrument"],
        partition_key=fields["partition_key"],
        start=start,
        payload=payload,
        topic=fields["topic"],
        partition=fields["partition"],
        offset=fields["offset"],
        timestamp_ms=fields["timestamp_ms"],
    )


def _record_key(instrument: str, partition_key: str) -> str:
    return f"{run_prefix(instrument, partition_key)}/run_start.json"
