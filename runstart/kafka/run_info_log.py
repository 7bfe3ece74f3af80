"""Reads run announcements (RunStart, RunStop) from any number of topics by explicit offsets.

The reader keeps no state on the broker and decides nothing: it returns payloads with the place where each lies.
Offsets that the broker no longer has, or does not have yet (a topic made anew), are put right and reported as
`OffsetReset`, so that the caller can say so instead of being stuck.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple

from kafka import KafkaConsumer
from kafka.errors import KafkaError, OffsetOutOfRangeError, SaslAuthenticationFailedError
from kafka.structs import TopicPartition

from runstart.errors import Transient
from runstart.instruments import PLAINTEXT, Access
from runstart.kafka.access import kafka_python_settings
from runstart.kafka.refusal import raise_refusal

_POLL_SECONDS = 0.05

Offsets = dict[str, dict[int, int]]


class Announcement(NamedTuple):
    """One message of a run-info topic; `timestamp_ms` is Kafka's."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    payload: bytes

    @property
    def place(self) -> str:
        """Where the message lies, for people."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True)
class OffsetReset:
    """A wanted offset that the topic does not hold.

    `wanted < resumed` means that messages were deleted before they were read; `wanted > resumed` that the topic
    was deleted and made anew, and reading goes on at the beginning of all its partitions.
    """

    topic: str
    partition: int
    wanted: int
    resumed: int

    @property
    def made_anew(self) -> bool:
        """Whether the topic is a new one under the old name."""
        return self.resumed < self.wanted


class RunInfoLog:
    """Several run-info topics of one Kafka cluster.

    Parameters
    ----------
    bootstrap_servers : str
        Comma-separated `host:port` list.
    topics : iterable of str
        Topics to read; one that does not exist yet is read from its beginning once it does.
    access : Access, optional
        How the cluster is entered.

    Raises
    ------
    Alert
        If a secret or a file of the access is missing, or the broker refuses user or certificate.
    Transient
        If the broker does not answer. A refusal after the client was let in is of this kind too: the event log,
        which has the same access, tells when it lasts.
    """

    def __init__(self, bootstrap_servers: str, topics: Iterable[str], access: Access = PLAINTEXT) -> None:
        self.topics = tuple(sorted(set(topics)))
        self.resets: list[OffsetReset] = []
        self._next: dict[TopicPartition, int] = {}
        clients: list[Any] = []

        def connect(**options: Any) -> Any:
            clients.append(KafkaConsumer.DEFAULT_CONFIG["kafka_client"](**options))
            return clients[0]

        settings = kafka_python_settings(access)
        raise_refusal(bootstrap_servers, access)
        with _transient("connect"), _closed_on_failure(clients):
            self._consumer: Any = KafkaConsumer(
                kafka_client=connect,
                bootstrap_servers=bootstrap_servers.split(","),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",  # raise instead of jumping silently
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                reconnect_backoff_max_ms=1000,
                bootstrap_timeout_ms=5000,
                request_timeout_ms=10_000,
                fetch_max_wait_ms=100,
                metrics_enabled=False,
                **settings,
            )

    def __enter__(self) -> RunInfoLog:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Leave the broker; nothing is committed there."""
        self._consumer.close(autocommit=False)

    def partitions(self) -> list[TopicPartition]:
        """Return all partitions of the topics that exist, asked of the broker."""
        with _transient("list its topics"):
            existing = self._consumer.topics()
            return [
                TopicPartition(topic, partition)
                for topic in self.topics
                if topic in existing
                for partition in sorted(self._consumer.partitions_for_topic(topic) or ())
            ]

    def seek(self, offsets: Mapping[str, Mapping[int, int]]) -> None:
        """Read all partitions: from the given offsets, and those that are not given from their beginning.

        Offsets that the topic does not hold are put right and added to `resets`.
        """
        partitions = self.partitions()
        with _transient("tell its offsets"):
            begins = self._consumer.beginning_offsets(partitions) if partitions else {}
            ends = self._consumer.end_offsets(partitions) if partitions else {}
            self._consumer.assign(partitions)
            self._next = {}
            given = {tp: offsets.get(tp.topic, {}).get(tp.partition, begins[tp]) for tp in partitions}
            made_anew = {tp.topic for tp in partitions if given[tp] > ends[tp]}
            for tp in partitions:
                wanted = given[tp]
                resumed = begins[tp] if wanted < begins[tp] or tp.topic in made_anew else wanted
                if resumed != wanted:
                    self.resets.append(OffsetReset(tp.topic, tp.partition, wanted, resumed))
                self._consumer.seek(tp, resumed)
                self._next[tp] = resumed

    def adopt_partitions(self) -> None:
        """Read partitions that have been added to the topics since, from their beginning."""
        if set(self.partitions()) - set(self._next):
            self.seek(self.offsets)

    def seek_time(self, timestamp_ms: int) -> None:
        """Read every partition from the first message at or after a Kafka timestamp."""
        partitions = self.partitions()
        with _transient("tell its offsets"):
            found = self._consumer.offsets_for_times({tp: max(timestamp_ms, 0) for tp in partitions})
            ends = self._consumer.end_offsets(partitions) if partitions else {}
        offsets: Offsets = {}
        for tp in partitions:
            at = found.get(tp)
            offsets.setdefault(tp.topic, {})[tp.partition] = ends[tp] if at is None else at.offset
        self.seek(offsets)

    def read(self, timeout: float, max_messages: int = 500) -> list[Announcement]:
        """Return what has come, waiting at most `timeout` seconds for the first message."""
        if not self._next:
            time.sleep(min(timeout, 0.5))  # no topic exists yet
            return []
        try:
            polled = self._poll(timeout, max_messages)
        except OffsetOutOfRangeError:
            self.seek(self.offsets)
            return []
        announcements = []
        for tp, records in polled.items():
            for record in records:
                if record.offset < self._next.get(tp, 0):
                    continue
                self._next[tp] = record.offset + 1
                announcements.append(
                    Announcement(tp.topic, tp.partition, record.offset, record.timestamp, record.value or b"")
                )
        self._pass_control_records()
        return announcements

    def _poll(self, timeout: float, max_messages: int) -> dict[TopicPartition, list[Any]]:
        # A poll that waits takes half a core where the broker answers an empty fetch at once; short ones do not.
        deadline = time.monotonic() + timeout
        with _transient("deliver messages"):
            while True:
                polled: dict[TopicPartition, list[Any]] = self._consumer.poll(0, max_records=max_messages)
                if polled or time.monotonic() >= deadline:
                    return polled
                time.sleep(_POLL_SECONDS)

    def _pass_control_records(self) -> None:
        """Move past the records that close transactions: they are never returned, but count as offsets."""
        with _transient("tell its position"):
            for tp, offset in self._next.items():
                self._next[tp] = max(offset, self._consumer.position(tp, timeout_ms=0) or 0)

    @property
    def offsets(self) -> Offsets:
        """Next offset to read: topic to partition to offset."""
        offsets: Offsets = {}
        for tp, offset in self._next.items():
            offsets.setdefault(tp.topic, {})[tp.partition] = offset
        return offsets

    def end_offsets(self) -> Offsets:
        """Return the offset that comes next in each partition being read, asked of the broker."""
        with _transient("tell its offsets"):
            ends = self._consumer.end_offsets(list(self._next)) if self._next else {}
        offsets: Offsets = {}
        for tp, offset in ends.items():
            offsets.setdefault(tp.topic, {})[tp.partition] = offset
        return offsets


@contextmanager
def _closed_on_failure(clients: list[Any]) -> Iterator[None]:
    """Close the client of a consumer that could not be made: its thread would try to connect for ever."""
    try:
        yield
    except BaseException:
        for client in clients:
            client.close()
        raise


@contextmanager
def _transient(asked: str) -> Iterator[None]:
    """Turn the client's errors into `Transient`, with what was being asked."""
    try:
        yield
    except OffsetOutOfRangeError:
        raise
    except SaslAuthenticationFailedError as error:
        raise Transient(f"The Kafka broker refused the user when asked to {asked}: {error}") from error
    except KafkaError as error:
        raise Transient(f"The Kafka broker did not {asked}: {error}") from error
