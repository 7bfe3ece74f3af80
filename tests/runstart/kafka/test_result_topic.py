"""`ResultTopic` on a broker: what is published arrives, what cannot arrive is counted, nobody waits."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from streaming_data_types.dataarray_da00 import deserialise_da00
from waiting import let_pass, wait_until

from runstart.events import DataArrayMessage, Variable
from runstart.facility import Broker
from runstart.kafka import EventLog
from runstart.kafka.result_topic import ResultTopic

pytestmark = pytest.mark.broker
New = Callable[[], ResultTopic]
NOBODY = "127.0.0.1:9"


@pytest.fixture
def new(broker: Broker, topic_name: Callable[[str], str]) -> Iterator[New]:
    made: list[ResultTopic] = []

    def make() -> ResultTopic:
        name = topic_name("results")
        broker.create_topic(name, 1)
        made.append(ResultTopic(broker.bootstrap_servers, name))
        return made[-1]

    yield make
    for topic in made:
        topic.close(1.0)
    made.clear()
    gc.collect()


def spectrum(source: str = "TEST/tof", n_bins: int = 10, time_ns: int = 5) -> DataArrayMessage:
    counts = Variable("signal", np.arange(n_bins), ("time_of_flight",), "counts")
    return DataArrayMessage(source, time_ns, (counts,))


def read_all(broker: Broker, topic: str, n_messages: int) -> list[bytes]:
    log = EventLog(broker.bootstrap_servers, topic)
    payloads: list[bytes] = []

    def has_come() -> bool:
        payloads.extend(message.payload for message in log.read(100, 0.1).messages)
        return len(payloads) >= n_messages

    try:
        log.seek({0: 0})
        wait_until(has_come, "the results in the topic")
    finally:
        log.close()
    return payloads


def test_what_is_published_arrives_in_order_and_the_reference_codec_reads_it(broker: Broker, new: New) -> None:
    topic = new()
    topic.publish(spectrum(time_ns=n) for n in range(20))
    topic.close(30.0)
    payloads = read_all(broker, topic.topic, 20)
    assert [deserialise_da00(payload).timestamp_ns for payload in payloads] == list(range(20))
    np.testing.assert_array_equal(deserialise_da00(payloads[0]).data[0].data, np.arange(10))
    assert (topic.published, topic.dropped, topic.trouble) == (20, 0, None)


@pytest.mark.parametrize("n_bins", [250_000, 9_000_000], ids=["the broker's", "the client's"])
def test_message_above_the_limit_is_dropped_and_told_and_the_others_arrive(
    broker: Broker, new: New, n_bins: int
) -> None:
    topic = new()
    topic.publish([spectrum("TEST/huge", n_bins), spectrum()])
    wait_until(lambda: topic.trouble is not None and topic.published == 1, "both outcomes")
    assert topic.dropped == 1
    assert f"TEST/huge takes {8 * n_bins // 1000}" in str(topic.trouble)
    assert "max.message.bytes" in str(topic.trouble)
    assert len(read_all(broker, topic.topic, 1)) == 1


def test_trouble_ends_with_the_next_message_of_its_source(new: New) -> None:
    topic = new()
    topic.publish([spectrum("TEST/huge", 9_000_000)])
    wait_until(lambda: topic.trouble is not None, "the refusal")
    topic.publish([spectrum("TEST/huge")])
    wait_until(lambda: topic.trouble is None, "the end of the trouble")
    assert (topic.published, topic.dropped) == (1, 1)


def test_array_that_no_message_can_hold_is_dropped_and_told(new: New) -> None:
    topic = new()
    flags = Variable("signal", np.zeros(3, np.complex128), ("x",))
    topic.publish([DataArrayMessage("TEST/flags", 5, (flags,))])
    assert (topic.published, topic.dropped) == (0, 1)
    assert "TEST/flags cannot be published" in str(topic.trouble)


def test_absent_broker_costs_messages_and_neither_memory_nor_the_caller() -> None:
    topic = ResultTopic(NOBODY, "results")
    payload_bytes = 8 * 1_000_000
    for _ in range(20):
        topic.publish([spectrum(n_bins=1_000_000)])
    queued = 20 - topic.dropped
    assert 0 < queued * payload_bytes <= 70_000_000
    assert "queue is full" in str(topic.trouble)
    topic.close(0.1)
    assert (topic.published, topic.dropped) == (0, 20)
    assert topic.trouble is not None


def test_nothing_is_published_after_closing(new: New) -> None:
    topic = new()
    topic.close(1.0)
    topic.publish([spectrum()])
    assert (topic.published, topic.dropped) == (0, 1)
    assert "closed" in str(topic.trouble)


def test_broker_that_comes_back_gets_the_next_message(own_broker: Broker, topic_name: Callable[[str], str]) -> None:
    name = topic_name("results")
    own_broker.create_topic(name, 1)
    with ResultTopic(own_broker.bootstrap_servers, name) as topic:
        topic.publish([spectrum()])
        wait_until(lambda: topic.trouble is None and topic.published == 1, "the first message")
        own_broker.stop()
        topic.publish([spectrum()])
        let_pass(0.5)
        own_broker.start()

        def has_another() -> bool:
            topic.publish([spectrum(time_ns=7)])
            return topic.trouble is None and topic.published > 1

        wait_until(has_another, "a message after the outage", interval=0.2)
