"""Reads an event topic by explicit offsets, never by consumer group.

Positions are the caller's: a read returns messages together with the position that each partition has reached,
so that counts and offsets can be stored as one. A broker that does not answer makes a read return nothing and
a question about offsets raise `Transient`; offsets that the broker has deleted are reported as lost ranges and
reading goes on at the first that is left. A topic that is gone for longer than a broker needs to restart is an
error, and so is a broker that refuses user or certificate. Partitions are read side by side in Kafka's time.
Built on confluent-kafka, because kafka-python is the bottleneck at full rate (`python -m bench
kafka_to_histogram` prints both).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, TypeVar

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from runstart.errors import Alert, Transient
from runstart.instruments import PLAINTEXT, Access
from runstart.kafka.access import confluent_settings
from runstart.kafka.refusal import Refusals
from runstart.kafka.side_by_side import MOST_AHEAD, Ahead, SideBySide

_BITE = 4 * 1024 * 1024  # bytes fetched, and returned by a read, at once: small enough to stay in the caches
_QUESTION_TIMEOUT = 5.0  # seconds for one question about offsets; a healthy broker needs milliseconds
_MISSING_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_OUT_OF_RANGE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION}
_MISSING_SECONDS = 30.0  # a broker that has just started may not know its topics yet
_BACKLOG = 1000  # messages; a partition with fewer left to read is as good as at its end

_T = TypeVar("_T")


class RawMessage(NamedTuple):
    """One message as it lies in the topic; `timestamp_ms` is Kafka's, not the pulse's."""

    partition: int
    offset: int
    timestamp_ms: int
    payload: bytes


@dataclass
class Batch:
    """What one read brought.

    Attributes
    ----------
    messages : list of RawMessage
        In offset order within each partition.
    positions : dict of int to int
        Next offset to read of each partition that moved, past control records too.
    lost : list of (partition, first, end)
        Half-open offset ranges that the broker deleted before they were read.
    """

    messages: list[RawMessage] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)
    lost: list[tuple[int, int, int]] = field(default_factory=list)


class EventLog:
    """One event topic of a Kafka cluster.

    Parameters
    ----------
    bootstrap_servers : str
        Comma-separated `host:port` list.
    topic : str
        Name of the topic.
    access : Access, optional
        How the cluster is entered.
    ahead : Ahead, optional
        How far partitions are read ahead of the slowest.

    Raises
    ------
    Alert
        If a secret or a file of the access is missing.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        access: Access = PLAINTEXT,
        *,
        ahead: Ahead = MOST_AHEAD,
    ) -> None:
        self.topic = topic
        self._refusals = Refusals(bootstrap_servers, access)
        self._let_in = False
        self._side_by_side = SideBySide(ahead)
        self._pending: list[Message] = []
        self._waited = 0.0  # seconds in all; a partition is not blamed for time that went into counting
        self._positions: dict[int, int] = {}
        self._out_of_range: set[int] = set()
        self._missing_since: float | None = None
        self._message_bytes = 1_000_000.0  # of a typical message, as the last read had them
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "runstart-unused",  # librdkafka wants one; offsets are never committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "check.crcs": True,
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 100,
                "fetch.error.backoff.ms": 100,
                "reconnect.backoff.max.ms": 1000,
                "fetch.queue.backoff.ms": 5,  # not the 1 s that it sleeps once its queue has been full
                "max.partition.fetch.bytes": _BITE,
                "topic.metadata.refresh.interval.ms": 10_000,
                "log_level": 2,
                "error_cb": self._refusals.hear,
                **confluent_settings(access),
            }
        )

    def __enter__(self) -> EventLog:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Leave the broker; nothing is committed there."""
        self._consumer.close()

    def partitions(self) -> list[int]:
        """Return the numbers of the topic's partitions, asked of the broker; none if the topic does not exist.

        Raises
        ------
        Transient
            If the broker does not answer.
        """
        metadata = self._ask(lambda: self._consumer.list_topics(self.topic, timeout=_QUESTION_TIMEOUT))
        found = metadata.topics[self.topic]
        if found.error is not None and found.error.code() in _MISSING_TOPIC:
            return []
        if found.error is not None:
            raise self._translated(KafkaException(found.error))
        return sorted(found.partitions)

    def watermarks(self, partition: int) -> tuple[int, int]:
        """Return the first offset that the broker still has, and the offset that comes next."""
        place = TopicPartition(self.topic, partition)
        low, high = self._ask(
            lambda: self._consumer.get_watermark_offsets(place, timeout=_QUESTION_TIMEOUT, cached=False)
        )
        self._missing_since = None
        return int(low), int(high)

    def offset_at(self, partition: int, timestamp_ms: int) -> int | None:
        """Return the first offset whose Kafka timestamp is at or after a time; None if there is none."""
        asked = TopicPartition(self.topic, partition, max(timestamp_ms, 0))
        (answer,) = self._ask(lambda: self._consumer.offsets_for_times([asked], timeout=_QUESTION_TIMEOUT))
        if answer.error is not None:
            raise self._translated(KafkaException(answer.error))
        return None if answer.offset in (OFFSET_END, -1) else int(answer.offset)

    def seek(self, positions: Mapping[int, int]) -> None:
        """Read from these offsets on, and only these partitions."""
        self._positions = dict(positions)
        self._out_of_range.clear()
        self._pending.clear()
        self._side_by_side.restart(positions, self._waited)
        self._consumer.assign([TopicPartition(self.topic, p, o) for p, o in sorted(positions.items())])

    def add(self, positions: Mapping[int, int]) -> None:
        """Read these partitions too, from these offsets on."""
        self._positions |= positions
        self._side_by_side.add(positions, self._waited)
        self._consumer.incremental_assign([TopicPartition(self.topic, p, o) for p, o in positions.items()])

    def read(self, max_messages: int, timeout: float) -> Batch:
        """Return what has come, waiting at most `timeout` seconds for the first message.

        A read returns about 4 MB at most: more would leave the processor's caches before it is counted.

        Raises
        ------
        Alert
            If the topic has been deleted, made anew, or access is refused: at once if this client was never let in,
            otherwise when the refusal has lasted for `runstart.kafka.refusal.PATIENCE_SECONDS`.
        """
        batch = Batch()
        bite = max(1, min(max_messages, int(_BITE / self._message_bytes)))
        pending, self._pending = self._pending, []
        for message in pending or self._consume(bite, timeout):
            self._take(message, batch)
        self._raise_refusal()
        if batch.messages:
            total = sum(len(message.payload) for message in batch.messages)
            self._message_bytes = max(1.0, total / len(batch.messages))
        for partition in sorted(self._out_of_range):
            self._skip_lost(partition, batch)
        if self._missing_since is not None:
            self._look_for_topic()
        self._keep_side_by_side(batch)
        return batch

    @property
    def trouble(self) -> str | None:
        """What the brokers refuse at present, for people; None if nothing."""
        refusal = self._refusals.standing
        return None if refusal is None else refusal.what

    def _consume(self, bite: int, timeout: float) -> list[Message]:
        begun = time.monotonic()
        messages: list[Message] = self._consumer.consume(bite, timeout=timeout)
        self._waited += time.monotonic() - begun
        return messages

    def _ask(self, question: Callable[[], _T]) -> _T:
        try:
            answer = question()
        except KafkaException as error:
            self._pending += self._consumer.consume(1, timeout=0.0)  # lets librdkafka tell why
            raise self._translated(error) from error
        self._let_in = True
        return answer

    def _raise_refusal(self) -> None:
        refusal = self._refusals.lasting if self._let_in else self._refusals.standing
        if refusal is not None:
            raise refusal

    def _keep_side_by_side(self, batch: Batch) -> None:
        if batch.messages:
            newest_ms = {message.partition: message.timestamp_ms for message in batch.messages}
            self._side_by_side.see(batch.messages[0].timestamp_ms, newest_ms, batch.positions, self._waited)
        hold, release = self._side_by_side.decide(self._has_backlog, self._waited)
        # A pause would do too, but what is then fetched again would rest on librdkafka's own idea of the position.
        if hold:
            self._consumer.incremental_unassign([TopicPartition(self.topic, p) for p in hold])
        if release:
            self._consumer.incremental_assign(
                [TopicPartition(self.topic, p, self._positions[p]) for p in sorted(release)]
            )

    def _has_backlog(self, partition: int) -> bool:
        _, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)
        return bool(high < 0 or high - self._positions[partition] >= _BACKLOG)

    def _take(self, message: Message, batch: Batch) -> None:
        partition, offset = message.partition(), message.offset()
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            self._let_in = True
        if error is None:
            if offset < self._positions.get(partition, offset + 1):
                return  # still queued from before a seek
            self._positions[partition] = batch.positions[partition] = offset + 1
            batch.messages.append(RawMessage(partition, offset, message.timestamp()[1], message.value() or b""))
        elif error.code() == KafkaError._PARTITION_EOF:
            if offset > self._positions.get(partition, offset):
                self._positions[partition] = batch.positions[partition] = offset
        elif error.code() in _OUT_OF_RANGE:
            if partition in self._positions:
                self._out_of_range.add(partition)
        elif error.code() in _MISSING_TOPIC:
            self._is_missing_for_good()
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise self._translated(KafkaException(error))
        # Everything else is librdkafka telling that it is reconnecting.

    def _translated(self, error: KafkaException) -> Alert | Transient:
        self._raise_refusal()
        cause = error.args[0]
        if cause.code() in _MISSING_TOPIC and self._is_missing_for_good():
            return _missing(self.topic)
        if cause.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION):
            return Alert(
                f"Access to topic {self.topic} was refused: {cause.str()}.", "Check the Kafka credentials."
            )
        why = self.trouble or cause.str()
        return Transient(f"Kafka did not answer about topic {self.topic}: {why}")

    def _look_for_topic(self) -> None:
        try:
            there = set(self._positions) <= set(self.partitions())
        except Transient:
            return  # asked again at the next read
        if there:
            self._missing_since = None
        elif self._is_missing_for_good():
            raise _missing(self.topic)

    def _is_missing_for_good(self) -> bool:
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
        return now - self._missing_since > _MISSING_SECONDS

    def _skip_lost(self, partition: int, batch: Batch) -> None:
        wanted = self._positions[partition]
        try:
            low, high = self.watermarks(partition)
        except Transient:
            return  # asked again at the next read
        self._out_of_range.discard(partition)
        if wanted > high:
            raise Alert(
                f"Partition {partition} of topic {self.topic} ends at offset {high}, before offset {wanted}, "
                "which this run has already reached: the topic has been deleted and made anew.",
                "Launch the run again from the start, or restore the topic.",
            )
        if wanted < low:
            batch.lost.append((partition, wanted, low))
            batch.positions[partition] = low
        self._positions[partition] = max(wanted, low)
        if partition in self._side_by_side.held:
            return  # goes on there when it is released
        self._consumer.incremental_unassign([TopicPartition(self.topic, partition)])
        self._consumer.incremental_assign([TopicPartition(self.topic, partition, self._positions[partition])])


def _missing(topic: str) -> Alert:
    return Alert(
        f"Topic {topic} does not exist on the Kafka cluster.",
        "Create it, or correct the instrument's topics in instruments.toml.",
    )
