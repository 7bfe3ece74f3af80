"""Reads what announces runs: pl72, 6s4t and df12, by the rules that `runstart.events.decoding` states."""

from __future__ import annotations

from typing import Any

import numpy as np

from runstart.events._tables import Buffer, Schema, read_array, read_table, read_text
from runstart.events.messages import DetectorSpectrumMap, MalformedMessage, RunStart, RunStop

__all__ = [
    "MAP_SCHEMA",
    "RUN_START_SCHEMA",
    "RUN_STOP_SCHEMA",
    "read_detector_spectrum_map",
    "read_run_start",
    "read_run_stop",
]

RUN_START_SCHEMA = Schema("QQIIIIIIIIIII", (0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0))
RUN_STOP_SCHEMA = Schema("QIIII", (0, 0, 0, 0, 0))
MAP_SCHEMA = Schema("IIi", (0, 0, 0))

_INT32 = np.dtype("<i4")
_NO_INT32 = np.frombuffer(b"", _INT32)


def read_run_start(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> RunStart:
    """Return a run start (pl72) from the values of its table's fields and their positions."""
    start, stop, *_, n_periods, mapping, _, _ = values
    if n_periods == 0:
        raise MalformedMessage("a run of 0 periods")
    name, instrument, structure, job, broker, service, filename, metadata, topic = (
        read_text(buffer, positions[field], values[field]) for field in (2, 3, 4, 5, 6, 7, 8, 11, 12)
    )
    detector_spectrum_map = None
    if positions[10]:
        map_table = positions[10] + mapping
        map_values, map_layout = read_table(buffer, map_table, MAP_SCHEMA)
        detector_spectrum_map = read_detector_spectrum_map(buffer, map_values, map_layout.positions(map_table))
    return RunStart(
        start_time_ms=start,
        stop_time_ms=stop,
        run_name=name,
        instrument_name=instrument,
        nexus_structure=structure,
        job_id=job,
        broker=broker,
        service_id=service,
        filename=filename,
        n_periods=n_periods,
        detector_spectrum_map=detector_spectrum_map,
        metadata=metadata,
        control_topic=topic,
    )


def read_run_stop(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> RunStop:
    """Return a run stop (6s4t) from the values of its table's fields and their positions."""
    name, job, service, command = (read_text(buffer, positions[field], values[field]) for field in (1, 2, 3, 4))
    return RunStop(values[0], name, job, service, command)


def read_detector_spectrum_map(
    buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]
) -> DetectorSpectrumMap:
    """Return a detector-spectrum map (df12) from the values of its table's fields and their positions."""
    spectra, detectors, n_spectra = values
    spectra_at, detectors_at, _ = positions
    spectrum = read_array(buffer, spectra_at, spectra, _INT32) if spectra_at else _NO_INT32
    detector_id = read_array(buffer, detectors_at, detectors, _INT32) if detectors_at else _NO_INT32
    if spectrum.size != detector_id.size:
        raise MalformedMessage(f"a map of {spectrum.size} spectrum numbers to {detector_id.size} detectors")
    return DetectorSpectrumMap(spectrum, detector_id, n_spectra)
