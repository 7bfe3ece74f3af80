"""Turns messages into payloads that any reader of the schemas understands.

Every field is written, also where it has its default value, because some readers take an absent field for
an error; only detector ids that are None are left out. Each payload is decoded before it is handed over, so
nothing leaves that `decode` would refuse.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import ArrayLike, NDArray

from runstart.events.decoding import decode
from runstart.events.messages import (
    DetectorSpectrumMap,
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
    if isinstance(message, RunStart):
        return encode_run_start(message)
    if isinstance(message, RunStop):
        return encode_run_stop(message)
    if isinstance(message, DetectorSpectrumMap):
        return encode_detector_spectrum_map(message)
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


def encode_run_start(message: RunStart) -> bytes:
    """Return a pl72 payload.

    Raises
    ------
    MalformedMessage
        If a number does not fit its field, a string is not Unicode text, or a rule is broken.
    """
    builder = _new_builder()
    table = RunStartTable
    mapping = message.detector_spectrum_map
    references = [
        (table.AddRunName, _add_string(builder, message.run_name)),
        (table.AddInstrumentName, _add_string(builder, message.instrument_name)),
        (table.AddNexusStructure, _add_string(builder, message.nexus_structure)),
        (table.AddJobId, _add_string(builder, message.job_id)),
        (table.AddBroker, _add_string(builder, message.broker)),
        (table.AddServiceId, _add_string(builder, message.service_id)),
        (table.AddFilename, _add_string(builder, message.filename)),
        (table.AddMetadata, _add_string(builder, message.metadata)),
        (table.AddControlTopic, _add_string(builder, message.control_topic)),
    ]
    if mapping is not None:
        references.append((table.AddDetectorSpectrumMap, _add_map(builder, mapping)))
    table.Start(builder)
    table.AddStartTime(builder, _whole("start_time_ms", message.start_time_ms, np.uint64))
    table.AddStopTime(builder, _whole("stop_time_ms", message.stop_time_ms, np.uint64))
    table.AddNPeriods(builder, _whole("n_periods", message.n_periods, np.uint32))
    for add, offset in references:
        add(builder, offset)
    return _finish(builder, table.End(builder), b"pl72")


def encode_run_stop(message: RunStop) -> bytes:
    """Return a 6s4t payload.

    Raises
    ------
    MalformedMessage
        If a number does not fit its field, or a string is not Unicode text.
    """
    builder = _new_builder()
    table = RunStopTable
    references = [
        (table.AddRunName, _add_string(builder, message.run_name)),
        (table.AddJobId, _add_string(builder, message.job_id)),
        (table.AddServiceId, _add_string(builder, message.service_id)),
        (table.AddCommandId, _add_string(builder, message.command_id)),
    ]
    table.Start(builder)
    table.AddStopTime(builder, _whole("stop_time_ms", message.stop_time_ms, np.uint64))
    for add, offset in references:
        add(builder, offset)
    return _finish(builder, table.End(builder), b"6s4t")


def encode_detector_spectrum_map(message: DetectorSpectrumMap) -> bytes:
    """Return a df12 payload.

    Raises
    ------
    MalformedMessage
        If the vectors differ in length, or a number does not fit its field.
    """
    builder = _new_builder(message.spectrum.nbytes + message.detector_id.nbytes)
    return _finish(builder, _add_map(builder, message), b"df12")


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
    tofs = _vector("time_of_flight_ns", time_of_flight_ns, np.uint32)
    ids = None if detector_id is None else _vector("detector_id", detector_id, np.uint32)
    builder = _new_builder(2 * tofs.nbytes)
    table = Event42Message
    source = _add_string(builder, source_name)
    tof_offset = builder.CreateNumpyVector(tofs)
    id_offset = None if ids is None else builder.CreateNumpyVector(ids)
    facility_offset = None if facility is None else _add_facility(builder, facility)
    table.Start(builder)
    table.AddSourceName(builder, source)
    table.AddMessageId(builder, _whole("message_id", message_id, np.uint64))
    table.AddPulseTime(builder, _whole("pulse_time_ns", pulse_time_ns, np.uint64))
    table.AddTimeOfFlight(builder, tof_offset)
    if id_offset is not None:
        table.AddDetectorId(builder, id_offset)
    if facility_offset is not None:
        table.AddFacilitySpecificDataType(builder, FacilityData.FacilityData.ISISData)
        table.AddFacilitySpecificData(builder, facility_offset)
    return _finish(builder, table.End(builder), b"ev42")


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
    tofs = _vector("time_of_flight_ns", time_of_flight_ns, np.int32)
    ids = None if detector_id is None else _vector("detector_id", detector_id, np.int32)
    times = _vector("pulse_time_ns", pulse_time_ns, np.int64)
    indices = _vector("pulse_index", pulse_index, np.int32)
    builder = _new_builder(2 * tofs.nbytes + times.nbytes + indices.nbytes)
    table = Event44Message
    source = _add_string(builder, source_name)
    time_offset = builder.CreateNumpyVector(times)
    index_offset = builder.CreateNumpyVector(indices)
    tof_offset = builder.CreateNumpyVector(tofs)
    id_offset = None if ids is None else builder.CreateNumpyVector(ids)
    table.Start(builder)
    table.AddSourceName(builder, source)
    table.AddMessageId(builder, _whole("message_id", message_id, np.int64))
    table.AddReferenceTime(builder, time_offset)
    table.AddReferenceTimeIndex(builder, index_offset)
    table.AddTimeOfFlight(builder, tof_offset)
    if id_offset is not None:
        table.AddPixelId(builder, id_offset)
    return _finish(builder, table.End(builder), b"ev44")


def _new_builder(array_bytes: int = 0) -> Any:
    builder = flatbuffers.Builder(512 + array_bytes)
    builder.ForceDefaults(True)
    return builder


def _add_string(builder: Any, text: str) -> int:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise MalformedMessage(f"a string is not Unicode text: {error}") from error
    return int(builder.CreateString(encoded))


def _add_map(builder: Any, message: DetectorSpectrumMap) -> int:
    table = SpectraDetectorMapping
    spectrum = builder.CreateNumpyVector(_vector("spectrum", message.spectrum, np.int32))
    detector_id = builder.CreateNumpyVector(_vector("detector_id", message.detector_id, np.int32))
    table.Start(builder)
    table.AddSpectrum(builder, spectrum)
    table.AddDetectorId(builder, detector_id)
    table.AddNSpectra(builder, _whole("n_spectra", message.n_spectra, np.int32))
    return int(table.End(builder))


def _add_facility(builder: Any, facility: IsisData) -> int:
    ISISData.Start(builder)
    ISISData.AddPeriodNumber(builder, _whole("period_number", facility.period_number, np.uint32))
    ISISData.AddRunState(builder, _whole("run_state", facility.run_state, np.int8))
    ISISData.AddProtonCharge(builder, float(np.float32(facility.proton_charge)))
    return int(ISISData.End(builder))


def _vector(name: str, values: ArrayLike, dtype: type[np.integer[Any]]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1:
        raise MalformedMessage(f"{name} has {array.ndim} dimensions, not one")
    if array.dtype == dtype or array.size == 0:
        return array.astype(dtype, copy=False)
    if array.dtype.kind not in "iu":
        raise MalformedMessage(f"{name} holds {array.dtype}, not whole numbers")
    limits = np.iinfo(dtype)
    if int(array.min()) < limits.min or int(array.max()) > limits.max:
        raise MalformedMessage(f"{name} does not fit {limits.dtype}")
    return array.astype(dtype)


def _whole(name: str, value: int, dtype: type[np.integer[Any]]) -> int:
    limits = np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise MalformedMessage(f"{name} = {value} does not fit {limits.dtype}")
    return int(value)


def _finish(builder: Any, table: int, identifier: bytes) -> bytes:
    builder.Finish(table, file_identifier=identifier)
    payload = bytes(builder.Output())
    decode(payload)
    return payload
