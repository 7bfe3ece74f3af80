"""Events and proton charge per second of run time.

A second is half-open and counted from the run's start, by pulse time, never by the wall clock. Sums are of
integers, so that they do not depend on the order of the messages: charge is kept in quanta of 2**-40 uAh
(about 1e-12 uAh); a second holds up to 8.4 million uAh and then stays there. A run longer than `MAX_SECONDS`
counts everything later in the last second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.errors import Alert

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CHARGE_QUANTUM_UAH", "MAX_SECONDS", "Series"]

CHARGE_QUANTUM_UAH = 2.0**-40
"""uAh in one unit of the charge arrays."""

MAX_SECONDS = 31 * 24 * 3600
"""Length limit of the arrays: a month, 43 MB."""

_NS_PER_S = 1_000_000_000
_INT64_MAX = 2**63 - 1


class Series:
    """Event rate and proton charge of one run.

    Parameters
    ----------
    start_time_ns : int
        The run's start, Unix time in ns: where second 0 begins.
    """

    def __init__(self, start_time_ns: int) -> None:
        self.start_time_ns = start_time_ns
        self._events: npt.NDArray[np.int64] = np.zeros(64, np.int64)
        self._charge: npt.NDArray[np.int64] = np.zeros(64, np.int64)

    def add_events(self, second_index: int, n: int) -> None:
        """Add events to a second.

        Parameters
        ----------
        second_index : int
            `(pulse_time_ns - start_time_ns) // 1_000_000_000`.
        n : int
            Number of events.

        Raises
        ------
        IndexError
            The second is before the run's start.
        """
        place = self._place(second_index)
        self._events[place] += n

    def add_pulses(self, pulse_time_ns: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> None:
        """Add the events of many pulses.

        Parameters
        ----------
        pulse_time_ns : int64[n_pulses]
            Unix time in ns, in any order.
        counts : int64[n_pulses]
            Events of each pulse.

        Raises
        ------
        IndexError
            A pulse is before the run's start.
        """
        if pulse_time_ns.size == 0:
            return
        seconds = np.minimum((pulse_time_ns - self.start_time_ns) // _NS_PER_S, MAX_SECONDS - 1)
        self._place(int(seconds.min()))
        self._place(int(seconds.max()))
        np.add.at(self._events, seconds, np.asarray(counts, np.int64))

    def add_charge(self, pulse_time_ns: int, charge_uah: float) -> bool:
        """Add the proton charge of a pulse and return whether it is a charge at all.

        Parameters
        ----------
        pulse_time_ns : int
            Unix time in ns.
        charge_uah : float
            In uAh. Negative, infinite and NaN values are not added.

        Raises
        ------
        IndexError
            The pulse is before the run's start.
        """
        if not (math.isfinite(charge_uah) and charge_uah >= 0):
            return False
        place = self._place((int(pulse_time_ns) - self.start_time_ns) // _NS_PER_S)
        quanta = round(float(charge_uah) / CHARGE_QUANTUM_UAH)
        self._charge[place] = min(int(self._charge[place]) + quanta, _INT64_MAX)
        return True

    @property
    def events_per_second(self) -> npt.NDArray[np.int64]:
        """Events in each second of the run, int64[n_seconds], up to the last with events or charge."""
        return self._events[: self._length()]

    @property
    def charge_per_second_uah(self) -> npt.NDArray[np.float64]:
        """Proton charge in each second, uAh, float64[n_seconds]."""
        return self._charge[: self._length()] * np.float64(CHARGE_QUANTUM_UAH)

    @property
    def total_charge_uah(self) -> float:
        """Proton charge of the run, uAh."""
        quanta: list[int] = self._charge[: self._length()].tolist()
        return sum(quanta) * CHARGE_QUANTUM_UAH

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return `events_per_second` and `charge_quanta_per_second` (of 2**-40 uAh), int64[n_seconds]."""
        length = self._length()
        return {
            "events_per_second": self._events[:length],
            "charge_quanta_per_second": self._charge[:length],
        }

    def load(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Replace the series by a stored one.

        Parameters
        ----------
        arrays : mapping of str to array
            As from `arrays`; other names are not looked at.

        Raises
        ------
        Alert
            An array is missing, of another dtype, or they differ in length.
        """
        stored = [arrays.get("events_per_second"), arrays.get("charge_quanta_per_second")]
        events, charge = stored
        if (
            events is None
            or charge is None
            or events.shape != charge.shape
            or events.ndim != 1
            or events.size > MAX_SECONDS
            or {events.dtype, charge.dtype} != {np.dtype(np.int64)}
        ):
            found = ["missing" if a is None else f"{a.dtype}{list(a.shape)}" for a in stored]
            raise Alert(
                f"The stored event rate and charge are {' and '.join(found)}, not two equally long int64.",
                "The stored state is damaged: start the run clean.",
            )
        self._events = np.zeros(max(64, events.size), np.int64)
        self._charge = np.zeros(max(64, events.size), np.int64)
        self._events[: events.size] = events
        self._charge[: events.size] = charge

    def copy(self) -> Series:
        """Return an independent copy."""
        other = Series(self.start_time_ns)
        other._events = self._events.copy()
        other._charge = self._charge.copy()
        return other

    def merge(self, other: Series) -> None:
        """Add another series of the same run.

        Parameters
        ----------
        other : Series
            With the same start; stays as it is.

        Raises
        ------
        ValueError
            The series begin at different times.
        """
        if other.start_time_ns != self.start_time_ns:
            message = f"series from {other.start_time_ns} and {self.start_time_ns} ns cannot be merged"
            raise ValueError(message)
        length = other._length()
        if length == 0:
            return
        self._place(length - 1)
        self._events[:length] += other._events[:length]
        charge, more = self._charge[:length], other._charge[:length]
        charge += np.minimum(more, _INT64_MAX - charge)

    def _length(self) -> int:
        """Return the seconds up to the last that holds anything: the same for any order of messages."""
        held = np.flatnonzero(self._events | self._charge)
        return int(held[-1]) + 1 if held.size else 0

    def _place(self, second_index: int) -> int:
        """Return the index of a second in the arrays, which grow to hold it."""
        if second_index < 0:
            message = f"second {second_index} is before the run's start"
            raise IndexError(message)
        place = min(second_index, MAX_SECONDS - 1)
        if place >= self._events.size:
            size = min(max(2 * self._events.size, place + 1), MAX_SECONDS)
            self._events = np.concatenate([self._events, np.zeros(size - self._events.size, np.int64)])
            self._charge = np.concatenate([self._charge, np.zeros(size - self._charge.size, np.int64)])
        return place
