"""Turns logged values, samples, alarms and status into payloads, by the rules of `runstart.events.encoding`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.events._building import (
    add_string,
    add_strings,
    add_table,
    as_little_endian,
    finish,
    new_builder,
    vector,
    whole,
)
from runstart.events._log_tables import ALARM_SEVERITIES, ALARM_STATUSES
from runstart.events._values import LOG_NUMBERS, LOG_TEXT, LOG_TEXTS, SAMPLE_ARRAYS, NumberTypes
from runstart.events.log_messages import AlarmMessage, FastSamples, LogMessage, LogValue, Severity, StatusMessage
from runstart.events.messages import MalformedMessage
from runstart.schemas.generated import (
    Alarm,
    ArrayDouble,
    ArrayString,
    Double,
    LogData142,
    LogData144,
    Long,
    SampleData,
    Status,
    String,
    ULong,
)

__all__ = ["add_typed_array", "encode_alarm", "encode_log", "encode_samples", "encode_status"]

_LONG, _ULONG, _DOUBLE = 7, 8, 10
_LARGEST_INT64 = 2**63 - 1


def encode_log(message: LogMessage) -> bytes:
    """Return an f142 or f144 payload.

    A whole number travels as Long (ULong above its range), another number as Double, an array in its own type.

    Raises
    ------
    MalformedMessage
        If the schema has no such value, status or severity, or a number does not fit its field.
    """
    builder = new_builder(message.value.nbytes if isinstance(message.value, np.ndarray) else 0)
    source = add_string(builder, message.source_name)
    kind, value = _add_value(builder, message.value)
    time_ns = whole("time_ns", message.time_ns, np.int64)
    fields = {"SourceName": source, "Timestamp": time_ns, "ValueType": kind, "Value": value}
    if message.schema == "f144":
        if message.severity is not None or message.status is not None or kind >= LOG_TEXT:
            raise MalformedMessage("f144 carries neither texts nor alarms")
        return finish(builder, add_table(builder, LogData144, **fields), b"f144")
    if time_ns < 0:
        raise MalformedMessage(f"time_ns = {time_ns} does not fit f142, which has no times before 1970")
    if message.status not in ALARM_STATUSES or message.severity not in ALARM_SEVERITIES:
        raise MalformedMessage(f"f142 has no status {message.status!r} or no severity {message.severity!r}")
    fields["Status"] = ALARM_STATUSES.index(message.status)
    fields["Severity"] = ALARM_SEVERITIES.index(message.severity)
    return finish(builder, add_table(builder, LogData142, **fields), b"f142")


def encode_samples(message: FastSamples) -> bytes:
    """Return an se00 payload.

    Raises
    ------
    MalformedMessage
        If times and samples differ in number, the samples' type is not in the schema, or a number does not fit.
    """
    builder = new_builder(message.values.nbytes * 3)
    name = add_string(builder, message.source_name)
    kind, values = add_typed_array(builder, "values", message.values, SAMPLE_ARRAYS)
    times = message.sample_time_ns
    fields: dict[str, Any] = {
        "Name": name,
        "Channel": whole("channel", message.channel, np.int32),
        "PacketTimestamp": whole("time_ns", message.time_ns, np.int64),
        "TimeDelta": float(message.interval_ns),
        "TimestampLocation": int(message.location),
        "ValuesType": kind,
        "Values": values,
        "MessageCounter": whole("message_id", message.message_id, np.int64),
    }
    if times is not None:
        if len(times) != message.values.size:
            raise MalformedMessage(f"{len(times)} times with {message.values.size} samples")
        fields["Timestamps"] = builder.CreateNumpyVector(vector("sample_time_ns", times, np.int64))
    return finish(builder, add_table(builder, SampleData, **fields), b"se00")


def encode_alarm(message: AlarmMessage) -> bytes:
    """Return an al00 payload.

    Raises
    ------
    MalformedMessage
        If the severity is none that messages carry, or a number does not fit its field.
    """
    if message.severity == Severity.DISCONNECTED:
        raise MalformedMessage("al00 has no severity for a source that does not answer")
    builder = new_builder()
    alarm = add_table(
        builder,
        Alarm,
        SourceName=add_string(builder, message.source_name),
        Timestamp=whole("time_ns", message.time_ns, np.int64),
        Severity=int(message.severity),
        Message=add_string(builder, message.text),
    )
    return finish(builder, alarm, b"al00")


def encode_status(message: StatusMessage) -> bytes:
    """Return an x5f2 payload.

    Raises
    ------
    MalformedMessage
        If a number does not fit its field, or a string is not Unicode text.
    """
    builder = new_builder()
    status = add_table(
        builder,
        Status,
        SoftwareName=add_string(builder, message.software_name),
        SoftwareVersion=add_string(builder, message.software_version),
        ServiceId=add_string(builder, message.service_id),
        HostName=add_string(builder, message.host_name),
        ProcessId=whole("process_id", message.process_id, np.uint32),
        UpdateInterval=whole("update_interval_ms", message.update_interval_ms, np.uint32),
        StatusJson=add_string(builder, message.status_json),
    )
    return finish(builder, status, b"x5f2")


def add_typed_array(builder: Any, name: str, array: NDArray[Any], types: NumberTypes) -> tuple[int, int]:
    """Write a vector of numbers in its own type for a union; return the union's number for it and its offset.

    Parameters
    ----------
    builder : flatbuffers.Builder
        Where to write.
    name : str
        What to call it in an error.
    array : ndarray
        The numbers; all dimensions are written, the last running fastest.
    types : dict of int to numpy.dtype
        The union's members.

    Raises
    ------
    MalformedMessage
        If the union has no such type.
    """
    little = as_little_endian(np.asarray(array))
    kind = next((number for number, dtype in types.items() if dtype == little.dtype), None)
    if kind is None:
        raise MalformedMessage(f"{name} holds {little.dtype}, which its schema has not")
    items = builder.CreateNumpyVector(little.reshape(-1))
    # All tables of one vector are alike on the wire, whatever their items.
    return kind, add_table(builder, ArrayDouble, Value=items)


def _add_value(builder: Any, value: LogValue) -> tuple[int, int]:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return LOG_TEXT, add_table(builder, String, Value=add_string(builder, value))
    if isinstance(value, tuple):
        return LOG_TEXTS, add_table(builder, ArrayString, Value=add_strings(builder, value))
    if isinstance(value, np.ndarray):
        if value.ndim != 1:
            raise MalformedMessage(f"a value of {value.ndim} dimensions, not one")
        kind, offset = add_typed_array(builder, "value", value, LOG_NUMBERS)
        return kind + len(LOG_NUMBERS), offset
    if isinstance(value, float):
        return _DOUBLE, add_table(builder, Double, Value=value)
    if isinstance(value, int) and value > _LARGEST_INT64:
        return _ULONG, add_table(builder, ULong, Value=whole("value", value, np.uint64))
    if isinstance(value, int):
        return _LONG, add_table(builder, Long, Value=whole("value", int(value), np.int64))
    raise MalformedMessage(f"a value of the type {type(value).__name__}")
