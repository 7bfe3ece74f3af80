"""Publishes results to a Kafka topic without ever waiting for it.

Whoever publishes goes on at once: messages wait in a bounded queue, which librdkafka's own thread sends. What the
broker does not take within seconds, or what finds the queue full, is dropped and counted: the next result makes
the last one worthless, and no run may be held up by its audience. What is wrong is told in one sentence, source
by source, until that source's next message arrives.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from types import TracebackType

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from runstart.events import DataArrayMessage, MalformedMessage, encode
from runstart.instruments import PLAINTEXT, Access
from runstart.kafka.access import confluent_settings
from runstart.kafka.refusal import Refusals

__all__ = ["ResultTopic"]

_QUEUE_KILOBYTES = 65_536
_QUEUE_MESSAGES = 1_000
_LARGEST_MESSAGE = 64_000_000  # bytes; the broker's own limit is lower, and tells itself
_DELIVERY_SECONDS = 10
_MOST_TROUBLES = 100
_UNKNOWN_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}


class ResultTopic:
    """The results topic of one instrument.

    Parameters
    ----------
    bootstrap_servers : str
        Comma-separated `host:port` list.
    topic : str
        Name of the topic.
    access : Access, optional
        How the cluster is entered; by default without encryption and without a user.

    Attributes
    ----------
    published : int
        Messages that the broker has confirmed.
    dropped : int
        Messages that were given up.

    Raises
    ------
    Alert
        If the access names a variable that is not set, or a file that cannot be used.
    """

    def __init__(self, bootstrap_servers: str, topic: str, access: Access = PLAINTEXT) -> None:
        self.topic = topic
        self.published = 0
        self.dropped = 0
        self._servers = bootstrap_servers
        self._refusals = Refusals(bootstrap_servers, access)
        self._troubles: dict[str, str] = {}
        self._lock = threading.Lock()  # whoever polls is told of deliveries, in a thread of its own
        self._is_closed = False
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "queue.buffering.max.kbytes": _QUEUE_KILOBYTES,
                "queue.buffering.max.messages": _QUEUE_MESSAGES,
                "message.max.bytes": _LARGEST_MESSAGE,
                "message.timeout.ms": _DELIVERY_SECONDS * 1000,
                "linger.ms": 5,
                "reconnect.backoff.max.ms": 1000,
                "error_cb": self._refusals.hear,
                "log_level": 0,
                **confluent_settings(access),
            }
        )

    def __enter__(self) -> ResultTopic:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for a moment at most, and close."""
        self.close(1.0)

    @property
    def trouble(self) -> str | None:
        """Why messages do not arrive, in a sentence; None if the last of every source has, or is on its way."""
        self._producer.poll(0)
        refusal = self._refusals.standing
        if refusal is not None:
            return str(refusal)
        with self._lock:
            return next(reversed(self._troubles.values()), None)

    def publish(self, messages: Iterable[DataArrayMessage]) -> None:
        """Hand messages over and return at once; what cannot be sent is counted and told, never raised.

        Parameters
        ----------
        messages : iterable of DataArrayMessage
            Those of one source arrive in this order.
        """
        for message in messages:
            self._publish(message)
        self._producer.poll(0)

    def close(self, timeout: float) -> None:
        """Wait for what is on its way, then drop the rest; nothing can be published afterwards.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.
        """
        self._is_closed = True
        if self._producer.flush(timeout):
            self._producer.purge()
            self._producer.flush(0.1)  # serves the callbacks of what was purged

    def _publish(self, message: DataArrayMessage) -> None:
        source = message.source_name
        if self._is_closed:
            self._drop(source, f"{source} came after the topic {self.topic} was closed.")
            return
        try:
            payload = encode(message)
        except MalformedMessage as error:
            self._drop(source, f"{source} cannot be published as da00: {error}.")
            return
        on_delivery = partial(self._note_delivery, source, len(payload))
        try:
            self._producer.produce(self.topic, payload, key=source.encode(), on_delivery=on_delivery)
        except BufferError:
            self._drop(
                source, f"Kafka at {self._servers} takes results too slowly, or not at all: the queue is full."
            )
        except KafkaException as error:
            self._drop(source, self._text(source, len(payload), error.args[0]))

    def _note_delivery(self, source: str, size: int, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            with self._lock:
                self.published += 1
                self._troubles.pop(source, None)
        else:
            self._drop(source, self._text(source, size, error))

    def _drop(self, source: str, trouble: str) -> None:
        with self._lock:
            self.dropped += 1
            self._troubles.pop(source, None)
            if len(self._troubles) < _MOST_TROUBLES:
                self._troubles[source] = trouble

    def _text(self, source: str, size: int, error: KafkaError) -> str:
        if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE):
            return (
                f"{source} takes {size} bytes, more than Kafka at {self._servers} accepts in topic {self.topic}: "
                "raise the topic's max.message.bytes, or declare fewer bins or pixels."
            )
        if error.code() in _UNKNOWN_TOPIC:
            return f"Kafka at {self._servers} has no topic {self.topic} for the results: create it."
        return f"Kafka at {self._servers} did not take a result for topic {self.topic}: {error.str()}."
