"""Reads events: ev42 and ev44, by the rules that `runstart.events.decoding` states.

These are read thousands of times a second, so calls that would cost more than what they do are written out.
"""

from __future__ import annotations

import struct
from dataclasses import fields
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.events._tables import Buffer, Schema, align_array, read_string, read_table
from runstart.events.messages import EventMessage, IsisData, MalformedMessage, RunState

__all__ = ["EV42_SCHEMA", "EV44_SCHEMA", "read_ev42", "read_ev44"]

EV42_SCHEMA = Schema("IQQIIBI", (0, 0, 0, 0, 0, 0, 0))
EV44_SCHEMA = Schema("IqIIII", (0, 0, 0, 0, 0, 0))
_ISIS_SCHEMA = Schema("Ibf", (0, 0, 0.0))

_UNION_ISIS, _UNION_ADC_DEBUG = 1, 2
_RUN_STATES = {state.value: state for state in RunState}
_LARGEST_INT64 = 2**63 - 1
_FEW_PULSES = 64  # up to here a list is quicker than numpy

_i32 = np.dtype("<i4")
_u32 = np.dtype("<u4")
_i64 = np.dtype("<i8")
_frombuffer = np.frombuffer
_uint32 = Struct("<I").unpack_from
_int32 = Struct("<i").unpack_from

_NO_INT32 = np.frombuffer(b"", _i32)
_NO_UINT32 = np.frombuffer(b"", _u32)
_FROM_THE_FIRST = np.frombuffer(bytes(4), _i32)
_AT_1970 = np.frombuffer(bytes(8), _i64)


class _Draft:
    # Becomes an EventMessage once filled: a frozen dataclass would set its fields by slow calls.
    __slots__ = tuple(field.name for field in fields(EventMessage))


