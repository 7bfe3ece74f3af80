"""What a collector sees of the run: its facts, its identity, and where samples go.

A sample carries the identity of the run that it was read in. The identity is taken before a read and compared after
it: if the run has ended in between, or was never open, what was read belongs to nobody, is dropped and counted.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runstart.events import Severity
    from runstart.instruments import Access, Instrument
    from runstart.logs import LogBook, Sample

__all__ = ["Reading", "RunContext", "RunFacts"]


@dataclass(frozen=True)
class RunFacts:
    """Which run it is, and how to reach the facility.

    Attributes
    ----------
    instrument : Instrument
        As declared.
    run_key : str
        The run's partition key.
    run_name : str
        As announced: any text.
    start_time_ns : int
        Nanoseconds since 1970 UTC.
    bootstrap_servers : str
        Of the instrument's Kafka cluster.
    access : Access or None
        How that cluster is entered; None without user and encryption.
    """

    instrument: Instrument
    run_key: str
    run_name: str
    start_time_ns: int
    bootstrap_servers: str = ""
    access: Access | None = None


class RunContext:
    """One run as one collector sees it; its methods may be called from any thread.

    Parameters
    ----------
    facts : RunFacts
        The run.
    book : LogBook
        Takes the samples.
    collector_name : str
        Name of the collector's declaration.
    replay : bool, optional
        Whether the run is read again after it has ended.
    """

    def __init__(self, facts: RunFacts, book: LogBook, collector_name: str, *, replay: bool = False) -> None:
        self.facts = facts
        self.collector_name = collector_name
        self.replay = replay
        self.dropped = 0
        """Samples that were dropped because the run had ended while they were read."""
        self.stop_time_ns: int | None = None
        """Stop of the run, nanoseconds since 1970 UTC, once it has ended."""
        self._book = book
        self._identity: str | None = f"{facts.instrument.name}/{facts.run_key}"
        self._trouble: str | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()

    @property
    def instrument(self) -> Instrument:
        """The instrument as declared."""
        return self.facts.instrument

    @property
    def run_key(self) -> str:
        """The run's partition key."""
        return self.facts.run_key

    @property
    def run_name(self) -> str:
        """The run's name as announced: any text."""
        return self.facts.run_name

    @property
    def start_time_ns(self) -> int:
        """Start of the run, nanoseconds since 1970 UTC."""
        return self.facts.start_time_ns

    def identity(self) -> str | None:
        """Return which run samples belong to now; None once it takes no more."""
        return self._identity

    def reading(self) -> Reading:
        """Return a context manager around one read, whose samples are recorded if the run is the same at its end."""
        return Reading(self)

    def record(
        self,
        name: str,
        value: float | str,
        time_ns: int | None = None,
        severity: Severity | int = 0,
        unit: str = "",
        *,
        status: str = "",
        source: str = "",
        identity: str | None = None,
    ) -> bool:
        """Record a sample.

        Parameters
        ----------
        name : str
            The log.
        value : float or str
            A number or a text.
        time_ns : int, optional
            When it was so, nanoseconds since 1970 UTC; now if left out.
        severity : Severity, optional
            How far it can be trusted.
        unit : str, optional
            Its unit.
        status : str, optional
            Why it has that severity.
        source : str, optional
            Where it comes from, such as the name of a PV.
        identity : str, optional
            What `identity()` was before the value was read; without it the run is asked only now.

        Returns
        -------
        bool
            True if it was stored; False for a duplicate, and if the run has ended since it was read.
        """
        from runstart.events import Severity
        from runstart.logs import Sample

        at = time.time_ns() if time_ns is None else time_ns
        sample = Sample(name, at, value, Severity(severity), unit, status, source)
        return self.commit(sample, self._identity if identity is None else identity)

    def commit(self, sample: Sample, identity: str | None) -> bool:
        """Store a sample if the run is still the one that it was read in; as `record` otherwise."""
        with self._lock:
            if identity is None or identity != self._identity:
                self.dropped += 1
                return False
            return self._book.add(sample, self.collector_name)

    def describe(self, name: str, unit: str) -> None:
        """Note the unit of a log, for a source that tells it apart from the values."""
        self._book.describe(name, unit)

    def trouble(self, text: str | None) -> None:
        """Say what is wrong, in one sentence for people; None if all is well again."""
        self._trouble = None if text is None else text[:1000]

    @property
    def current_trouble(self) -> str | None:
        """What is wrong."""
        return self._trouble

    def wait(self, seconds: float) -> bool:
        """Wait, and return True at once when the run ends: then stop collecting."""
        return self._ended.wait(seconds)

    def end(self, stop_time_ns: int, *, draining: bool) -> None:
        """Tell the collector that the run has ended; unless it drains, nothing that it still reads is recorded."""
        self.stop_time_ns = stop_time_ns
        if not draining:
            self.close()
        self._ended.set()

    def close(self) -> None:
        """Take no more samples."""
        with self._lock:
            self._identity = None
        self._ended.set()


class Reading:
    """One read: records what it was given when it ends without an exception, if the run is still the same.

    Parameters
    ----------
    run : RunContext
        The run.
    """

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._samples: list[Sample] = []
        self._identity: str | None = None

    def __enter__(self) -> Reading:
        """Take the run's identity before the read."""
        self._identity = self._run.identity()
        return self

    def record(
        self,
        name: str,
        value: float | str,
        time_ns: int | None = None,
        severity: Severity | int = 0,
        unit: str = "",
        *,
        status: str = "",
        source: str = "",
    ) -> None:
        """Record a sample at the end of the read; parameters as in `RunContext.record`."""
        from runstart.events import Severity
        from runstart.logs import Sample

        at = time.time_ns() if time_ns is None else time_ns
        self._samples.append(Sample(name, at, value, Severity(severity), unit, status, source))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Compare identities, and store or drop."""
        if kind is None:
            for sample in self._samples:
                self._run.commit(sample, self._identity)
