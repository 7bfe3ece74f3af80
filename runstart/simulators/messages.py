"""Cuts a source's events into messages: whole pulses, in the order of time, none larger than a broker takes.

ev42 has one pulse a message, with its period and proton charge; ev44 has any number of pulses and neither. A
pulse of too many events is cut into several messages of the same pulse time, each with an id of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from runstart.errors import Alert
from runstart.events import IsisData, RunState, encode_ev42, encode_ev44
from runstart.simulators.nexus import EventFile, EventSource

Schema = Literal["ev42", "ev44"]

MAX_MESSAGE_BYTES = 500_000  # brokers take 1,000,000 unless told otherwise
_BYTES_PER_EVENT = 8  # detector id and time of flight
_BYTES_PER_PULSE = 12  # time and index
MAX_PULSES = 1000
MAX_EVENTS = (MAX_MESSAGE_BYTES - MAX_PULSES * _BYTES_PER_PULSE - 4_000) // _BYTES_PER_EVENT
_MAX_INT32 = 2_147_483_647


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """An encoded event message.

    Parameters
    ----------
    pulse_time_ns, last_pulse_time_ns : int
        Times of its first and last pulse, nanoseconds since 1970.
    n_pulses, n_events : int
        What it holds; of a pulse in several messages, the first counts the pulse.
    payload : bytes
    """

    pulse_time_ns: int
    last_pulse_time_ns: int
    n_pulses: int
    n_events: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Cut:
    """Pulses and events of one message, half-open."""

    pulse_begin: int
    pulse_end: int
    event_begin: int
    event_end: int
    continues: bool = False


def event_messages(
    source: EventSource,
    schema: Schema = "ev42",
    *,
    pulses_per_message: int = 1,
    shift_ns: int = 0,
    first_message_id: int = 0,
    max_events: int = MAX_EVENTS,
) -> Iterator[OutgoingMessage]:
    """Yield the messages of a source.

    Parameters
    ----------
    source : EventSource
    schema : "ev42" or "ev44"
    pulses_per_message : int
        At most so many pulses, and never more than 1000, are put into one ev44 message.
    shift_ns : int
        Added to every pulse time.
    first_message_id : int
        Ids rise by one from here.
    max_events : int
        At most so many events are put into one message.

    Yields
    ------
    OutgoingMessage
    """
    per_message = min(pulses_per_message, MAX_PULSES) if schema == "ev44" else 1
    for message_id, cut in enumerate(_cuts(source, per_message, max_events), start=first_message_id):
        pulses = slice(cut.pulse_begin, cut.pulse_end)
        events = slice(cut.event_begin, cut.event_end)
        pulse_time_ns = source.pulse_time_ns[pulses] + shift_ns
        time_of_flight_ns = source.time_of_flight_ns[events]
        detector_id = None if source.detector_id is None else source.detector_id[events]
        if schema == "ev42":
            payload = encode_ev42(
                source.name,
                message_id,
                int(pulse_time_ns[0]),
                time_of_flight_ns,
                detector_id=detector_id,
                facility=IsisData(
                    period_number=int(source.period[cut.pulse_begin]),
                    run_state=RunState.RUNNING,
                    proton_charge=float(source.proton_charge[cut.pulse_begin]),
                ),
            )
        else:
            index = np.maximum(source.pulse_index[pulses] - cut.event_begin, 0).astype(np.int32)
            payload = encode_ev44(
                source.name, message_id, pulse_time_ns, index, time_of_flight_ns, detector_id=detector_id
            )
        yield OutgoingMessage(
            pulse_time_ns=int(pulse_time_ns[0]),
            last_pulse_time_ns=int(pulse_time_ns[-1]),
            n_pulses=0 if cut.continues else cut.pulse_end - cut.pulse_begin,
            n_events=cut.event_end - cut.event_begin,
            payload=payload,
        )


def check_format(file: EventFile, schema: Schema) -> None:
    """Check that a message format can carry a file's events.

    Raises
    ------
    Alert
        ev44 is asked to carry periods, or a number beyond int32.
    """
    if schema == "ev42":
        return
    remedy = "Use the format ev42."
    if file.n_periods > 1:
        raise Alert(f"ev44 cannot say to which of {file.n_periods} periods a pulse belongs.", remedy)
    for source in file.sources:
        for name, values in (
            ("time of flight", source.time_of_flight_ns),
            ("detector id", source.detector_id),
        ):
            if values is not None and values.size and values.max() > _MAX_INT32:
                raise Alert(f"{source.name}: {name} {values.max()} is too large for ev44.", remedy)


def _cuts(source: EventSource, pulses_per_message: int, max_events: int) -> Iterator[_Cut]:
    ends = np.append(source.pulse_index[1:], source.n_events)
    n_pulses = source.pulse_time_ns.size
    first = 0
    while first < n_pulses:
        begin = int(source.pulse_index[first])
        last = min(first + pulses_per_message, n_pulses)
        fitting = int(np.searchsorted(ends[first:last], begin + max_events, side="right"))
        if fitting:
            yield _Cut(first, first + fitting, begin, int(ends[first + fitting - 1]))
            first += fitting
            continue
        end = int(ends[first])
        for part in range(begin, end, max_events):
            yield _Cut(first, first + 1, part, min(part + max_events, end), continues=part > begin)
        first += 1
