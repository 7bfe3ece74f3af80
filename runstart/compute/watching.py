"""Watches for what ends a job from outside while it is at work: a stop, its time, or somebody who has ended it already.

Every wait and every loop of a job asks here; so a stop is heard within two seconds in every phase.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from runstart.compute.job_record import JobRecord
from runstart.compute.records import JobBook, JobEnded
from runstart.errors import Transient

_T = TypeVar("_T")
_LOOK_S = 1.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0


class JobStopped(Exception):
    """A stop was asked for."""


class JobTimedOut(Exception):
    """A phase took longer than it may."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what} took longer than {seconds:g} s.")


class Watch:
    """One phase of a job.

    Parameters
    ----------
    book : JobBook
        Knows the job.
    job_id : str
        The job.
    what : str
        The phase, as a sentence's beginning.
    seconds : float
        How long it may take.
    listens : bool, optional
        Whether anything but its time ends it.
    """

    def __init__(self, book: JobBook, job_id: str, what: str, seconds: float, *, listens: bool = True) -> None:
        self._book, self._job_id, self._what, self._seconds = book, job_id, what, seconds
        self._ends_at = time.monotonic() + seconds
        self._look_at = 0.0 if listens else math.inf

    def check(self) -> None:
        """Return if the phase may go on.

        Raises
        ------
        JobStopped
            A stop is asked for.
        JobTimedOut
            The phase, or the whole job by the judgement of another, has taken too long.
        JobEnded
            Another has ended the job.
        """
        now = time.monotonic()
        if now >= self._ends_at:
            raise JobTimedOut(self._what, self._seconds)
        if now >= self._look_at:
            self._look_at = now + _LOOK_S
            self._look()

    def pause(self, seconds: float) -> None:
        """Wait, unless the phase has to end meanwhile."""
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0.0:
            self.check()
            time.sleep(min(left, _LOOK_S / 2))
        self.check()

    def patiently(self, action: Callable[[], _T], patience_s: float) -> _T:
        """Return what an action returns; what passes by itself is tried again for a while.

        Parameters
        ----------
        action : callable
            May raise `Transient`.
        patience_s : float
            Seconds after which its error is final.
        """
        gives_up_at, pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
        while True:
            try:
                return action()
            except Transient:
                if time.monotonic() + pause_s > gives_up_at:
                    raise
            self.pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _look(self) -> None:
        try:
            record = self._book.get(self._job_id)
        except Transient:
            return  # the next look will tell; whoever needs the store meanwhile fails by itself
        _judge(self._job_id, record)


def _judge(job_id: str, record: JobRecord | None) -> None:
    if record is None:
        message = f"The record of the job {job_id} is gone."
        raise RuntimeError(message)
    if record.status.is_final:
        raise JobEnded(record)
    if record.stopreq == 1:
        raise JobStopped
    if record.stopreq == 2:
        raise JobTimedOut("The job", record.max_s)
