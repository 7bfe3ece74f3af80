"""Old events are dropped from the broker, and the others stay as they were."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from runstart.demo.retention import Retention
from runstart.errors import Transient
from runstart.facility import Broker, EmbeddedBroker

pytestmark = pytest.mark.broker


@pytest.fixture
def producer(broker: Broker) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    yield producer
    producer.close()


def test_messages_older_than_the_limit_are_dropped_and_the_rest_stays(
    broker: Broker, producer: KafkaProducer, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("events")
    broker.create_topic(topic, partitions=2)
    now_ms = round(time.time() * 1000)
    for partition, ages_s in ((0, (900, 800, 700, 100, 0)), (1, (900, 1))):
        for age_s in ages_s:
            producer.send(topic, b"%d" % age_s, partition=partition, timestamp_ms=now_ms - age_s * 1000).get(10)

    assert Retention(broker, topic, kept_seconds=600).drop_old() == {0: 3, 1: 1}

    assert _payloads(broker, topic, 0) == [b"100", b"0"]
    assert _payloads(broker, topic, 1) == [b"1"]
    assert Retention(broker, topic, kept_seconds=600).drop_old() == {}


def test_topic_that_does_not_exist_yet_is_no_matter(broker: Broker, topic_name: Callable[[str], str]) -> None:
    assert Retention(broker, topic_name("nothing")).drop_old() == {}


def test_absent_broker_is_transient(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)

    with pytest.raises(Transient):
        Retention(broker, "events").drop_old()


def _payloads(broker: Broker, topic: str, partition: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
    place = TopicPartition(topic, partition)
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    end = consumer.end_offsets([place])[place]
    payloads = []
    while consumer.position(place) < end:
        payloads += [record.value for records in consumer.poll(1000).values() for record in records]
    consumer.close(autocommit=False)
    return payloads
