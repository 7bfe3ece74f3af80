"""A Kafka cluster in memory, as far as `RunInfoLog` uses one: topics made anew, deleted records, outages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kafka.errors import KafkaTimeoutError, OffsetOutOfRangeError
from kafka.structs import TopicPartition


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes | None


class Found(NamedTuple):
    offset: int


@dataclass
class Partition:
    """Records in order of their offsets; those before `begin` have been deleted."""

    begin: int = 0
    end: int = 0
    records: list[Record] = field(default_factory=list)


@dataclass
class FakeCluster:
    """Topics by name, each a list of partitions; raises a time-out for each question while it is `down`."""

    topics: dict[str, list[Partition]] = field(default_factory=dict)
    down: bool = False

    def create(self, topic: str, partitions: int = 1) -> None:
        """Create a topic, or make it anew."""
        self.topics[topic] = [Partition() for _ in range(partitions)]

    def write(self, topic: str, payload: bytes | None, partition: int = 0, timestamp_ms: int = 0) -> int:
        """Append a message and return its offset."""
        place = self.topics[topic][partition]
        place.records.append(Record(place.end, timestamp_ms, payload))
        place.end += 1
        return place.end - 1

    def pass_offset(self, topic: str, partition: int = 0) -> None:
        """Use up an offset as the end of a transaction does: no consumer ever gets a record for it."""
        self.topics[topic][partition].end += 1

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Delete the oldest records, as retention does."""
        place = self.topics[topic][partition]
        place.begin = before
        place.records = [record for record in place.records if record.offset >= before]

    def consumer(self, **_: Any) -> FakeConsumer:
        """Stand in for `kafka.KafkaConsumer`."""
        self.ask()
        return FakeConsumer(self)

    def ask(self) -> None:
        """Raise if the cluster is down."""
        if self.down:
            raise KafkaTimeoutError("the cluster is down")


class FakeConsumer:
    """What `RunInfoLog` uses of `kafka.KafkaConsumer`."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self._positions: dict[TopicPartition, int] = {}

    def close(self, autocommit: bool = True) -> None:
        """Forget everything."""

    def topics(self) -> set[str]:
        self._cluster.ask()
        return set(self._cluster.topics)

    def partitions_for_topic(self, topic: str) -> set[int]:
        self._cluster.ask()
        return set(range(len(self._cluster.topics[topic])))

    def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        self._cluster.ask()
        return {tp: self._place(tp).begin for tp in partitions}

    def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        self._cluster.ask()
        return {tp: self._place(tp).end for tp in partitions}

    def offsets_for_times(self, times: dict[TopicPartition, int]) -> dict[TopicPartition, Found | None]:
        self._cluster.ask()
        return {
            tp: next((Found(r.offset) for r in self._place(tp).records if r.timestamp >= time), None)
            for tp, time in times.items()
        }

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(partitions, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    def position(self, tp: TopicPartition, timeout_ms: int | None = None) -> int:
        return self._positions[tp]

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        self._cluster.ask()
        polled: dict[TopicPartition, list[Any]] = {}
        left = max_records
        for tp, position in self._positions.items():
            if tp.topic not in self._cluster.topics:
                continue
            place = self._place(tp)
            if not place.begin <= position <= place.end:
                raise OffsetOutOfRangeError({tp: position})
            records = [record for record in place.records if record.offset >= position][:left]
            left -= len(records)
            if records:
                polled[tp] = records
            if left:
                self._positions[tp] = place.end
            elif records:
                self._positions[tp] = records[-1].offset + 1
        return polled

    def _place(self, tp: TopicPartition) -> Partition:
        return self._cluster.topics[tp.topic][tp.partition]
