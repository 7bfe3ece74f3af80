"""The time-series logs of one run: collectors fill a book, which is stored beside the snapshots.

Samples of a device cannot be read again, so what has been collected is stored in segments as it comes; a launch
that resumes or replays the run begins with them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert, Transient
from runstart.live.record import run_prefix
from runstart.logs import LogBook, LogStore

if TYPE_CHECKING:
    from runstart.live.follow import Sources
    from runstart.logs import LogSeries
    from runstart.storage import ObjectStore

_ABANDON_SECONDS = 5.0  # for a save that is under way


class RunLogs:
    """Collectors, book and segments of one run; all calls come from the run's own thread.

    Parameters
    ----------
    sources : Sources
        The run.
    store : ObjectStore
        Keeps the segments.
    epoch : int
        Of the lease; names the segments.
    replay : bool
        Whether the run is over, so that only logs that can be read again are collected.
    stop_time_ns : int or None
        The frozen stop, so that no later sample is taken; None while the run is not frozen.

    Attributes
    ----------
    remarks : list of str
        What the user should know; the caller takes them.
    """

    def __init__(
        self, sources: Sources, store: ObjectStore, epoch: int, *, replay: bool, stop_time_ns: int | None
    ) -> None:
        from runstart.collectors import Collecting, RunFacts

        record = sources.record
        facts = RunFacts(
            instrument=sources.instrument,
            run_key=record.partition_key,
            run_name=record.start.run_name,
            start_time_ns=record.start_time_ns,
            bootstrap_servers=sources.bootstrap_servers,
            access=sources.access,
        )
        self.remarks: list[str] = []
        self.book = LogBook(record.partition_key, record.start_time_ns)
        if stop_time_ns is not None:
            self.book.close(stop_time_ns)
        self._segments = LogStore(store, run_prefix(record.instrument, record.partition_key), epoch)
        self._interval = sources.instrument.snapshot_interval
        self._next_save = time.monotonic() + self._interval
        self._saving: threading.Thread | None = None
        self._trouble: str | None = None
        self._collecting = Collecting(facts, self.book, replay=replay)

    def start(self) -> None:
        """Read what has been collected before, and begin to collect.

        Raises
        ------
        Transient
            If the store is away.
        """
        self.remarks += self._segments.load(self.book)
        self._collecting.start()

    def look(self) -> None:
        """Store new samples in a thread of its own when it is time."""
        if time.monotonic() < self._next_save or (self._saving is not None and self._saving.is_alive()):
            return
        self._next_save = time.monotonic() + self._interval
        self._saving = threading.Thread(target=self._save, name="logs", daemon=True)
        self._saving.start()

    def close(self) -> None:
        """Take no more samples of devices: the run's stop has passed."""
        self._collecting.close()

    def finish(self, stop_time_ns: int) -> Mapping[str, LogSeries]:
        """Stop the collectors and return all logs of the run."""
        self._collecting.finish(stop_time_ns)
        if self._saving is not None:
            self._saving.join()
        self._save()
        return self.book.series()

    def abandon(self) -> None:
        """Stop the collectors of a run that is not finished here, and keep what they have collected."""
        self._collecting.abandon()
        if self._saving is not None:
            self._saving.join(_ABANDON_SECONDS)
            if self._saving.is_alive():
                return  # the store hangs; the process must end
        self._save()

    def status(self) -> dict[str, dict[str, Any]]:
        """Return for each collector the number of its samples, and what is wrong with it."""
        return self._collecting.status()

    @property
    def trouble(self) -> str | None:
        """Why samples are not stored."""
        return self._trouble

    def _save(self) -> None:
        try:
            self._segments.save(self.book)
        except (Alert, Transient) as error:
            self._trouble = f"New log samples could not be stored and will be tried again: {error}"
        else:
            self._trouble = None
