"""Runs the collectors of one run beside its counting, each in a thread of its own.

A collector that raises is reported and made anew after a while, the longer the more often it has raised; one that
hangs is left behind when the run ends. Neither is felt by the run: all that it waits for is two seconds at its end,
or the time for which a collector has asked to read what comes late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runstart.collectors.base import Collector
from runstart.collectors.context import RunContext, RunFacts
from runstart.collectors.registry import make_collector

if TYPE_CHECKING:
    from runstart.instruments import CollectorDeclaration
    from runstart.logs import LogBook

__all__ = ["Collecting"]

FIRST_BACK_OFF = 1.0
"""Seconds after which a collector that has raised is made anew; doubled each time."""

LONGEST_BACK_OFF = 60.0
"""Seconds between attempts at most."""

JOIN_SECONDS = 2.0
"""How long the end of a run waits for a collector that does not drain."""


class Collecting:
    """The collectors of one run.

    Parameters
    ----------
    facts : RunFacts
        The run.
    book : LogBook
        Takes the samples.
    declarations : mapping of str to CollectorDeclaration, optional
        The collectors by name; the instrument's if left out.
    replay : bool, optional
        Whether the run is read again after it has ended: then only collectors whose sources can be read again run.
    """

    def __init__(
        self,
        facts: RunFacts,
        book: LogBook,
        declarations: Mapping[str, CollectorDeclaration] | None = None,
        *,
        replay: bool = False,
    ) -> None:
        self._book = book
        self._workers: dict[str, _Worker] = {}
        declared = facts.instrument.collectors if declarations is None else declarations
        for name, declaration in declared.items():
            self._workers[name] = _Worker(RunContext(facts, book, name, replay=replay), declaration)

    def start(self) -> None:
        """Begin to collect; returns at once."""
        for worker in self._workers.values():
            worker.start()

    def close(self) -> None:
        """Take no more samples of collectors that do not drain: the run's stop is known and has passed."""
        for worker in self._workers.values():
            if worker.made.is_set() and worker.drain_seconds == 0:
                worker.run.close()

    def finish(self, stop_time_ns: int) -> None:
        """End collecting: let collectors that drain read on, close the run for all others, and close the book.

        Parameters
        ----------
        stop_time_ns : int
            Stop of the run, nanoseconds since 1970 UTC.
        """
        deadline = time.monotonic() + JOIN_SECONDS
        for worker in self._workers.values():
            worker.wait_until_made(deadline)
            worker.run.end(stop_time_ns, draining=worker.drain_seconds > 0)
        begun = time.monotonic()
        for worker in self._workers.values():
            worker.join(begun + max(JOIN_SECONDS, worker.drain_seconds))
        self._book.close(stop_time_ns)

    def abandon(self) -> None:
        """End collecting at once, for a run that is not finished here; the book stays open."""
        for worker in self._workers.values():
            worker.run.close()
        deadline = time.monotonic() + JOIN_SECONDS
        for worker in self._workers.values():
            worker.join(deadline)

    def status(self) -> dict[str, dict[str, int | str | None]]:
        """Return, for each collector by name, the number of its `samples`, and its `trouble` or None."""
        return {
            name: {"samples": self._book.samples_of(name), "trouble": worker.trouble}
            for name, worker in self._workers.items()
        }

    @property
    def troubles(self) -> dict[str, str]:
        """What is wrong, by name of the collector; a collector without trouble is not in it."""
        return {name: worker.trouble for name, worker in self._workers.items() if worker.trouble is not None}

    @property
    def dropped(self) -> int:
        """Samples that were dropped because the run had ended while they were read."""
        return sum(worker.run.dropped for worker in self._workers.values())


class _Worker:
    """One collector in its thread."""

    def __init__(self, run: RunContext, declaration: CollectorDeclaration) -> None:
        self.run = run
        self.drain_seconds = 0.0
        self.made = threading.Event()
        """Set once it is known how long the collector drains."""
        self._declaration = declaration
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._work, name=f"collector {run.collector_name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait_until_made(self, deadline: float) -> None:
        """Wait until it is known how long the collector drains, or `time.monotonic()` has passed a deadline."""
        if self._thread.ident is not None:
            self.made.wait(max(0.0, deadline - time.monotonic()))

    def join(self, deadline: float) -> None:
        """Wait until the thread has ended or `time.monotonic()` has passed a deadline; then it is left behind."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        self.run.close()
        if self._thread.is_alive():
            self._failure = "It did not end with the run; what it still reads is dropped."

    @property
    def trouble(self) -> str | None:
        """What is wrong with the collector, or else what it says is wrong."""
        return self._failure or self.run.current_trouble

    def _work(self) -> None:
        back_off = FIRST_BACK_OFF
        while True:
            begun = time.monotonic()
            if self._collect_until_it_ends():
                return
            if time.monotonic() - begun > LONGEST_BACK_OFF:
                back_off = FIRST_BACK_OFF
            if self.run.wait(back_off):
                return
            back_off = min(back_off * 2, LONGEST_BACK_OFF)

    def _collect_until_it_ends(self) -> bool:
        """Return True when the run has ended or there is nothing to collect, False if the collector raised."""
        try:
            collector = make_collector(self._declaration.use, self._declaration.options)
            if self.run.replay and not collector.replayable:
                return True
            self.drain_seconds = collector.drain_seconds
            self.made.set()
            try:
                self._collect(collector)
            finally:
                collector.on_run_end(self.run)
        except Exception as error:  # noqa: BLE001 - whatever a collector raises is its own trouble, not the run's
            self._failure = f"{type(error).__name__}: {error}"[:1000]
            return False
        finally:
            self.made.set()
        return True

    def _collect(self, collector: Collector) -> None:
        collector.on_run_start(self.run)
        due = time.monotonic()
        while not self.run.wait(max(0.0, due - time.monotonic())):
            collector.collect(self.run)
            self._failure = None
            due = max(due + collector.interval, time.monotonic())
