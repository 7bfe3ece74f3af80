"""The messages of a facility's streams: what is said on Kafka, decoded to frozen dataclasses and back."""

from __future__ import annotations

from runstart.events.decoding import decode
from runstart.events.encoding import (
    encode,
    encode_detector_spectrum_map,
    encode_ev42,
    encode_ev44,
    encode_run_start,
    encode_run_stop,
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
    "DetectorSpectrumMap",
    "EventMessage",
    "ForeignMessage",
    "IsisData",
    "MalformedMessage",
    "Message",
    "RunStart",
    "RunState",
    "RunStop",
    "decode",
    "encode",
    "encode_detector_spectrum_map",
    "encode_ev42",
    "encode_ev44",
    "encode_run_start",
    "encode_run_stop",
]
