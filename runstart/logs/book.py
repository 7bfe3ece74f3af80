"""Keeps the samples of one run: each once, in bounded memory, and only those that are the run's.

A sample belongs to the run if start <= time < stop; of those at or before the start the newest is kept besides,
with its own time, because it is the value at the start. Two samples of one log at one time are one: the first
that came stays. A log with too many samples is thinned: of each stretch of equal severity every second sample
goes, its first and last stay, so that changes of severity survive as long as they are fewer than a quarter of the
limit; what went is counted. The first value that is known decides whether a log holds numbers or texts; a
text in a log of numbers is refused and counted, a number in a log of texts becomes a text.
"""

from __future__ import annotations

import copy
import operator
import threading
from array import array
from dataclasses import replace

import numpy as np

from runstart.events import Severity
from runstart.logs._log import Log
from runstart.logs.model import LogSeries, Sample

__all__ = ["MOST_SAMPLES", "LogBook"]

MOST_SAMPLES = 200_000
"""Samples of one log from which on it is thinned: 4 MB."""

MOST_LOGS = 10_000
"""Logs of one run; further ones are refused and counted."""

_MOST_INT64 = 2**63
_LONGEST_NAME = 300
_LONGEST_TEXT = 4096


class LogBook:
    """The logs of one run, safe among threads.

    Parameters
    ----------
    run_key : str
        The run's partition key.
    start_time_ns : int
        Start of the run, nanoseconds since 1970 UTC.
    most_samples : int, optional
        Samples of one log from which on it is thinned; at least 64.
    """

    def __init__(self, run_key: str, start_time_ns: int, most_samples: int = MOST_SAMPLES) -> None:
        self.run_key = run_key
        self.start_time_ns = start_time_ns
        self._most_samples = most_samples
        self._logs: dict[str, Log] = {}
        self._stop_time_ns: int | None = None
        self._added: dict[str, int] = {}
        self._counters = dict.fromkeys(("added", "duplicates", "before_start", "after_stop", "refused"), 0)
        self._lock = threading.Lock()

    def add(self, sample: Sample, collector_name: str) -> bool:
        """Add a sample.

        Parameters
        ----------
        sample : Sample
            Name and texts longer than the book keeps are cut.
        collector_name : str
            Who recorded it, for `samples_of`.

        Returns
        -------
        bool
            True if it was stored; False for a duplicate, an older value at the start, a sample after the stop, and
            what is refused. `counters` say which.

        Raises
        ------
        TypeError, ValueError, OverflowError
            If its time, value or severity is none; the book is as it was.
        """
        with self._lock:
            outcome = self._place(sample)
            self._counters[outcome] += 1
            if outcome == "added":
                self._added[collector_name] = self._added.get(collector_name, 0) + 1
            return outcome == "added"

    def describe(self, name: str, unit: str) -> None:
        """Note the unit of a log that has samples.

        Parameters
        ----------
        name : str
            The log.
        unit : str
            Unit as its source writes it; empty changes nothing.
        """
        with self._lock:
            log = self._logs.get(name[:_LONGEST_NAME])
            if log is not None:
                log.describe(unit[:_LONGEST_NAME], "")

    def close(self, stop_time_ns: int) -> None:
        """Drop the samples at or after the stop, and refuse those that come later.

        Parameters
        ----------
        stop_time_ns : int
            Stop of the run, nanoseconds since 1970 UTC. A second call with a later stop brings nothing back.
        """
        with self._lock:
            known = self._stop_time_ns
            self._stop_time_ns = stop_time_ns if known is None else min(known, stop_time_ns)
            for name, log in list(self._logs.items()):
                self._counters["after_stop"] += log.cut(self._stop_time_ns)
                if not len(log):
                    del self._logs[name]

    def series(self) -> dict[str, LogSeries]:
        """Return copies of all logs that have samples by name, sorted by name."""
        copies = {}
        for name in self._names():
            with self._lock:  # of each log for itself, so that who adds samples does not wait for all
                log = self._logs.get(name)
                if log is not None and len(log):
                    copies[name] = log.series()
        return copies

    def copy(self) -> LogBook:
        """Return a book of the same content that shares nothing with this one."""
        twin = LogBook(self.run_key, self.start_time_ns, self._most_samples)
        with self._lock:
            twin._logs = copy.deepcopy(self._logs)
            twin._stop_time_ns = self._stop_time_ns
            twin._added = dict(self._added)
            twin._counters = dict(self._counters)
        return twin

    def samples_of(self, collector_name: str) -> int:
        """Return how many samples a collector has added."""
        return self._added.get(collector_name, 0)

    @property
    def counters(self) -> dict[str, int]:
        """What became of the samples: added, duplicates, before_start, after_stop, refused, thinned."""
        with self._lock:
            return self._counters | {"thinned": sum(log.thinned for log in self._logs.values())}

    def take_unstored(self, everything: bool = False) -> list[LogSeries]:
        """Return the samples that were added since the last call, and count them as stored.

        Parameters
        ----------
        everything : bool, optional
            Return all samples.
        """
        taken = []
        for name in self._names():
            with self._lock:
                log = self._logs.get(name)
                if log is None:
                    continue
                new = None if everything else log.new
                if new is None or len(new):
                    taken.append(log.series(new))
                log.new = array("q")
        return [series for series in taken if len(series)]

    def put_back(self, series: list[LogSeries]) -> None:
        """Count samples as not stored again, because they could not be."""
        with self._lock:
            for one in series:
                log = self._logs.get(one.name)
                if log is not None and log.new is not None:
                    log.new.extend(one.time_ns.tolist())
                    if len(log.new) > log.most:
                        log.new = None

    def restore(self, series: list[LogSeries]) -> int:
        """Add samples that are stored already, and return how many were new to the book.

        Parameters
        ----------
        series : list of LogSeries
            What a `LogStore` has read.
        """
        restored = 0
        for one in series:
            with self._lock:
                restored += self._restore(one)
                log = self._logs.get(one.name[:_LONGEST_NAME])
                if log is not None:
                    log.describe(one.unit, one.source)
                    if log.new:
                        new = np.array(log.new, np.int64)
                        log.new = array("q", new[~np.isin(new, one.time_ns)].tobytes())
                    log.thinned = max(log.thinned, one.thinned)
        return restored

    def _names(self) -> list[str]:
        with self._lock:
            return sorted(self._logs)

    def _restore(self, series: LogSeries) -> int:
        """Add a series, what is newer than all samples of its log in one go, and return how many were new."""
        times = series.time_ns
        if (np.diff(times) <= 0).any():
            return self._place_all(series)
        log = self._logs.get(series.name[:_LONGEST_NAME])
        newest = self.start_time_ns if log is None or not len(log) else max(self.start_time_ns, log.time_ns[-1])
        known = int(np.searchsorted(times, newest, "right"))
        end = len(series) if self._stop_time_ns is None else int(np.searchsorted(times, self._stop_time_ns))
        self._counters["after_stop"] += len(series) - end
        restored = self._place_all(_part(series, 0, min(known, end)))
        rest = _part(series, known, end)
        if not len(rest):
            return restored
        return restored + (len(rest) if self._extend(rest) else self._place_all(rest))

    def _place_all(self, series: LogSeries) -> int:
        added = 0
        for sample in _samples(series):
            outcome = self._place(sample)
            self._counters[outcome] += 1
            added += outcome == "added"
        return added

    def _extend(self, series: LogSeries) -> bool:
        """Add samples that are newer than all of their log in one go, if they fit; return whether they did."""
        name = series.name[:_LONGEST_NAME]
        log = self._logs.get(name)
        if log is None:
            if len(self._logs) >= MOST_LOGS:
                return False
            log = Log(name, self._most_samples)
        if not log.extend(series):
            return False
        self._logs[name] = log
        self._counters["added"] += len(series)
        return True

    def _place(self, sample: Sample) -> str:
        """Store a sample if it is to be stored, and return the counter that it belongs to."""
        sample = _checked(sample)
        time_ns = sample.time_ns
        if self._stop_time_ns is not None and time_ns >= self._stop_time_ns:
            return "after_stop"
        name = sample.name[:_LONGEST_NAME]
        log = self._logs.get(name)
        if not -_MOST_INT64 <= time_ns < _MOST_INT64 or (log is None and len(self._logs) >= MOST_LOGS):
            return "refused"
        if log is None:
            log = Log(name, self._most_samples)
        if log.holds(time_ns):
            log.describe(sample.unit, sample.source)
            return "duplicates"
        if not log.accepts(sample.value):
            return "refused"
        if time_ns <= self.start_time_ns and len(log) and log.time_ns[0] <= self.start_time_ns:
            if time_ns < log.time_ns[0]:
                return "before_start"
            log.remove(0)
            self._counters["before_start"] += 1
        log.insert(sample)
        self._logs[name] = log
        return "added"


def _checked(sample: Sample) -> Sample:
    """Return a sample with texts cut whose time is a whole number and whose value is a text or a number."""
    value = sample.value[:_LONGEST_TEXT] if isinstance(sample.value, str) else float(sample.value)
    return Sample(
        sample.name,
        operator.index(sample.time_ns),
        value,
        Severity(sample.severity),
        sample.unit[:_LONGEST_NAME],
        sample.status[:_LONGEST_NAME],
        sample.source[:_LONGEST_NAME],
    )


def _part(series: LogSeries, begin: int, end: int) -> LogSeries:
    part = slice(begin, max(begin, end))
    return replace(
        series,
        time_ns=series.time_ns[part],
        values=series.values[part],
        severity=series.severity[part],
        status=series.status[part],
    )


def _samples(series: LogSeries) -> list[Sample]:
    values = series.values if isinstance(series.values, tuple) else series.values.tolist()
    statuses = series.status or ("",) * len(series)
    rows = zip(series.time_ns.tolist(), values, series.severity.tolist(), statuses, strict=True)
    return [
        Sample(series.name, time, value, Severity(severity), series.unit, status, series.source)
        for time, value, severity, status in rows
    ]
