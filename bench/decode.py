"""Decoding ev42 and ev44 against ess-streaming-data-types, the reference codec.

Both turn the same payloads (bytes, as a Kafka client hands them over) into pulse time, times of flight and
detector ids as arrays; before timing, the arrays are checked to be equal. Ours also checks every offset against
the buffer, which the reference does not. Neither side copies the events, so the cost is a message's, hardly an
event's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from streaming_data_types import deserialise_ev42, deserialise_ev44

from bench._events import encode_events, make_events, messages_in_rotation
from bench._measure import Row, Scale, compare_rates
from runstart.events import EventMessage, decode


def run(scale: Scale) -> Iterator[Row]:
    """Yield the rows of ev44 and ev42 at 1e3 and 1e5 events."""
    for schema, reference in (("ev44", deserialise_ev44), ("ev42", deserialise_ev42)):
        for n_events in scale.pick((1_000, 100_000), (100,)):
            payloads = [
                encode_events(schema, make_events(n_events, seed), seed)
                for seed in range(messages_in_rotation(n_events))
            ]
            _check_equal(schema, payloads[0], reference)
            contestants = {
                "ours": lambda payloads=payloads: [decode(payload) for payload in payloads],
                "ess-streaming-data-types": lambda payloads=payloads, reference=reference: [
                    reference(payload) for payload in payloads
                ],
            }
            yield from compare_rates(
                f"decode.{schema}.{n_events}",
                contestants,
                len(payloads),
                "messages/s",
                scale,
                packages=("ess-streaming-data-types", "flatbuffers"),
                parameters={"events_per_message": n_events, "messages": len(payloads)},
            )


def _check_equal(schema: str, payload: bytes, reference: Callable[[bytes], object]) -> None:
    ours, theirs = decode(payload), reference(payload)
    assert isinstance(ours, EventMessage)
    tof, detector = ("time_of_flight", "pixel_id") if schema == "ev44" else ("time_of_flight", "detector_id")
    np.testing.assert_array_equal(ours.time_of_flight_ns, getattr(theirs, tof))
    np.testing.assert_array_equal(ours.detector_id, getattr(theirs, detector))
