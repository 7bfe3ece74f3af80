"""Keeps pulses to the clock: each is due at its own time since the first, so that delays never add up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

NANOSECONDS_PER_SECOND = 1_000_000_000


class Pacer:
    """Waits until pulses are due.

    Parameters
    ----------
    speed : float or None
        How many times faster than real time; None does not wait at all.
    stop : threading.Event, optional
        Ends a wait at once when it is set.
    clock_ns : callable, optional
        Monotonic clock in nanoseconds.
    """

    def __init__(
        self,
        speed: float | None = 1.0,
        stop: threading.Event | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._speed = speed
        self._stop = stop or threading.Event()
        self._clock_ns = clock_ns
        self._start_ns = clock_ns()

    def restart(self) -> None:
        """Count pulses from now on."""
        self._start_ns = self._clock_ns()

    def wait(self, since_first_pulse_ns: int) -> bool:
        """Wait until a pulse is due.

        Parameters
        ----------
        since_first_pulse_ns : int
            Time of the pulse after the first one, in nanoseconds.

        Returns
        -------
        bool
            Whether to go on: False once `stop` is set.
        """
        if self._speed is None:
            return not self._stop.is_set()
        due_ns = self._start_ns + since_first_pulse_ns / self._speed
        remaining_ns = due_ns - self._clock_ns()
        return not self._stop.wait(max(0.0, remaining_ns / NANOSECONDS_PER_SECOND))
