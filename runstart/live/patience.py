"""Waits while the broker or the store is away: a short outage must not cost a run that goes well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from runstart.errors import Transient

PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 0.5

_T = TypeVar("_T")


def ask_patiently(
    ask: Callable[[], _T],
    check: Callable[[], None],
    tell: Callable[[str], None],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> _T:
    """Return what `ask` returns, asking again as long as it raises `Transient`.

    Parameters
    ----------
    ask : callable
        May be called any number of times.
    check : callable
        Called before each new try; raises to end the waiting.
    tell : callable
        Told once that something is being waited for, and why.
    patience_seconds : float
        After so long the error is passed on.

    Raises
    ------
    Transient
        The last one, when patience has run out.
    """
    deadline = time.monotonic() + patience_seconds
    told = False
    while True:
        try:
            return ask()
        except Transient as error:
            if time.monotonic() >= deadline:
                raise
            if not told:
                tell(f"Waiting: {error}")
                told = True
        check()
        time.sleep(PAUSE_SECONDS)
