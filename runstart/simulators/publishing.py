"""Publishes messages to Kafka and hears of every single one whether the broker has it.

A message counts as published only once the broker has acknowledged it; the first failure is raised at the
next `send` or `flush`, as `Alert` if the user can mend it and as `Transient` otherwise. At most 32 MB wait
for an acknowledgement, so that memory stays bounded however fast messages are made.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from runstart.errors import Alert, Transient
from runstart.instruments import PLAINTEXT, Access
from runstart.kafka import kafka_python_settings, raise_refusal

MAX_UNACKNOWLEDGED_BYTES = 32_000_000
_FLUSH_TIMEOUT_S = 60.0
_CONNECT_TIMEOUT_MS = 10_000
_REACH_TIMEOUT_S = 5.0
_BATCH_BYTES = 262_144


class Producer(Protocol):
    """What is used of `kafka.KafkaProducer`."""

    def send(self, topic: str, value: bytes, *, partition: int) -> Any:
        """Hand over a message; return a future with `add_callback` and `add_errback`."""

    def flush(self, timeout: float | None = None) -> None:
        """Wait until every message is acknowledged or has failed."""

    def close(self, timeout: float | None = None) -> None:
        """Give up the connections."""


class Publisher:
    """A producer that keeps account of what the broker acknowledged.

    Parameters
    ----------
    producer : Producer
        Closed with the publisher.
    partitions : Mapping[str, int]
        Number of partitions of each topic.

    Attributes
    ----------
    partitions : dict[str, int]
        Number of partitions of each topic.
    """

    def __init__(self, producer: Producer, partitions: Mapping[str, int]) -> None:
        self.partitions = dict(partitions)
        self._producer = producer
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._offsets: dict[tuple[str, int], tuple[int, int]] = {}
        self._unacknowledged_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.close(timeout=_FLUSH_TIMEOUT_S if error is None else 0)

    @property
    def offsets(self) -> dict[tuple[str, int], tuple[int, int]]:
        """First and next offset `[from, to)` of what was acknowledged, by topic and partition."""
        with self._lock:
            return dict(self._offsets)

    def send(self, topic: str, payload: bytes, partition: int = 0) -> None:
        """Hand a message to the producer.

        Raises
        ------
        Alert
            The broker refused this message or an earlier one for good, such as one that is too large.
        Transient
            An earlier message was not acknowledged.
        """
        self._raise_first_error()
        if self._unacknowledged_bytes + len(payload) > MAX_UNACKNOWLEDGED_BYTES:
            self.flush()
        self._unacknowledged_bytes += len(payload)
        try:
            future = self._producer.send(topic, payload, partition=partition)
        except Exception as error:
            raise _told(error) from error
        future.add_callback(self._acknowledged)
        future.add_errback(self._failed)

    def flush(self) -> None:
        """Wait until the broker has acknowledged all that was sent.

        Raises
        ------
        Alert, Transient
            As `send` does.
        """
        try:
            self._producer.flush(timeout=_FLUSH_TIMEOUT_S)
        except Exception as error:
            raise _told(error) from error
        self._unacknowledged_bytes = 0
        self._raise_first_error()

    def _acknowledged(self, metadata: Any) -> None:
        key = (metadata.topic, metadata.partition)
        with self._lock:
            first, end = self._offsets.get(key, (metadata.offset, metadata.offset + 1))
            self._offsets[key] = (min(first, metadata.offset), max(end, metadata.offset + 1))

    def _failed(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error

    def _raise_first_error(self) -> None:
        with self._lock:
            error = self._error
        if error is not None:
            raise _told(error) from error


class PartitionChooser:
    """Chooses partitions in turn, each as often as its weight says.

    The choice is the same every time: no partition is ever further than one message from its share.

    Parameters
    ----------
    weights : sequence of float
        One for each partition, none negative, not all 0; a partition of weight 0 stays idle.

    Raises
    ------
    Alert
        The weights cannot be used.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        if not weights or not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
            raise Alert(
                f"Partition weights {list(weights)} cannot be used.",
                "Give each partition 0 or more, and one of them more than 0, such as 0.7,0.2,0.1,0.",
            )
        self.weights = tuple(weights)
        self._credits = [0.0] * len(weights)

    def next(self) -> int:
        """Return the partition for the next message."""
        for partition, weight in enumerate(self.weights):
            self._credits[partition] += weight
        chosen = max(
            (partition for partition, weight in enumerate(self.weights) if weight),
            key=lambda partition: self._credits[partition],
        )
        self._credits[chosen] -= sum(self.weights)
        return chosen


