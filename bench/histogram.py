"""Histograms of events in memory: TOF, counts per pixel, pixel x TOF, against numpy and scipp.

int32 detector ids 1 to 100,000 and int32 times of flight in ns, uniform, 1e5 events a message, all sides adding to
sums that stay. `Views.add` has no kernel for pixels alone: it counts TOF, pixels and (where declared) pixel x TOF
in one pass and judges each event. So each row says what each side computes: in `histogram.pixel` ours computes
more than the peers, in all others both compute the same tables. Before timing, the tables are checked to be
equal. The peers do not look for unknown detectors; scipp uses all cores, ours and numpy one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bench._events import Events, make_events, make_instrument, messages_in_rotation
from bench._measure import Row, Scale, compare_rates
from bench._numpy_peer import NumpyHistograms
from bench._scipp_peer import ScippHistograms, counts
from runstart.views import Views

_PACKAGES = ("numba", "scipp")


def run(scale: Scale) -> Iterator[Row]:
    """Yield the rows of TOF, pixel, both, and pixel x TOF."""
    n_events = scale.pick(100_000, 1_000)
    messages = [make_events(n_events, seed) for seed in range(messages_in_rotation(n_events))]
    yield from _tables_of_one_dimension(scale, messages)
    yield from _pixel_by_tof(scale, messages[:4])


def _tables_of_one_dimension(scale: Scale, messages: Sequence[Events]) -> Iterator[Row]:
    bins = 500
    views = Views(make_instrument(bins=bins))
    numpy, scipp = NumpyHistograms(bins), ScippHistograms(bins, len(messages[0][0]))
    cases: list[tuple[str, Callable[[Events], object], dict[str, Callable[[Events], object]], str]] = [
        (
            "histogram.tof",
            lambda events: views.add(events[0], None),
            {
                "numpy.histogram": numpy.add_tof,
                "numpy.bincount of tof // width": numpy.add_tof_by_division,
                "scipp.hist": scipp.add_tof,
            },
            "All compute the TOF spectrum.",
        ),
        (
            "histogram.pixel",
            lambda events: views.add(*events),
            {"numpy.bincount": numpy.add_pixel, "numpy.add.at": numpy.add_pixel_at, "scipp.hist": scipp.add_pixel},
            "The peers compute counts per pixel; ours computes the TOF spectrum too.",
        ),
        (
            "histogram.tof_and_pixel",
            lambda events: views.add(*events),
            {
                "numpy.histogram + numpy.bincount": lambda events: (numpy.add_tof(events), numpy.add_pixel(events)),
                "scipp.hist": scipp.add_tof_and_pixel,
            },
            "All compute the TOF spectrum and counts per pixel.",
        ),
    ]
    for name, ours, peers, notes in cases:
        yield from _compare(name, {"ours": ours} | peers, messages, bins, scale=scale, notes=notes)
    _check_one_dimension(messages[0], bins)


def _pixel_by_tof(scale: Scale, messages: Sequence[Events]) -> Iterator[Row]:
    bins = scale.pick(200, 10)
    views = Views(make_instrument(bins=bins, views=("tof", "pixel", "pixel_tof")))
    numpy = NumpyHistograms(bins, with_cells=True)
    scipp = ScippHistograms(bins, len(messages[0][0]), with_cells=True)

    def with_numpy(events: Events) -> None:
        numpy.add_tof(events)
        numpy.add_pixel(events)
        numpy.add_cells(events)

    contestants: dict[str, Callable[[Events], object]] = {
        "ours": lambda events: views.add(*events),
        "numpy.histogram + bincount + add.at": with_numpy,
        "numpy.add.at (pixel x TOF only)": numpy.add_cells,
        "scipp.hist": scipp.add_all,
    }
    notes = "All compute TOF, pixel and pixel x TOF, but for the peer that says otherwise."
    yield from _compare("histogram.pixel_tof", contestants, messages, bins, scale=scale, notes=notes)
    _check_cells(messages[0], bins)


def _compare(
    name: str,
    contestants: dict[str, Callable[[Events], object]],
    messages: Sequence[Events],
    bins: int,
    *,
    scale: Scale,
    notes: str,
) -> list[Row]:
    n_events = len(messages[0][0])

    def all_messages(add: Callable[[Events], object]) -> Callable[[], None]:
        def add_all() -> None:
            for events in messages:
                add(events)

        return add_all

    return compare_rates(
        name,
        {peer: all_messages(add) for peer, add in contestants.items()},
        n_events * len(messages) / 1e6,
        "million events/s",
        scale,
        packages=_PACKAGES,
        parameters={"events_per_message": n_events, "messages": len(messages), "tof_bins": bins, "pixels": 100_000},
        notes=notes,
    )


def _check_one_dimension(events: Events, bins: int) -> None:
    views = Views(make_instrument(bins=bins))
    numpy, scipp = NumpyHistograms(bins), ScippHistograms(bins, len(events[0]))
    views.add(*events)
    numpy.add_tof(events)
    numpy.add_pixel(events)
    scipp.add_tof_and_pixel(events)
    for tof in (numpy.tof, counts(scipp.tof)):
        np.testing.assert_array_equal(views.tof[0], tof)
    for pixel in (numpy.pixel[1:], counts(scipp.pixel)):
        np.testing.assert_array_equal(views.pixel[0], pixel)


def _check_cells(events: Events, bins: int) -> None:
    views = Views(make_instrument(bins=bins, views=("tof", "pixel", "pixel_tof")))
    numpy = NumpyHistograms(bins, with_cells=True)
    scipp = ScippHistograms(bins, len(events[0]), with_cells=True)
    views.add(*events)
    numpy.add_cells(events)
    scipp.add_all(events)
    assert views.pixel_tof is not None
    np.testing.assert_array_equal(views.pixel_tof[0].ravel(), numpy.cells)
    np.testing.assert_array_equal(views.pixel_tof[0], counts(scipp.cells))
    np.testing.assert_array_equal(views.tof[0], counts(scipp.tof))
