"""What devices and programs say beside the events: logged values, samples, alarms and status.

Strings that the sender left out are empty, unless None is said to mean it. A message equals another of the same
type with equal fields and arrays of equal type and content; NaN equals NaN. Messages that hold arrays cannot be
hashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runstart.events._equality import same_fields

__all__ = [
    "AlarmMessage",
    "FastSamples",
    "LogMessage",
    "LogValue",
    "SampleLocation",
    "Severity",
    "StatusMessage",
]

LogValue: TypeAlias = int | float | str | NDArray[Any] | tuple[str, ...]
"""One number, one text, a vector of numbers in the sender's type, or several texts."""


class Severity(IntEnum):
    """How far a value can be trusted, in EPICS's words; messages carry the first four."""

    OK = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3
    DISCONNECTED = 4
    """Nobody answers: our own word, which no message carries."""


class SampleLocation(IntEnum):
    """Which moment of the time that a sample was taken over its time names (se00)."""

    UNKNOWN = 0
    START = 1
    MIDDLE = 2
    END = 3


@dataclass(frozen=True, slots=True, eq=False)
class LogMessage:
    """One value of one source at one time (f142 or f144)."""

    schema: Literal["f142", "f144"]
    """The schema that the message came in."""
    source_name: str
    """What was measured or set, such as the name of an EPICS process variable."""
    value: LogValue
    """The value; its unit is not sent. An array has shape (n,). Only f142 has texts."""
    time_ns: int
    """When the value was taken, in nanoseconds since 1970 UTC (f142: not negative)."""
    severity: Severity | None = None
    """How far the value can be trusted; None means that the message does not say (f144 never does)."""
    status: str | None = None
    """EPICS alarm status such as `HIHI`, as f142 numbers them; None means that the message does not say."""

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, eq=False)
class FastSamples:
    """Samples of one channel, many to a message (se00)."""

    source_name: str
    """The device."""
    channel: int
    """Number of the device's channel (int32)."""
    time_ns: int
    """When the message was made, or the time of the first sample, in nanoseconds since 1970 UTC."""
    values: NDArray[Any]
    """The samples in the sender's type and unit, shape (samples,)."""
    interval_ns: float = 0.0
    """Nanoseconds from sample to sample; not above 0 means that they have times of their own."""
    sample_time_ns: NDArray[np.int64] | None = None
    """Time of each sample in nanoseconds since 1970 UTC, shape (samples,); None means that none were sent."""
    location: SampleLocation = SampleLocation.UNKNOWN
    """Which moment of a sample its time names."""
    message_id: int = 0
    """Running number of the channel's messages (int64)."""

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class AlarmMessage:
    """A source's alarm begins, changes or ends (al00)."""

    source_name: str
    """What the alarm is about, such as the name of an EPICS process variable."""
    time_ns: int
    """When, in nanoseconds since 1970 UTC."""
    severity: Severity
    """How bad; OK ends the alarm."""
    text: str = ""
    """What the source says about it."""


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A program is alive and says how it is (x5f2)."""

    software_name: str
    """The program."""
    software_version: str = ""
    """Its version."""
    service_id: str = ""
    """Which of several such programs."""
    host_name: str = ""
    """The machine that it runs on."""
    process_id: int = 0
    """Its process there (uint32)."""
    update_interval_ms: int = 0
    """Milliseconds to the next such message (uint32)."""
    status_json: str = ""
    """JSON, by the program's own rules; not checked."""
