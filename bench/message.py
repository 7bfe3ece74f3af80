"""From a message's bytes to histograms: decode, TOF spectrum and counts per pixel, message by message.

Ours is `decode` and `Views.add`, which also checks every offset and judges every event. The peers decode with
ess-streaming-data-types, then histogram with numpy or with scipp. `numpy.histogram` is what a user writes; the
row with `tof // width` and `add.at` or `bincount` is the fastest that we could make of numpy. All compute the
same tables, checked to be equal before timing. Goals at 1e5 events: 8 times streaming-data-types with numpy, 20
times with scipp.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from streaming_data_types import deserialise_ev44

from bench._events import Events, encode_events, make_events, make_instrument, messages_in_rotation
from bench._measure import Row, Scale, compare_rates
from bench._numpy_peer import NumpyHistograms
from bench._scipp_peer import ScippHistograms, counts
from runstart.events import EventMessage, decode
from runstart.views import Views

_BINS = 500


def run(scale: Scale) -> Iterator[Row]:
    """Yield the rows of ev44 at 1e3, 1e4 and 1e5 events a message."""
    for n_events in scale.pick((1_000, 10_000, 100_000), (100,)):
        payloads = [
            encode_events("ev44", make_events(n_events, seed), seed)
            for seed in range(messages_in_rotation(n_events))
        ]
        _check_equal(payloads, n_events)
        views = Views(make_instrument(bins=_BINS))
        plain, quick, scipp = NumpyHistograms(_BINS), NumpyHistograms(_BINS), ScippHistograms(_BINS, n_events)
        contestants = {
            "ours": lambda payloads=payloads, views=views: _with_ours(payloads, views),
            "ess-streaming-data-types + numpy": lambda payloads=payloads, plain=plain: _with_numpy(payloads, plain),
            "ess-streaming-data-types + numpy, fastest way": lambda payloads=payloads, quick=quick: (
                _with_quick_numpy(payloads, quick)
            ),
            "ess-streaming-data-types + scipp": lambda payloads=payloads, scipp=scipp: _with_scipp(payloads, scipp),
        }
        yield from compare_rates(
            f"message.ev44.{n_events}",
            contestants,
            n_events * len(payloads) / 1e6,
            "million events/s",
            scale,
            packages=("ess-streaming-data-types", "numba", "scipp"),
            parameters={
                "events_per_message": n_events,
                "messages": len(payloads),
                "tof_bins": _BINS,
                "pixels": 100_000,
            },
        )


def _with_ours(payloads: list[bytes], views: Views) -> None:
    for payload in payloads:
        message = decode(payload)
        assert isinstance(message, EventMessage)
        views.add(message.time_of_flight_ns, message.detector_id)


def _with_numpy(payloads: list[bytes], tables: NumpyHistograms) -> None:
    for payload in payloads:
        events = _reference_events(payload)
        tables.add_tof(events)
        tables.add_pixel(events)


def _with_quick_numpy(payloads: list[bytes], tables: NumpyHistograms) -> None:
    for payload in payloads:
        events = _reference_events(payload)
        tables.add_tof_by_division(events)
        if len(events[0]) * 2 < tables.pixel.size:
            tables.add_pixel_at(events)
        else:
            tables.add_pixel(events)


def _with_scipp(payloads: list[bytes], tables: ScippHistograms) -> None:
    for payload in payloads:
        tables.add_tof_and_pixel(_reference_events(payload))


def _reference_events(payload: bytes) -> Events:
    message = deserialise_ev44(payload)
    return message.time_of_flight, message.pixel_id


def _check_equal(payloads: list[bytes], n_events: int) -> None:
    views = Views(make_instrument(bins=_BINS))
    plain, quick, scipp = NumpyHistograms(_BINS), NumpyHistograms(_BINS), ScippHistograms(_BINS, n_events)
    _with_ours(payloads, views)
    _with_numpy(payloads, plain)
    _with_quick_numpy(payloads, quick)
    _with_scipp(payloads, scipp)
    for tof in (plain.tof, quick.tof, counts(scipp.tof)):
        np.testing.assert_array_equal(views.tof[0], tof)
    for pixel in (plain.pixel[1:], quick.pixel[1:], counts(scipp.pixel)):
        np.testing.assert_array_equal(views.pixel[0], pixel)