def read_ev42(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> EventMessage:
    """Return the events of one pulse (ev42) from the values of its table's fields and their positions."""
    source, message_id, pulse_time, tof, detector, facility_type, facility = values
    source_at, _, pulse_at, tof_at, detector_at, _, facility_at = positions
    if pulse_time > _LARGEST_INT64:
        raise MalformedMessage("the pulse time does not fit a signed 64-bit integer")
    if (tof_at and not tof) or (detector_at and not detector):
        raise MalformedMessage("the offset of a vector leads to itself")
    n_events = n_detector_ids = 0
    message: Any = _Draft()
    message.pulse_time_ns = _AT_1970
    message.pulse_index = _FROM_THE_FIRST
    message.time_of_flight_ns = _NO_UINT32
    message.detector_id = None
    try:
        if pulse_at:
            message.pulse_time_ns = _frombuffer(buffer, _i64, 1, pulse_at)
        if tof_at:
            (n_events,) = _uint32(buffer, tof_at + tof)
            message.time_of_flight_ns = _frombuffer(buffer, _u32, n_events, tof_at + tof + 4)
        if detector_at:
            (n_detector_ids,) = _uint32(buffer, detector_at + detector)
            message.detector_id = _frombuffer(buffer, _u32, n_detector_ids, detector_at + detector + 4)
    except (struct.error, ValueError) as error:
        raise MalformedMessage("a vector lies outside the message") from error
    if n_detector_ids != n_events:
        _drop_detector_ids(message)
    if (tof_at + tof | detector_at + detector) & 3 or pulse_at & 7:
        _align(message)
    message.schema = "ev42"
    message.source_name = read_string(buffer, source_at, source) if source_at else ""
    message.message_id = message_id
    message.facility = (
        _read_facility(buffer, facility_type, facility_at, facility) if facility_type or facility_at else None
    )
    message.__class__ = EventMessage
    return message  # type: ignore[no-any-return]


def read_ev44(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> EventMessage:
    """Return the events of any number of pulses (ev44) from its table's values and their positions."""
    source, message_id, times, indices, tof, pixel = values
    source_at, _, times_at, indices_at, tof_at, pixel_at = positions
    if not (source and times and indices) or (tof_at and not tof) or (pixel_at and not pixel):
        raise MalformedMessage("a required field was left out, or an offset leads to itself")
    n_events = n_pixels = 0
    message: Any = _Draft()
    message.time_of_flight_ns = _NO_INT32
    message.detector_id = None
    try:
        (n_pulses,) = _uint32(buffer, times_at + times)
        message.pulse_time_ns = _frombuffer(buffer, _i64, n_pulses, times_at + times + 4)
        (n_indices,) = _uint32(buffer, indices_at + indices)
        if n_indices == 1:
            (first_event,) = _int32(buffer, indices_at + indices + 4)
            message.pulse_index = _FROM_THE_FIRST
        else:
            first_event = 0
            message.pulse_index = _frombuffer(buffer, _i32, n_indices, indices_at + indices + 4)
        if tof_at:
            (n_events,) = _uint32(buffer, tof_at + tof)
            message.time_of_flight_ns = _frombuffer(buffer, _i32, n_events, tof_at + tof + 4)
        if pixel_at:
            (n_pixels,) = _uint32(buffer, pixel_at + pixel)
            message.detector_id = _frombuffer(buffer, _i32, n_pixels, pixel_at + pixel + 4)
    except (struct.error, ValueError) as error:
        raise MalformedMessage("a vector lies outside the message") from error
    if n_pixels != n_events:
        _drop_detector_ids(message)
    if first_event:
        raise MalformedMessage("the first pulse does not begin at event 0")
    if n_indices != 1 or n_pulses != 1:
        _check_pulses(n_pulses, message.pulse_index, n_events)
    if (tof_at + tof | pixel_at + pixel | indices_at + indices) & 3 or (times_at + times + 4) & 7:
        _align(message)
    message.schema = "ev44"
    message.source_name = read_string(buffer, source_at, source)
    message.message_id = message_id
    message.facility = None
    message.__class__ = EventMessage
    return message  # type: ignore[no-any-return]


def _drop_detector_ids(message: Any) -> None:
    """Make a message with an empty vector of detector ids one without pixels."""
    if message.detector_id is not None:
        if message.detector_id.size:
            n_events = message.time_of_flight_ns.size
            raise MalformedMessage(f"{message.detector_id.size} detector ids with {n_events} times of flight")
        message.detector_id = None


def _check_pulses(n_pulses: int, pulse_index: NDArray[np.int32], n_events: int) -> None:
    if pulse_index.size != n_pulses:
        raise MalformedMessage(f"{n_pulses} pulse times with {pulse_index.size} indices")
    if n_pulses == 0:
        if n_events:
            raise MalformedMessage(f"{n_events} events without a pulse")
    elif pulse_index[0] != 0:
        raise MalformedMessage("the first pulse does not begin at event 0")
    elif pulse_index[-1] > n_events or _falls(pulse_index):
        raise MalformedMessage("the indices of the pulses fall, or leave the events")


def _falls(pulse_index: NDArray[np.int32]) -> bool:
    if pulse_index.size <= _FEW_PULSES:
        indices = pulse_index.tolist()
        return bool(indices != sorted(indices))
    return bool((pulse_index[1:] < pulse_index[:-1]).any())


def _align(message: Any) -> None:
    message.pulse_time_ns = align_array(message.pulse_time_ns)
    message.time_of_flight_ns = align_array(message.time_of_flight_ns)
    if message.detector_id is not None:
        message.detector_id = align_array(message.detector_id)
    message.pulse_index = align_array(message.pulse_index)


def _read_facility(buffer: Buffer, facility_type: int, field: int, distance: int) -> IsisData | None:
    if facility_type == _UNION_ADC_DEBUG:
        return None
    if facility_type != _UNION_ISIS or not field or not distance:
        raise MalformedMessage(f"facility data of the unknown type {facility_type}, or left out")
    (period_number, run_state, proton_charge), _ = read_table(buffer, field + distance, _ISIS_SCHEMA)
    state = _RUN_STATES.get(run_state)
    if state is None:
        raise MalformedMessage(f"the unknown run state {run_state}")
    return IsisData(period_number, state, proton_charge)
