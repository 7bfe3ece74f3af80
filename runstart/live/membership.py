"""Which events of a message belong to a run: those with `start <= pulse time < stop`.

Membership is a matter of content. When a message arrives, and what Kafka's clock says of it, plays no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runstart.events import EventMessage

FOREVER_NS = np.iinfo(np.int64).max  # stop of a run whose stop is not known


@dataclass(frozen=True)
class Members:
    """How the events of one message lie to the run.

    Attributes
    ----------
    before_start, after_stop : int
        Numbers of events outside the run.
    stretches : list of (int, int)
        Half-open index ranges of the events inside the run.
    pulse_time_ns : int64 array, shape (n_pulses,)
        The pulses inside the run.
    pulse_events : int64 array, shape (n_pulses,)
        Number of events of each of them.
    """

    before_start: int
    after_stop: int
    stretches: list[tuple[int, int]]
    pulse_time_ns: NDArray[np.int64]
    pulse_events: NDArray[np.int64]


def find_members(message: EventMessage, start_time_ns: int, stop_time_ns: int | None) -> Members:
    """Return which events of a message belong to the run `[start_time_ns, stop_time_ns)`."""
    stop = FOREVER_NS if stop_time_ns is None else stop_time_ns
    pulses = message.pulse_time_ns
    events = len(message.time_of_flight_ns)
    if len(pulses) == 1:
        return _single_pulse(pulses, events, start_time_ns, stop)
    ends = np.append(message.pulse_index[1:], events).astype(np.int64)
    counts = ends - message.pulse_index
    before, after = pulses < start_time_ns, pulses >= stop
    inside = ~(before | after)
    return Members(
        before_start=int(counts[before].sum()),
        after_stop=int(counts[after].sum()),
        stretches=_stretches(inside, message.pulse_index, ends),
        pulse_time_ns=pulses[inside],
        pulse_events=counts[inside],
    )


def _single_pulse(pulses: NDArray[np.int64], events: int, start: int, stop: int) -> Members:
    pulse = int(pulses[0])
    if start <= pulse < stop:
        return Members(0, 0, [(0, events)], pulses, np.array([events], np.int64))
    before = events if pulse < start else 0
    return Members(before, events - before, [], pulses[:0], np.empty(0, np.int64))


def _stretches(
    inside: NDArray[np.bool_], begins: NDArray[np.int32], ends: NDArray[np.int64]
) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(inside, prepend=False, append=False))
    return [
        (int(begins[first]), int(ends[last - 1]))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
        if begins[first] < ends[last - 1]
    ]
