"""Reads f142, f144, se00, al00 and x5f2, by the rules that `runstart.events.decoding` states."""

from __future__ import annotations

from typing import Any

import numpy as np

from runstart.events._tables import Buffer, Schema, read_array, read_text
from runstart.events._values import LOG_TEXT, SAMPLE_ARRAYS, read_log_value, read_typed_array
from runstart.events.log_messages import (
    AlarmMessage,
    FastSamples,
    LogMessage,
    SampleLocation,
    Severity,
    StatusMessage,
)
from runstart.events.messages import MalformedMessage

__all__ = [
    "AL00_SCHEMA",
    "ALARM_SEVERITIES",
    "ALARM_STATUSES",
    "F142_SCHEMA",
    "F144_SCHEMA",
    "SE00_SCHEMA",
    "X5F2_SCHEMA",
    "read_al00",
    "read_f142",
    "read_f144",
    "read_se00",
    "read_x5f2",
]

ALARM_STATUSES = (
    *("NO_ALARM", "READ", "WRITE", "HIHI", "HIGH", "LOLO", "LOW", "STATE", "COS", "COMM", "TIMED", "HWLIMIT"),
    *("CALC", "SCAN", "LINK", "SOFT", "BAD_SUB", "UDF", "DISABLE", "SIMM", "READ_ACCESS", "WRITE_ACCESS"),
    None,
)
"""Alarm status by its number in f142; None where the message does not say."""
ALARM_SEVERITIES = (Severity.MINOR, Severity.MAJOR, Severity.OK, Severity.INVALID, None)
"""Severity by its number in f142, which is not EPICS's; None where the message does not say."""

_NOT_SAID = (len(ALARM_STATUSES) - 1, len(ALARM_SEVERITIES) - 1)
F142_SCHEMA = Schema("IBIQHH", (0, 0, 0, 0, *_NOT_SAID))
F144_SCHEMA = Schema("IqBI", (0, 0, 0, 0))
SE00_SCHEMA = Schema("IiqdbBIIq", (0, 0, 0, 0.0, 0, 0, 0, 0, 0))
AL00_SCHEMA = Schema("IqhI", (0, 0, 0, 0))
X5F2_SCHEMA = Schema("IIIIIII", (0, 0, 0, 0, 0, 0, 0))

_INT64 = np.dtype("<i8")
_LARGEST_INT64 = 2**63 - 1


def read_f142(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> LogMessage:
    """Return a logged value (f142) from the values of its table's fields and their positions."""
    source, kind, value, time_ns, status, severity = values
    if time_ns > _LARGEST_INT64:
        raise MalformedMessage("the time does not fit a signed 64-bit integer")
    if status >= len(ALARM_STATUSES) or severity >= len(ALARM_SEVERITIES):
        raise MalformedMessage(f"the unknown alarm status {status} or severity {severity}")
    return LogMessage(
        "f142",
        read_text(buffer, positions[0], source),
        read_log_value(buffer, kind, positions[2], value),
        time_ns,
        ALARM_SEVERITIES[severity],
        ALARM_STATUSES[status],
    )


def read_f144(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> LogMessage:
    """Return a logged value (f144) from the values of its table's fields and their positions."""
    source, time_ns, kind, value = values
    if kind >= LOG_TEXT:
        raise MalformedMessage(f"a value of the unknown type {kind}")
    name = read_text(buffer, positions[0], source)
    return LogMessage("f144", name, read_log_value(buffer, kind, positions[3], value), time_ns)


def read_se00(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> FastSamples:
    """Return samples (se00) from the values of its table's fields and their positions."""
    name, channel, time_ns, interval_ns, location, kind, samples, times, message_id = values
    array = read_typed_array(buffer, kind, positions[6], samples, SAMPLE_ARRAYS)
    sample_time_ns = read_array(buffer, positions[7], times, _INT64) if positions[7] else None
    if sample_time_ns is not None and sample_time_ns.size != array.size:
        if sample_time_ns.size:
            raise MalformedMessage(f"{sample_time_ns.size} times with {array.size} samples")
        sample_time_ns = None
    if not 0 <= location < len(SampleLocation):
        raise MalformedMessage(f"the unknown location {location} of a sample's time")
    return FastSamples(
        source_name=read_text(buffer, positions[0], name),
        channel=channel,
        time_ns=time_ns,
        values=array,
        interval_ns=interval_ns,
        sample_time_ns=sample_time_ns,
        location=SampleLocation(location),
        message_id=message_id,
    )


def read_al00(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> AlarmMessage:
    """Return an alarm (al00) from the values of its table's fields and their positions."""
    source, time_ns, severity, text = values
    if not Severity.OK <= severity <= Severity.INVALID:
        raise MalformedMessage(f"the unknown severity {severity}")
    source_name = read_text(buffer, positions[0], source)
    return AlarmMessage(source_name, time_ns, Severity(severity), read_text(buffer, positions[3], text))


def read_x5f2(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> StatusMessage:
    """Return a program's status (x5f2) from the values of its table's fields and their positions."""
    name, version, service, host, status = (
        read_text(buffer, positions[field], values[field]) for field in (0, 1, 2, 3, 6)
    )
    return StatusMessage(name, version, service, host, values[4], values[5], status)
