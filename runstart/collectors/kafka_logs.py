"""Reads logs that the facility publishes on Kafka: values (f142, f144), fast samples (se00) and alarms (al00).

Messages are read from the run's start less `look_back`, so that a value published before the start is known at it, up
to the end that the topic has once the run is over; a replay reads the same stretch again, by Kafka's times. Alarms
become a log of texts of their own, `NAME.alarm`. Vectors and messages that cannot be decoded are counted and
told, never guessed at. While the broker is away, or the topic does not exist yet, the collector waits and says so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from runstart.collectors.base import Collector
from runstart.collectors.context import RunContext
from runstart.collectors.options import KafkaLogsOptions
from runstart.errors import Alert, Transient
from runstart.events import (
    AlarmMessage,
    FastSamples,
    ForeignMessage,
    LogMessage,
    MalformedMessage,
    Message,
    Severity,
    decode,
)
from runstart.instruments import PLAINTEXT
from runstart.kafka import Batch, EventLog

__all__ = ["KafkaLogsCollector"]

_NS_PER_MS = 1_000_000
_MS_PER_S = 1000
_AT_ONCE = 1000  # messages of one read
_RETRY_SECONDS = 2.0
_QUIET_SECONDS = 5.0  # without messages; then the broker is asked whether it is there
_MOST_REMEMBERED = 10_000  # source names


@dataclass(frozen=True, slots=True)
class _Value:
    source: str
    suffix: str
    time_ns: int
    value: float | str
    severity: Severity = Severity.OK
    status: str = ""


class _Unfit(ValueError):
    """A message whose values no log can hold."""


class KafkaLogsCollector(Collector):
    """Records what a topic of log messages says.

    Parameters
    ----------
    options : KafkaLogsOptions
        Topic and sources.
    """

    Options: ClassVar[type[KafkaLogsOptions]] = KafkaLogsOptions
    interval = 0.0
    replayable = True
    drain_seconds = 30.0

    def __init__(self, options: KafkaLogsOptions) -> None:
        super().__init__(options)
        self._log: EventLog | None = None
        self._positions: dict[int, int] = {}
        self._names_of = _naming(options.sources)
        self._last_sign = time.monotonic()
        self._malformed = self._unfit = 0

    def collect(self, run: RunContext) -> None:
        """Read what has come."""
        try:
            self._read(run)
        except (Alert, Transient) as error:
            run.trouble(str(error))
            self._give_up(error)
            run.wait(_RETRY_SECONDS)

    def on_run_end(self, run: RunContext) -> None:
        """Read to the end that the topic has for this run, as far as there is time."""
        deadline = time.monotonic() + self.drain_seconds - _RETRY_SECONDS
        ends: dict[int, int] | None = None
        try:
            while run.stop_time_ns is not None and run.identity() is not None:
                try:
                    log = self._opened(run)
                    ends = self._ends(log, run, run.stop_time_ns) if ends is None else ends
                    if all(self._positions[partition] >= end for partition, end in ends.items()):
                        return
                    self._read(run)
                except (Alert, Transient) as error:
                    run.trouble(f"The logs were not read to the end of the run: {error}")
                    self._give_up(error)
                    if not self._positions:
                        ends = None
                    time.sleep(_RETRY_SECONDS / 2)
                if time.monotonic() > deadline:
                    run.trouble(run.current_trouble or "The logs were not read to the end of the run.")
                    return
        finally:
            self._close()

    def _topic(self, run: RunContext) -> str:
        return str(self.options.topic or run.instrument.topics.sample_env)

    def _opened(self, run: RunContext) -> EventLog:
        """Return the topic, read on from where it was left or from the start of the run."""
        if self._log is not None:
            return self._log
        log = EventLog(run.facts.bootstrap_servers, self._topic(run), run.facts.access or PLAINTEXT)
        try:
            begin_ms = run.start_time_ns // _NS_PER_MS - int(self._look_back(run) * _MS_PER_S)
            for partition in log.partitions():
                if partition not in self._positions:
                    self._positions[partition] = _first_at(log, partition, begin_ms)
            log.seek(self._positions)
        except BaseException:
            log.close()
            raise
        self._log = log
        self._last_sign = time.monotonic()
        return log

    def _look_back(self, run: RunContext) -> float:
        given = self.options.look_back
        return float(run.instrument.seek_margin if given is None else given)

    def _ends(self, log: EventLog, run: RunContext, stop_time_ns: int) -> dict[int, int]:
        """Return how far each partition is read: up to what came within the grace, by Kafka's times and a margin."""
        patience = run.instrument.grace + run.instrument.seek_margin
        end_ms = min(stop_time_ns // _NS_PER_MS + int(patience * _MS_PER_S), time.time_ns() // _NS_PER_MS)
        return {partition: _first_at(log, partition, end_ms) for partition in self._positions}

    def _read(self, run: RunContext) -> None:
        log = self._opened(run)
        if not self._positions:
            self._close()
            raise Transient(f"Topic {self._topic(run)} does not exist yet; its logs will be read once it does.")
        identity = run.identity()
        batch = log.read(_AT_ONCE, 0.3)
        self._positions |= batch.positions
        self._take(run, batch, identity or "")
        if batch.messages:
            self._last_sign = time.monotonic()
        elif time.monotonic() - self._last_sign > _QUIET_SECONDS:
            known = set(self._positions)
            new = {partition: 0 for partition in log.partitions() if partition not in known}
            if new:
                log.add(new)
                self._positions |= new
            self._last_sign = time.monotonic()
        else:
            return
        run.trouble(self._complaint(run))

    def _take(self, run: RunContext, batch: Batch, identity: str) -> None:
        for raw in batch.messages:
            try:
                for one in _values(decode(raw.payload)):
                    for name in self._names_of(one.source):
                        run.record(
                            name + one.suffix,
                            one.value,
                            one.time_ns,
                            one.severity,
                            status=one.status,
                            source=one.source,
                            identity=identity,
                        )
            except ForeignMessage:
                continue  # other messages share the topic
            except MalformedMessage:
                self._malformed += 1
            except _Unfit:
                self._unfit += 1

    def _complaint(self, run: RunContext) -> str | None:
        found = []
        if self._malformed:
            found.append(f"{self._malformed:,} messages of topic {self._topic(run)} could not be decoded")
        if self._unfit:
            found.append(f"{self._unfit:,} messages hold vectors, or samples without times, which no log takes")
        return "; ".join(found) + "." if found else None

    def _give_up(self, error: Alert | Transient) -> None:
        """Leave the topic; begin with the run's start if it may have been made anew, with other offsets."""
        if isinstance(error, Alert):
            self._positions = {}
        self._close()

    def _close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


def _first_at(log: EventLog, partition: int, timestamp_ms: int) -> int:
    """Return the first offset at or after a Kafka time, or the one that comes next."""
    # The end first: what comes between the two answers must not be passed over.
    end = log.watermarks(partition)[1]
    found = log.offset_at(partition, timestamp_ms)
    return end if found is None else found


def _values(message: Message) -> Iterator[_Value]:
    """Yield what a message adds to logs; nothing for a message of another kind."""
    match message:
        case LogMessage():
            value = _single(message.value)
            severity = Severity.OK if message.severity is None else message.severity
            status = "" if message.status in (None, "NO_ALARM") else str(message.status)
            yield _Value(message.source_name, "", message.time_ns, value, severity, status)
        case AlarmMessage():
            text = message.text or message.severity.name
            yield _Value(message.source_name, ".alarm", message.time_ns, text, message.severity, message.text)
        case FastSamples():
            suffix = f":{message.channel}" if message.channel > 0 else ""
            pairs = zip(_sample_times(message), message.values.tolist(), strict=True)
            for time_ns, number in pairs:
                yield _Value(message.source_name, suffix, time_ns, float(number))


def _single(value: object) -> float | str:
    """Return the one number or text of a message."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and value.size == 1:
        return float(value.reshape(())[()])
    if isinstance(value, tuple) and len(value) == 1:
        return str(value[0])
    if isinstance(value, (int, float, np.number)):
        return float(value)
    raise _Unfit


def _sample_times(samples: FastSamples) -> list[int]:
    count = samples.values.size
    if samples.sample_time_ns is not None and samples.sample_time_ns.size == count:
        return [int(time_ns) for time_ns in samples.sample_time_ns]
    if samples.interval_ns > 0 and np.isfinite(samples.interval_ns):
        return [samples.time_ns + round(index * samples.interval_ns) for index in range(count)]
    if count <= 1:
        return [samples.time_ns] * count
    raise _Unfit


def _naming(sources: dict[str, str] | None) -> Callable[[str], tuple[str, ...]]:
    """Return a function that gives the names of the logs of a source."""
    if sources is None:
        return lambda source: (source,)
    patterns = [
        (name, re.compile("(.*)".join(re.escape(part) for part in source.split("*")), re.DOTALL))
        for name, source in sources.items()
    ]
    remembered: dict[str, tuple[str, ...]] = {}

    def names_of(source: str) -> tuple[str, ...]:
        known = remembered.get(source)
        if known is None:
            found = ((name, pattern.fullmatch(source)) for name, pattern in patterns)
            known = tuple(name.replace("*", match[1]) if "*" in name else name for name, match in found if match)
            if len(remembered) < _MOST_REMEMBERED:
                remembered[source] = known
        return known

    return names_of
