"""The messages of a facility's streams: what is said on Kafka, decoded to frozen dataclasses and back."""

from __future__ import annotations

from runstart.events.array_messages import DataArrayMessage, HistogramAxis, HistogramMessage, Variable
from runstart.events.decoding import decode
from runstart.events.encoding import (
    encode,
    encode_detector_spectrum_map,
    encode_ev42,
    encode_ev44,
    encode_run_start,
    encode_run_stop,
)
from runstart.events.log_messages import (
    AlarmMessage,
    FastSamples,
    LogMessage,
    LogValue,
    SampleLocation,
    Severity,
    StatusMessage,
)
from runstart.events.messages import (
    DetectorSpectrumMap,
    EventMessage,
    ForeignMessage,
    IsisData,
    MalformedMessage,
    Message,
    RunStart,
    RunState,
    RunStop,
)

__all__ = [
    "AlarmMessage",
    "DataArrayMessage",
    "DetectorSpectrumMap",
    "EventMessage",
    "FastSamples",
    "ForeignMessage",
    "HistogramAxis",
    "HistogramMessage",
    "IsisData",
    "LogMessage",
    "LogValue",
    "MalformedMessage",
    "Message",
    "RunStart",
    "RunState",
    "RunStop",
    "SampleLocation",
    "Severity",
    "StatusMessage",
    "Variable",
    "decode",
    "encode",
    "encode_detector_spectrum_map",
    "encode_ev42",
    "encode_ev44",
    "encode_run_start",
    "encode_run_stop",
]
