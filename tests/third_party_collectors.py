"""Collectors as a facility would write them, good and bad, for tests to name by import path."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

from runstart.collectors import Collector, NoOptions, RunContext


class CountingOptions(NoOptions):
    """Options of `Counting`."""

    log: str = "count"
    every: float = 0.01


class Counting(Collector):
    """Records how often it was called."""

    Options = CountingOptions

    def __init__(self, options: CountingOptions) -> None:
        super().__init__(options)
        self.interval = options.every
        self.calls = 0

    def collect(self, run: RunContext) -> None:
        self.calls += 1
        with run.reading() as reading:
            reading.record(self.options.log, float(self.calls), unit="calls")


class Replayable(Counting):
    """Counts in a replay too."""

    replayable = True


class Slow(Collector):
    """Reads for as long as a test wants."""

    interval = 0.0
    reading: ClassVar[threading.Event] = threading.Event()
    go_on: ClassVar[threading.Event] = threading.Event()

    def collect(self, run: RunContext) -> None:
        with run.reading() as reading:
            self.reading.set()
            self.go_on.wait(20)
            reading.record("slow", 1.0)


class Late(Collector):
    """Has its only sample when the run is over."""

    drain_seconds = 5.0

    def on_run_end(self, run: RunContext) -> None:
        run.record("late", 1.0, run.start_time_ns + 1)


class Failing(Collector):
    """Raises at its second reading, every time that it is made."""

    interval = 0.0
    made: ClassVar[int] = 0

    def on_run_start(self, run: RunContext) -> None:
        type(self).made += 1
        self.calls = 0

    def collect(self, run: RunContext) -> None:
        self.calls += 1
        run.record("failing", 0.0, time.time_ns())
        if self.calls == 2:
            raise OSError("the device is on fire")


NOT_A_COLLECTOR = 1


class AlsoNone:
    """A class that is no collector."""
