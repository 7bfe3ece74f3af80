"""The brokers: what both promise to the tests and the demonstration, and what only Apache Kafka keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from runstart.errors import Alert
from runstart.facility import Broker, SecuredKafka, install_kafka

pytestmark = pytest.mark.broker
TopicName = Callable[[str], str]


def _produce(broker: Broker, topic: str, values: list[bytes], partition: int = 0) -> None:
    failures: list[str] = []
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for value in values:
        producer.produce(
            topic,
            value,
            partition=partition,
            on_delivery=lambda error, _: failures.append(str(error)) if error else None,
        )
    assert producer.flush(30) == 0
    assert failures == []


def _consumer(broker: Broker) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "none",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "log_level": 0,
        }
    )


def _bounds(broker: Broker, topic: str, partition: int = 0) -> tuple[int, int]:
    consumer = _consumer(broker)
    bounds = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
    consumer.close()
    return bounds


def _values(broker: Broker, topic: str, start: int, number: int) -> list[bytes]:
    consumer = _consumer(broker)
    consumer.assign([TopicPartition(topic, 0, start)])
    messages = consumer.consume(number, timeout=20)
    consumer.close()
    assert [message.error() for message in messages] == [None] * number
    return [message.value() for message in messages]


def test_a_new_topic_has_its_partitions_empty(broker: Broker, topic_name: TopicName) -> None:
    topic = topic_name("events")
    broker.create_topic(topic, 3)
    assert [_bounds(broker, topic, partition) for partition in range(3)] == [(0, 0)] * 3


def test_a_topic_that_exists_is_an_alert(broker: Broker, topic_name: TopicName) -> None:
    topic = topic_name("events")
    broker.create_topic(topic)
    with pytest.raises(Alert, match=topic):
        broker.create_topic(topic)


def test_a_topic_made_anew_begins_at_zero(broker: Broker, topic_name: TopicName) -> None:
    topic = topic_name("events")
    broker.create_topic(topic)
    _produce(broker, topic, [b"1", b"2"])
    broker.delete_topic(topic)
    # Apache Kafka still removes the old topic after it has answered.
    deadline = time.monotonic() + 20
    while True:
        try:
            broker.create_topic(topic)
            break
        except Alert:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert _bounds(broker, topic) == (0, 0)


def test_both_clients_read_the_range_that_was_asked_for(broker: Broker, topic_name: TopicName) -> None:
    from kafka import KafkaConsumer
    from kafka import TopicPartition as Partition

    topic = topic_name("events")
    broker.create_topic(topic, 2)
    values = [b"%d" % number * 100_000 for number in range(10)]
    _produce(broker, topic, values)
    assert _values(broker, topic, 3, 4) == values[3:7]
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers, enable_auto_commit=False)
    place = Partition(topic, 0)
    consumer.assign([place])
    consumer.seek(place, 3)
    read: list[bytes] = []
    while len(read) < 7:
        read += [message.value for message in consumer.poll(5000).get(place, [])]
    consumer.close()
    assert read == values[3:]


def test_records_are_deleted_up_to_an_offset(broker: Broker, topic_name: TopicName) -> None:
    topic = topic_name("events")
    broker.create_topic(topic)
    _produce(broker, topic, [b"%d" % number for number in range(10)])
    broker.delete_records(topic, 0, 6)
    assert _bounds(broker, topic) == (6, 10)
    assert _values(broker, topic, 6, 4) == [b"6", b"7", b"8", b"9"]


def test_a_stopped_broker_comes_back_with_address_and_data(own_broker: Broker) -> None:
    own_broker.create_topic("events")
    _produce(own_broker, "events", [b"1", b"2"])
    address = own_broker.bootstrap_servers
    own_broker.stop()
    own_broker.start()
    assert own_broker.bootstrap_servers == address
    assert _values(own_broker, "events", 0, 2) == [b"1", b"2"]


@pytest.mark.real
def test_a_secured_broker_keeps_users_and_certificates_when_it_starts_again(tmp_path: Path) -> None:
    with SecuredKafka(tmp_path, install_kafka(), {"reader": "opensesame1"}) as broker:
        broker.create_topic("events")
        _produce(broker, "events", [b"1"])
        settings = {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(broker.certificates.ca_file),
            "sasl.username": "reader",
            "sasl.password": "opensesame1",
            "bootstrap.servers": broker.sasl_servers,
            "group.id": "none",
            "log_level": 0,
        }
        broker.stop()
        broker.start()
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            consumer = Consumer({**settings, "sasl.mechanism": mechanism})
            assert consumer.get_watermark_offsets(TopicPartition("events", 0), timeout=20) == (0, 1)
            consumer.close()


@pytest.mark.real
@pytest.mark.faults
def test_apache_kafka_keeps_what_it_acknowledged_when_it_is_killed(own_broker: Broker) -> None:
    own_broker.create_topic("events")
    _produce(own_broker, "events", [b"1", b"2"])
    own_broker.kill()
    own_broker.start()
    assert _values(own_broker, "events", 0, 2) == [b"1", b"2"]


@pytest.mark.real
def test_apache_kafka_drops_what_is_older_than_the_retention(broker: Broker, topic_name: TopicName) -> None:
    topic = topic_name("events")
    broker.create_topic(topic, config={"retention.ms": "1000", "segment.ms": "1000"})
    _produce(broker, topic, [b"old"] * 5)
    deadline = time.monotonic() + 60
    while _bounds(broker, topic)[0] < 5:
        assert time.monotonic() < deadline
        # A segment ends only when a message comes after it.
        _produce(broker, topic, [b"new"])
        time.sleep(0.2)
