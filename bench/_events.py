"""Simulated events that all benchmarks share: uniform over detectors and times of flight.

Uniform is the worst case for caches, for every contestant alike; a real instrument's counts are more local.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runstart.events import encode_ev42, encode_ev44
from runstart.instruments import Bank, Instrument, TofAxis
from runstart.instruments.model import View

PIXELS = 100_000
FIRST_DETECTOR_ID = 1
TOF_STOP_NS = 100_000_000
SOURCE = "bench"
START_NS = 1_700_000_000_000_000_000
PULSE_NS = 71_428_571  # 14 pulses a second

Events = tuple[NDArray[np.int32], NDArray[np.int32]]  # time of flight in ns, detector id


def make_instrument(
    name: str = "BENCH", bins: int = 500, views: Sequence[View] = ("tof", "pixel", "image"), **settings: float
) -> Instrument:
    """Return an instrument of 100,000 pixels whose TOF axis holds all simulated events."""
    return Instrument.model_validate(
        {
            "name": name,
            "tof": TofAxis(start_us=0, stop_us=TOF_STOP_NS // 1000, bins=bins),
            "banks": [Bank(name="rear", shape=(PIXELS // 250, 250), first_detector_id=FIRST_DETECTOR_ID)],
            "views": tuple(views),
            **settings,
        }
    )


def make_events(n_events: int, seed: int = 0) -> Events:
    """Return times of flight in ns and detector ids, int32 of shape `(n_events,)` each."""
    rng = np.random.default_rng(seed)
    time_of_flight_ns = rng.integers(0, TOF_STOP_NS, n_events, dtype=np.int32)
    detector_id = rng.integers(FIRST_DETECTOR_ID, FIRST_DETECTOR_ID + PIXELS, n_events, dtype=np.int32)
    return time_of_flight_ns, detector_id


def encode_events(schema: str, events: Events, message_id: int, pulse_time_ns: int = START_NS) -> bytes:
    """Return a message of one pulse with these events, as `ev42` or `ev44`."""
    time_of_flight_ns, detector_id = events
    if schema == "ev42":
        return encode_ev42(
            SOURCE,
            message_id,
            pulse_time_ns,
            time_of_flight_ns.view(np.uint32),
            detector_id=detector_id.view(np.uint32),
        )
    return encode_ev44(
        SOURCE,
        message_id,
        np.array([pulse_time_ns], np.int64),
        np.zeros(1, np.int32),
        time_of_flight_ns,
        detector_id=detector_id,
    )


def messages_in_rotation(n_events: int) -> int:
    """Return how many different messages a benchmark cycles through: about 16 MB, beyond the caches of a core."""
    return int(np.clip(2_000_000 // n_events, 4, 64))
