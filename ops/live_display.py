"""What those have in common who show work that goes on: intervals, a budget of the event log, pictures drawn beside it.

Dagster keeps every byte of its event log, so what is told while something goes on must thin out and have an end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from runstart.errors import Transient

LARGEST_INTERVAL = 60.0
INTERVAL_GROWTH = 1.1
LINE_BYTES = 1_500  # more than a progress line takes

_Drawn = TypeVar("_Drawn")


class GrowingInterval:
    """Says when it is time to tell something again: at once, and then after longer and longer intervals.

    Parameters
    ----------
    first : float
        Seconds between the first two times.
    """

    def __init__(self, first: float) -> None:
        self._seconds = first
        self._next = 0.0

    def is_over(self, now: float) -> bool:
        """Return whether it is time."""
        return now >= self._next

    def begin(self, now: float) -> None:
        """Begin the next interval, longer than the one before."""
        self._next = now + self._seconds
        self._seconds = min(self._seconds * INTERVAL_GROWTH, LARGEST_INTERVAL)


@dataclass
class EventLogBudget:
    """Bytes of Dagster's event log that one run may take.

    Attributes
    ----------
    total : int
        In all.
    pictures : int
        Of them, while observations still carry pictures.
    spent : int
        So far.
    """

    total: int
    pictures: int
    spent: int = 0

    @property
    def has_pictures(self) -> bool:
        """Whether observations still carry pictures."""
        return self.spent <= self.pictures

    def spend(self, nbytes: int) -> bool:
        """Take bytes if there are so many; return whether there were."""
        if self.spent + nbytes > self.total:
            return False
        self.spent += nbytes
        return True


class Display(Generic[_Drawn]):
    """Draws one picture at a time in a thread of its own; the work never waits for one, and none fails it.

    Parameters
    ----------
    warn : callable
        Takes what went wrong, once for each trouble.
    """

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._thread: threading.Thread | None = None
        self._drawn: _Drawn | None = None
        self._trouble: str | None = None
        self._warned: str | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a picture is being drawn."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, draw: Callable[[], _Drawn]) -> None:
        """Draw in a thread; what `draw` returns can be taken when it is done."""
        self._thread = threading.Thread(target=self._run, args=(draw,), name="display", daemon=True)
        self._thread.start()

    @property
    def drawn(self) -> _Drawn | None:
        """What was drawn last and not dropped."""
        return self._drawn

    def drop(self) -> None:
        """Forget what was drawn last: it was told."""
        self._drawn = None

    def tell_trouble(self) -> None:
        """Warn of what went wrong, unless it has been told."""
        trouble = self._trouble
        if trouble is not None and trouble != self._warned:
            self._warn(trouble)
            self._warned = trouble

    def close(self) -> None:
        """Wait for the picture that is being drawn."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, draw: Callable[[], _Drawn]) -> None:
        try:
            drawn = draw()
        except Transient as error:
            self._trouble = f"The live picture could not be stored: {error}"
            return
        except Exception as error:  # noqa: BLE001 - a picture must never cost the work; the log says why
            self._trouble = f"The live picture could not be drawn: {error!r}"
            return
        self._trouble = self._warned = None
        self._drawn = drawn
