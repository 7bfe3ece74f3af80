"""The embedded broker knows no retention and keeps everything, so a demonstration drops old events itself.

What is dropped is older than any run that is still counted. A finished run can be replayed as long as its
events are there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from runstart.errors import Transient
from runstart.facility import accepts_connections

if TYPE_CHECKING:
    from runstart.facility import Broker

KEPT_SECONDS = 300.0  # a run, its margin, and time enough to resume it after its process died


class Retention:
    """Drops the old messages of one topic; use it from one thread.

    Parameters
    ----------
    broker : Broker
        Keeps the topic.
    topic : str
        It may not exist yet.
    kept_seconds : float, optional
        Age by Kafka's timestamps from which on messages are dropped.
    """

    def __init__(self, broker: Broker, topic: str, kept_seconds: float = KEPT_SECONDS) -> None:
        self._broker = broker
        self._topic = topic
        self._kept_seconds = kept_seconds

    def drop_old(self) -> dict[int, int]:
        """Drop what is too old.

        Returns
        -------
        dict of int to int
            The first offset that stays, of each partition of which something was dropped.

        Raises
        ------
        Alert, Transient
            If the broker refuses, or does not answer.
        """
        from kafka import KafkaConsumer
        from kafka.errors import KafkaError

        if not accepts_connections(self._broker.port):
            raise Transient(f"Nothing listens at {self._broker.bootstrap_servers}.")
        try:
            consumer = KafkaConsumer(bootstrap_servers=[self._broker.bootstrap_servers], metrics_enabled=False)
            try:
                firsts = self._first_kept(consumer)
            finally:
                consumer.close(autocommit=False)
        except KafkaError as error:
            raise Transient(f"The broker did not tell its offsets: {error}") from error
        for partition, first in firsts.items():
            self._broker.delete_records(self._topic, partition, first)
        return firsts

    def _first_kept(self, consumer: Any) -> dict[int, int]:
        from kafka.structs import TopicPartition

        partitions = [TopicPartition(self._topic, p) for p in consumer.partitions_for_topic(self._topic) or ()]
        if not partitions:
            return {}
        since_ms = round((time.time() - self._kept_seconds) * 1000)
        found = consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        begins = consumer.beginning_offsets(partitions)
        return {tp.partition: at.offset for tp, at in found.items() if at is not None and at.offset > begins[tp]}
