"""Ways to read an event topic: the production reader with a stopwatch, and one on kafka-python.

Both have the interface of `runstart.kafka.EventLog`, so that the production code counts with either.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from unittest import mock

import psutil

from runstart.instruments import PLAINTEXT, Access
from runstart.kafka import Batch, EventLog, RawMessage

READERS = ("confluent-kafka", "kafka-python")


@dataclass
class Stopwatch:
    """How the time of a reading phase was spent, in seconds.

    Attributes
    ----------
    began, ended : float
        Of the wall clock: the first read, and the end of what was done with the last message.
    reading : float
        Inside `read`, for all reads up to the last that brought a message.
    reading_cpu, thread_cpu : float
        CPU time of the counting thread inside `read`, and in all.
    process_cpu, broker_cpu, machine_cpu : float
        CPU time of all threads, of the broker, and of everything on this machine.
    """

    began: float = 0.0
    ended: float = 0.0
    reading: float = 0.0
    reading_cpu: float = 0.0
    thread_cpu: float = 0.0
    process_cpu: float = 0.0
    broker_cpu: float = 0.0
    machine_cpu: float = 0.0
    messages: int = 0
    reads: int = 0
    broker: psutil.Process | None = None
    _cpu_began: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    _waiting: tuple[float, float] = (0.0, 0.0)
    _brought: bool = False

    def before_read(self) -> tuple[float, float]:
        """Note that a read begins, and that what the last one brought has been handled."""
        now, cpu = time.perf_counter(), time.thread_time()
        if self.began == 0.0:
            self.began, self._cpu_began = now, self._cpu()
        if self._brought:
            self.ended = now
            spent = [after - before for after, before in zip(self._cpu(), self._cpu_began, strict=True)]
            self.thread_cpu, self.process_cpu, self.broker_cpu, self.machine_cpu = spent
        return now, cpu

    def after_read(self, before: tuple[float, float], batch: Batch) -> None:
        """Note what a read brought; the time of empty reads counts once a later one brings something."""
        self._brought = bool(batch.messages)
        spent = time.perf_counter() - before[0], time.thread_time() - before[1]
        self._waiting = self._waiting[0] + spent[0], self._waiting[1] + spent[1]
        if self._brought:
            self.reads += 1
            self.messages += len(batch.messages)
            self.reading += self._waiting[0]
            self.reading_cpu += self._waiting[1]
            self._waiting = (0.0, 0.0)

    @property
    def seconds(self) -> float:
        """Length of the reading phase."""
        return self.ended - self.began

    def _cpu(self) -> tuple[float, float, float, float]:
        broker = 0.0 if self.broker is None else sum(self.broker.cpu_times()[:2])
        machine = psutil.cpu_times()
        return time.thread_time(), time.process_time(), broker, machine.user + machine.nice + machine.system


class TimedEventLog(EventLog):
    """The production reader."""

    def __init__(self, bootstrap_servers: str, topic: str, access: Access = PLAINTEXT) -> None:
        super().__init__(bootstrap_servers, topic, access)
        self.watch = Stopwatch(broker=_broker)
        _opened.append(self.watch)

    def read(self, max_messages: int, timeout: float) -> Batch:
        """Return what has come."""
        before = self.watch.before_read()
        batch = super().read(max_messages, timeout)
        self.watch.after_read(before, batch)
        return batch

    def close(self) -> None:
        """Leave the broker."""
        self.watch.before_read()
        super().close()


class KafkaPythonEventLog:
    """The same on kafka-python with crc32c, the fastest that it can be made by its settings.

    Only what a replay of a closed run needs: retention and new partitions are not looked at.
    """

    def __init__(self, bootstrap_servers: str, topic: str, _: Access = PLAINTEXT) -> None:
        from kafka import KafkaConsumer

        self.topic = topic
        self.trouble: str | None = None
        self.watch = Stopwatch(broker=_broker)
        _opened.append(self.watch)
        self._consumer: Any = KafkaConsumer(
            bootstrap_servers=bootstrap_servers.split(","),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            fetch_max_wait_ms=100,
            fetch_max_bytes=64 * 1024 * 1024,
            max_partition_fetch_bytes=16 * 1024 * 1024,
            receive_buffer_bytes=4 * 1024 * 1024,
            metrics_enabled=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the broker."""
        self.watch.before_read()
        self._consumer.close(autocommit=False)

    def partitions(self) -> list[int]:
        """Return the numbers of the topic's partitions."""
        return sorted(self._consumer.partitions_for_topic(self.topic))

    def watermarks(self, partition: int) -> tuple[int, int]:
        """Return the first offset that the broker still has, and the offset that comes next."""
        place = self._place(partition)
        return self._consumer.beginning_offsets([place])[place], self._consumer.end_offsets([place])[place]

    def offset_at(self, partition: int, timestamp_ms: int) -> int | None:
        """Return the first offset whose Kafka timestamp is at or after a time; None if there is none."""
        place = self._place(partition)
        found = self._consumer.offsets_for_times({place: max(timestamp_ms, 0)})[place]
        return None if found is None else int(found.offset)

    def seek(self, positions: Mapping[int, int]) -> None:
        """Read from these offsets on, and only these partitions."""
        self._consumer.assign([self._place(partition) for partition in positions])
        for partition, offset in positions.items():
            self._consumer.seek(self._place(partition), offset)

    def read(self, max_messages: int, timeout: float) -> Batch:
        """Return what has come, waiting at most `timeout` seconds for the first message."""
        before = self.watch.before_read()
        batch = Batch()
        found = self._consumer.poll(timeout_ms=int(timeout * 1000), max_records=max_messages)
        for place, records in found.items():
            partition = place.partition
            batch.messages += [RawMessage(partition, r.offset, r.timestamp, r.value) for r in records]
            batch.positions[partition] = records[-1].offset + 1
        self.watch.after_read(before, batch)
        return batch

    def _place(self, partition: int) -> Any:
        from kafka.structs import TopicPartition

        return TopicPartition(self.topic, partition)


_opened: list[Stopwatch] = []
_broker: psutil.Process | None = None


def open_log(reader: str, bootstrap_servers: str, topic: str) -> TimedEventLog | KafkaPythonEventLog:
    """Return an event log on one of `READERS`."""
    kind = TimedEventLog if reader == "confluent-kafka" else KafkaPythonEventLog
    return kind(bootstrap_servers, topic)


@contextlib.contextmanager
def production_reads_with(reader: str, broker_pid: int) -> Iterator[list[Stopwatch]]:
    """Let the production code read with one of `READERS`; the stopwatches of the logs that it opens are given."""
    global _broker  # noqa: PLW0603 - the production code makes the logs
    kind = TimedEventLog if reader == "confluent-kafka" else KafkaPythonEventLog
    _opened.clear()
    _broker = psutil.Process(broker_pid)
    with mock.patch("runstart.live.follow.EventLog", kind), mock.patch("runstart.live.live_run.EventLog", kind):
        yield _opened
    _broker = None
