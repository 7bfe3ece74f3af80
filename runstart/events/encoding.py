"""Turns messages into payloads that any reader of the schemas understands.

Every field is written, also where it has its default value, because some readers take an absent field for
an error; only what is None is left out. Each payload is decoded before it is handed over, so
nothing leaves that `decode` would refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from runstart.events._array_encoding import encode_data_array, encode_histogram
from runstart.events._building import add_string, finish, new_builder, vector, whole
from runstart.events._log_encoding import encode_alarm, encode_log, encode_samples, encode_status
from runstart.events.array_messages import DataArrayMessage, HistogramMessage
from runstart.events.log_messages import AlarmMessage, FastSamples, LogMessage, StatusMessage
from runstart.events.messages import (
    DetectorSpectrumMap,
    EventMessage,
    IsisData,
    MalformedMessage,
    Message,
    RunStart,
    RunStop,
)
from runstart.schemas.generated import Event44Message, FacilityData, ISISData, SpectraDetectorMapping
from runstart.schemas.generated import EventMessage as Event42Message
from runstart.schemas.generated import RunStart as RunStartTable
from runstart.schemas.generated import RunStop as RunStopTable

__all__ = [
    "encode",
    "encode_detector_spectrum_map",
    "encode_ev42",
    "encode_ev44",
    "encode_run_start",
    "encode_run_stop",
]


def encode(message: Message) -> bytes:
    """Return the payload of a message, so that decoding it gives an equal message.

    Raises
    ------
    MalformedMessage
        If the message breaks a rule of its schema: see `runstart.events.decoding`.
    """
    encode_it = _ENCODERS.get(type(message))
    if encode_it is None:
        raise MalformedMessage(f"{type(message).__name__} is no message")
    return encode_it(message)


def encode_run_start(message: RunStart) -> bytes:
    """Return a pl72 payload.

    Raises
    ------
    MalformedMessage
        If a number does not fit its field, a string is not Unicode text, or a rule is broken.
    """
    builder = new_builder()
    table = RunStartTable
    mapping = message.detector_spectrum_map
    references = [
        (table.AddRunName, add_string(builder, message.run_name)),
        (table.AddInstrumentName, add_string(builder, message.instrument_name)),
        (table.AddNexusStructure, add_string(builder, message.nexus_structure)),
        (table.AddJobId, add_string(builder, message.job_id)),
        (table.AddBroker, add_string(builder, message.broker)),
        (table.AddServiceId, add_string(builder, message.service_id)),
        (table.AddFilename, add_string(builder, message.filename)),
        (table.AddMetadata, add_string(builder, message.metadata)),
        (table.AddControlTopic, add_string(builder, message.control_topic)),
    ]
    if mapping is not None:
        references.append((table.AddDetectorSpectrumMap, _add_map(builder, mapping)))
    table.Start(builder)
    table.AddStartTime(builder, whole("start_time_ms", message.start_time_ms, np.uint64))
    table.AddStopTime(builder, whole("stop_time_ms", message.stop_time_ms, np.uint64))
    table.AddNPeriods(builder, whole("n_periods", message.n_periods, np.uint32))
    for add, offset in references:
        add(builder, offset)
    return finish(builder, table.End(builder), b"pl72")


def encode_run_stop(message: RunStop) -> bytes:
    """Return a 6s4t payload.

    Raises
    ------
    MalformedMessage
        If a number does not fit its field, or a string is not Unicode text.
    """
    builder = new_builder()
    table = RunStopTable
    references = [
        (table.AddRunName, add_string(builder, message.run_name)),
        (table.AddJobId, add_string(builder, message.job_id)),
        (table.AddServiceId, add_string(builder, message.service_id)),
        (table.AddCommandId, add_string(builder, message.command_id)),
    ]
    table.Start(builder)
    table.AddStopTime(builder, whole("stop_time_ms", message.stop_time_ms, np.uint64))
    for add, offset in references:
        add(builder, offset)
    return finish(builder, table.End(builder), b"6s4t")


def encode_detector_spectrum_map(message: DetectorSpectrumMap) -> bytes:
    """Return a df12 payload.

    Raises
    ------
    MalformedMessage
        If the vectors differ in length, or a number does not fit its field.
    """
    builder = new_builder(message.spectrum.nbytes + message.detector_id.nbytes)
    return finish(builder, _add_map(builder, message), b"df12")


def encode_ev42(
    source_name: str,
    message_id: int,
    pulse_time_ns: int,
    time_of_flight_ns: ArrayLike,
    *,
    detector_id: ArrayLike | None = None,
    facility: IsisData | None = None,
) -> bytes:
    """Return an ev42 payload: the events of one pulse.

    Parameters
    ----------
    source_name : str
        The producer.
    message_id : int
        Running number of the producer's messages.
    pulse_time_ns : int
        Nanoseconds since 1970 UTC, in [0, 2**63).
    time_of_flight_ns : array_like, shape (events,)
        Nanoseconds after the pulse; whole numbers that fit uint32.
    detector_id : array_like, shape (events,), optional
        Whole numbers that fit uint32; None for a source without pixels.
    facility : IsisData, optional
        The state of the machine; its charge is rounded to float32.

    Raises
    ------
    MalformedMessage
        If the vectors differ in length, or a number does not fit its field.
    """
    tofs = vector("time_of_flight_ns", time_of_flight_ns, np.uint32)
    ids = None if detector_id is None else vector("detector_id", detector_id, np.uint32)
    builder = new_builder(2 * tofs.nbytes)
    table = Event42Message
    source = add_string(builder, source_name)
    tof_offset = builder.CreateNumpyVector(tofs)
    id_offset = None if ids is None else builder.CreateNumpyVector(ids)
    facility_offset = None if facility is None else _add_facility(builder, facility)
    table.Start(builder)
    table.AddSourceName(builder, source)
    table.AddMessageId(builder, whole("message_id", message_id, np.uint64))
    table.AddPulseTime(builder, whole("pulse_time_ns", pulse_time_ns, np.uint64))
    table.AddTimeOfFlight(builder, tof_offset)
    if id_offset is not None:
        table.AddDetectorId(builder, id_offset)
    if facility_offset is not None:
        table.AddFacilitySpecificDataType(builder, FacilityData.FacilityData.ISISData)
        table.AddFacilitySpecificData(builder, facility_offset)
    return finish(builder, table.End(builder), b"ev42")


def encode_ev44(
    source_name: str,
    message_id: int,
    pulse_time_ns: ArrayLike,
    pulse_index: ArrayLike,
    time_of_flight_ns: ArrayLike,
    *,
    detector_id: ArrayLike | None = None,
) -> bytes:
    """Return an ev44 payload: the events of any number of pulses.

    Parameters
    ----------
    source_name : str
        The producer.
    message_id : int
        Running number of the producer's messages.
    pulse_time_ns : array_like, shape (pulses,)
        Nanoseconds since 1970 UTC; whole numbers that fit int64.
    pulse_index : array_like, shape (pulses,)
        First event of each pulse: begins at 0 and never falls.
    time_of_flight_ns : array_like, shape (events,)
        Nanoseconds after the pulse; whole numbers that fit int32.
    detector_id : array_like, shape (events,), optional
        Whole numbers that fit int32; None for a source without pixels.

    Raises
    ------
    MalformedMessage
        If lengths or indices do not fit together, or a number does not fit its field.
    """
    tofs = vector("time_of_flight_ns", time_of_flight_ns, np.int32)
    ids = None if detector_id is None else vector("detector_id", detector_id, np.int32)
    times = vector("pulse_time_ns", pulse_time_ns, np.int64)
    indices = vector("pulse_index", pulse_index, np.int32)
    builder = new_builder(2 * tofs.nbytes + times.nbytes + indices.nbytes)
    table = Event44Message
    source = add_string(builder, source_name)
    time_offset = builder.CreateNumpyVector(times)
    index_offset = builder.CreateNumpyVector(indices)
    tof_offset = builder.CreateNumpyVector(tofs)
    id_offset = None if ids is None else builder.CreateNumpyVector(ids)
    table.Start(builder)
    table.AddSourceName(builder, source)
    table.AddMessageId(builder, whole("message_id", message_id, np.int64))
    table.AddReferenceTime(builder, time_offset)
    table.AddReferenceTimeIndex(builder, index_offset)
    table.AddTimeOfFlight(builder, tof_offset)
    if id_offset is not None:
        table.AddPixelId(builder, id_offset)
    return finish(builder, table.End(builder), b"ev44")


def _add_map(builder: Any, message: DetectorSpectrumMap) -> int:
    table = SpectraDetectorMapping
    spectrum = builder.CreateNumpyVector(vector("spectrum", message.spectrum, np.int32))
    detector_id = builder.CreateNumpyVector(vector("detector_id", message.detector_id, np.int32))
    table.Start(builder)
    table.AddSpectrum(builder, spectrum)
    table.AddDetectorId(builder, detector_id)
    table.AddNSpectra(builder, whole("n_spectra", message.n_spectra, np.int32))
    return int(table.End(builder))


def _add_facility(builder: Any, facility: IsisData) -> int:
    ISISData.Start(builder)
    ISISData.AddPeriodNumber(builder, whole("period_number", facility.period_number, np.uint32))
    ISISData.AddRunState(builder, whole("run_state", facility.run_state, np.int8))
    ISISData.AddProtonCharge(builder, float(np.float32(facility.proton_charge)))
    return int(ISISData.End(builder))


def _encode_events(message: EventMessage) -> bytes:
    if message.schema == "ev42":
        if message.n_pulses != 1 or message.pulse_index.tolist() != [0]:
            raise MalformedMessage(f"ev42 has one pulse, not {message.n_pulses}")
        return encode_ev42(
            message.source_name,
            message.message_id,
            int(message.pulse_time_ns[0]),
            message.time_of_flight_ns,
            detector_id=message.detector_id,
            facility=message.facility,
        )
    if message.facility is not None:
        raise MalformedMessage("ev44 cannot carry facility data")
    return encode_ev44(
        message.source_name,
        message.message_id,
        message.pulse_time_ns,
        message.pulse_index,
        message.time_of_flight_ns,
        detector_id=message.detector_id,
    )


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    RunStart: encode_run_start,
    RunStop: encode_run_stop,
    DetectorSpectrumMap: encode_detector_spectrum_map,
    EventMessage: _encode_events,
    LogMessage: encode_log,
    FastSamples: encode_samples,
    AlarmMessage: encode_alarm,
    StatusMessage: encode_status,
    DataArrayMessage: encode_data_array,
    HistogramMessage: encode_histogram,
}