def connect_publisher(
    bootstrap_servers: str, topics: Mapping[str, int | None], access: Access = PLAINTEXT
) -> Publisher:
    """Return a publisher for topics, which are created where the broker does not have them.

    Parameters
    ----------
    bootstrap_servers : str
        `host:port`, or several of them with commas between.
    topics : Mapping[str, int or None]
        Number of partitions of each topic; None takes what there is, or creates one partition.
    access : Access, optional
        How the cluster is entered.

    Returns
    -------
    Publisher
        A context manager.

    Raises
    ------
    Alert
        A topic has fewer partitions than were asked for, a secret or a file of the access is missing, or the broker
        refuses user or certificate.
    Transient
        The broker does not answer.
    """
    from kafka import KafkaAdminClient, KafkaProducer

    servers = [server.strip() for server in bootstrap_servers.split(",")]
    settings = kafka_python_settings(access)
    _check_reachable(bootstrap_servers, servers)
    raise_refusal(bootstrap_servers, access)
    try:
        admin = KafkaAdminClient(bootstrap_servers=servers, bootstrap_timeout_ms=_CONNECT_TIMEOUT_MS, **settings)
        try:
            partitions = {topic: _ensure_topic(admin, topic, asked) for topic, asked in topics.items()}
        finally:
            admin.close()
        producer = KafkaProducer(
            bootstrap_servers=servers,
            bootstrap_timeout_ms=_CONNECT_TIMEOUT_MS,
            batch_size=_BATCH_BYTES,
            linger_ms=2,
            allow_auto_create_topics=False,
            **settings,
        )
    except (Alert, Transient):
        raise
    except Exception as error:
        raise Transient(f"No Kafka broker answers at {bootstrap_servers} ({_words(error)}).") from error
    return Publisher(producer, partitions)


def _check_reachable(bootstrap_servers: str, servers: Sequence[str]) -> None:
    """Fail at once where nobody listens; kafka-python would try for its whole time-out, and leave sockets open."""
    refusals = []
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_TIMEOUT_S).close()
            return
        except (OSError, ValueError) as error:
            refusals.append(_words(error))
    raise Transient(f"No Kafka broker answers at {bootstrap_servers} ({'; '.join(refusals)}).")


def _ensure_topic(admin: Any, topic: str, asked: int | None) -> int:
    from kafka.admin import NewTopic
    from kafka.errors import TopicAlreadyExistsError

    existing = _count_partitions(admin, topic)
    if existing == 0:
        try:
            admin.create_topics([NewTopic(topic, asked or 1, 1)], wait_for_metadata=True)
            return asked or 1
        except TopicAlreadyExistsError:  # somebody else has just created it
            existing = _count_partitions(admin, topic)
    if asked is not None and asked > existing:
        raise Alert(
            f"Topic {topic} has {existing} partitions, not {asked}.",
            "Ask for as many as it has, or delete the topic.",
        )
    return existing


def _count_partitions(admin: Any, topic: str) -> int:
    return sum(len(found["partitions"]) for found in admin.describe_topics([topic]) if not found["error_code"])


def _told(error: BaseException) -> Exception:
    """Return the error as one that Runstart's users know; what is no matter of Kafka's stays what it is."""
    from kafka import errors as kafka_errors

    if isinstance(error, kafka_errors.MessageSizeTooLargeError):
        return Alert(f"Kafka refused a message: {_words(error)}.", "Raise the broker's max.message.bytes.")
    if isinstance(error, (kafka_errors.TopicAuthorizationFailedError, kafka_errors.InvalidTopicError)):
        return Alert(f"Kafka refused a message: {_words(error)}.", "Check the topic's name and permissions.")
    if isinstance(error, (kafka_errors.KafkaError, OSError)):
        return Transient(f"Kafka did not take a message ({_words(error)}).")
    return error if isinstance(error, Exception) else Transient(_words(error))


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
