"""The newest events of a live run, kept in memory for its reduction script.

They are a window, not a record: they are in no snapshot, and after a resume the window holds only what was read
since and says that it is not complete. Counts never come from here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runstart.events import EventMessage
from runstart.live.membership import Members

NO_DETECTOR = np.uint32(2**32 - 1)
"""Detector id of events whose source has no pixels."""

_FIRST_CAPACITY = 4096


class KeptEvents(NamedTuple):
    """Events in the order in which they were added.

    Parameters
    ----------
    pulse_time_ns : int64[n_events]
        Unix time of each event's pulse, ns.
    time_of_flight_ns : int64[n_events]
        In ns.
    detector_id : uint32[n_events]
        `NO_DETECTOR` where the source has no pixels.
    complete : bool
        Whether these are all events of the run.
    """

    pulse_time_ns: NDArray[np.int64]
    time_of_flight_ns: NDArray[np.int64]
    detector_id: NDArray[np.uint32]
    complete: bool


class EventWindow:
    """A ring of the newest events.

    Parameters
    ----------
    most : int
        Events that it holds at most.
    complete : bool
        Whether it begins at the start of the run.
    """

    def __init__(self, most: int, *, complete: bool = True) -> None:
        self._most = most
        self._complete = complete
        self._added = 0
        capacity = min(most, _FIRST_CAPACITY)
        self._pulse_time_ns: NDArray[np.int64] = np.empty(capacity, np.int64)
        self._time_of_flight_ns: NDArray[np.int64] = np.empty(capacity, np.int64)
        self._detector_id: NDArray[np.uint32] = np.empty(capacity, np.uint32)

    def add(self, message: EventMessage, members: Members) -> None:
        """Add the events of a message that belong to the run."""
        counts = np.diff(np.append(message.pulse_index, message.n_events))
        times = np.repeat(message.pulse_time_ns, counts)
        for begin, end in members.stretches:
            tof = message.time_of_flight_ns[begin:end].astype(np.int64)
            if message.detector_id is None:
                ids = np.full(end - begin, NO_DETECTOR)
            else:
                ids = message.detector_id[begin:end].astype(np.uint32)
            self._put(times[begin:end], tof, ids)

    def events(self) -> KeptEvents:
        """Return a copy of what is held."""
        size = self._pulse_time_ns.size
        held = min(self._added, size)
        oldest = self._added % size if self._added > size else 0
        complete = self._complete and self._added <= self._most
        return KeptEvents(
            np.concatenate([self._pulse_time_ns[oldest:held], self._pulse_time_ns[:oldest]]),
            np.concatenate([self._time_of_flight_ns[oldest:held], self._time_of_flight_ns[:oldest]]),
            np.concatenate([self._detector_id[oldest:held], self._detector_id[:oldest]]),
            complete,
        )

    def _put(self, times: NDArray[np.int64], tof: NDArray[np.int64], ids: NDArray[np.uint32]) -> None:
        n = times.size
        self._grow(self._added + n)
        size = self._pulse_time_ns.size
        kept = min(n, size)
        place = (self._added + np.arange(n - kept, n)) % size
        self._pulse_time_ns[place] = times[n - kept :]
        self._time_of_flight_ns[place] = tof[n - kept :]
        self._detector_id[place] = ids[n - kept :]
        self._added += n

    def _grow(self, needed: int) -> None:
        """Make room for so many events; until the ring is as large as it may be it has not turned yet."""
        size = self._pulse_time_ns.size
        if needed <= size or size == self._most:
            return
        larger = min(self._most, max(needed, 2 * size))
        self._pulse_time_ns = np.concatenate([self._pulse_time_ns, np.empty(larger - size, np.int64)])
        self._time_of_flight_ns = np.concatenate([self._time_of_flight_ns, np.empty(larger - size, np.int64)])
        self._detector_id = np.concatenate([self._detector_id, np.empty(larger - size, np.uint32)])
