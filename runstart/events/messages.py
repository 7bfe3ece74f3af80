"""What the streams say, as frozen dataclasses: units are in the names, arrays are read-only.

A message equals another of the same type with equal fields and arrays of equal type and content. Messages
that hold arrays cannot be hashed. Logged values and published arrays have files of their own: `log_messages`
and `array_messages`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runstart.events._equality import same_fields
from runstart.events.array_messages import DataArrayMessage, HistogramMessage
from runstart.events.log_messages import AlarmMessage, FastSamples, LogMessage, Severity, StatusMessage

__all__ = [
    "DetectorSpectrumMap",
    "EventMessage",
    "ForeignMessage",
    "IsisData",
    "MalformedMessage",
    "Message",
    "RunStart",
    "RunState",
    "RunStop",
    "Severity",
]

_SUCCESSORS = {"ev43": "ev44", "senv": "se00"}


class MalformedMessage(ValueError):
    """A payload that is no valid message of a schema that Runstart reads; the text says why."""


class ForeignMessage(MalformedMessage):
    """A payload of a schema that Runstart does not read, such as a camera's picture (ad00).

    Parameters
    ----------
    schema : str
        The identifier that the payload carries: four printable ASCII characters.
    """

    def __init__(self, schema: str) -> None:
        text = f"schema {schema!r} is not one of those that are read here"
        if schema in _SUCCESSORS:
            successor = _SUCCESSORS[schema]
            text += f": it is superseded by {successor!r}; set the producer to send {successor!r}"
        super().__init__(text)
        self.schema = schema

    def __reduce__(self) -> tuple[type[ForeignMessage], tuple[str]]:
        return ForeignMessage, (self.schema,)


class RunState(IntEnum):
    """What the instrument was doing at a pulse (is84)."""

    SETUP = 0
    RUNNING = 1


@dataclass(frozen=True, slots=True)
class IsisData:
    """The state of the machine at the pulse of an ev42 message (is84)."""

    period_number: int
    """Which period the events belong to, as the sender counts (uint32)."""
    run_state: RunState = RunState.RUNNING
    """Whether the run was being set up or was running."""
    proton_charge: float = 0.0
    """Charge of this pulse in the sender's unit (uA h at ISIS), float32; not checked, so it may be NaN."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectorSpectrumMap:
    """Which spectrum each detector belongs to (df12)."""

    spectrum: NDArray[np.int32]
    """Spectrum numbers, shape (n,)."""
    detector_id: NDArray[np.int32]
    """Detector ids, shape (n,)."""
    n_spectra: int
    """Number of distinct spectra, as the sender says; not checked."""

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class RunStart:
    """The announcement that a run begins (pl72). Strings that the sender left out are empty."""

    start_time_ms: int
    """Milliseconds since 1970 UTC (uint64: any value may come)."""
    stop_time_ms: int = 0
    """Milliseconds since 1970 UTC; 0 means not known yet."""
    run_name: str = ""
    """The run's name, often its number."""
    instrument_name: str = ""
    """The instrument that the run is at."""
    nexus_structure: str = ""
    """JSON that describes the NeXus file to write."""
    job_id: str = ""
    """Identifier of the file-writing job."""
    broker: str = ""
    """Broker of the run's data, as host:port."""
    service_id: str = ""
    """The file writer that is addressed; empty means any."""
    filename: str = ""
    """Name of the file to write."""
    n_periods: int = 1
    """Number of periods, at least 1."""
    detector_spectrum_map: DetectorSpectrumMap | None = None
    """Detectors grouped to spectra; None means that none was sent."""
    metadata: str = ""
    """JSON with whatever the facility adds."""
    control_topic: str = ""
    """Topic for commands to the file writer."""


@dataclass(frozen=True, slots=True)
class RunStop:
    """The announcement that a run ends (6s4t). Strings that the sender left out are empty."""

    stop_time_ms: int
    """Milliseconds since 1970 UTC; 0 means now."""
    run_name: str = ""
    """The run's name, as in its RunStart."""
    job_id: str = ""
    """Identifier of the file-writing job."""
    service_id: str = ""
    """The file writer that is addressed; empty means any."""
    command_id: str = ""
    """Identifier of this command."""


@dataclass(frozen=True, slots=True, eq=False)
class EventMessage:
    """Events of one pulse (ev42) or of any number of pulses (ev44).

    Pulse k has the events ``pulse_index[k]`` up to, not including, ``pulse_index[k + 1]``; the last pulse
    has the rest. Where there are pulses ``pulse_index[0]`` is 0, and where there are events there is a pulse,
    so that every event belongs to exactly one.
    """

    schema: Literal["ev42", "ev44"]
    """The schema that the message came in."""
    source_name: str
    """The producer; message ids count up for each by itself."""
    message_id: int
    """Running number (ev42: uint64, ev44: int64)."""
    pulse_time_ns: NDArray[np.int64]
    """Times of the pulses in nanoseconds since 1970 UTC, shape (pulses,); in any order."""
    pulse_index: NDArray[np.int32]
    """First event of each pulse, shape (pulses,), never falling."""
    time_of_flight_ns: NDArray[np.uint32] | NDArray[np.int32]
    """Nanoseconds after the pulse, shape (events,): uint32 in ev42, int32 (even negative) in ev44."""
    detector_id: NDArray[np.uint32] | NDArray[np.int32] | None = None
    """Detector ids, shape (events,), typed as the times of flight; None means a source without pixels."""
    facility: IsisData | None = None
    """What ISIS adds to ev42; None for other senders and for ev44."""

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.time_of_flight_ns.size

    @property
    def n_pulses(self) -> int:
        """Number of pulses."""
        return self.pulse_time_ns.size

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


Message: TypeAlias = (
    RunStart
    | RunStop
    | DetectorSpectrumMap
    | EventMessage
    | LogMessage
    | FastSamples
    | AlarmMessage
    | StatusMessage
    | DataArrayMessage
    | HistogramMessage
)
"""Whatever `runstart.events.decode` returns."""
