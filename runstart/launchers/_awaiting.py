"""Waits for the end of a task whose engine is asked for it again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

from runstart.launchers.failures import EngineUnreachable
from runstart.launchers.launcher import Ended

_PATIENCE_S = 60.0


def await_end(
    look: Callable[[], Ended | None], timeout_s: float | None, pauses_s: tuple[float, float]
) -> Ended | None:
    """Return how a task ended, or None if it has not in time.

    Parameters
    ----------
    look : callable
        Asks the engine once.
    timeout_s : float or None
        Seconds that are waited at most.
    pauses_s : tuple of float
        The shortest and the longest time between two looks; each pause is twice the one before.

    Raises
    ------
    EngineUnreachable
        The engine does not answer, neither at once nor within the time-out, or a minute without one.
    """
    now = time.monotonic()
    gives_up_at = None if timeout_s is None else now + timeout_s
    heard_at, pause_s, longest_s = now, *pauses_s
    while True:
        try:
            ended = look()
            heard_at = time.monotonic()
        except EngineUnreachable:
            if time.monotonic() >= (heard_at + _PATIENCE_S if gives_up_at is None else gives_up_at):
                raise
            ended = None
        if ended is not None:
            return ended
        left_s = longest_s if gives_up_at is None else gives_up_at - time.monotonic()
        if left_s <= 0.0:
            return None
        time.sleep(min(left_s, pause_s))
        pause_s = min(2 * pause_s, longest_s)
