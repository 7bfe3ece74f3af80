from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from runstart.errors import Alert, Transient
from runstart.simulators import PartitionChooser, Publisher, connect_publisher
from runstart.simulators.publishing import MAX_UNACKNOWLEDGED_BYTES


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any), st.integers(1, 200))
def test_no_partition_is_ever_further_than_a_message_from_its_share(weights: list[int], count: int) -> None:
    chooser = PartitionChooser(weights)
    chosen = [chooser.next() for _ in range(count)]
    for partition, weight in enumerate(weights):
        assert abs(chosen.count(partition) - count * weight / sum(weights)) < len(weights)
        if weight == 0:
            assert partition not in chosen


def test_equal_weights_take_turns() -> None:
    chooser = PartitionChooser((1.0, 1.0, 1.0))
    assert [chooser.next() for _ in range(6)] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("weights", [(), (0.0, 0.0), (-1.0, 2.0), (float("nan"),), (float("inf"),)])
def test_weights_that_cannot_be_used_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(Alert, match="cannot be used"):
        PartitionChooser(weights)


def test_offsets_tell_what_was_acknowledged(producer: Any) -> None:
    publisher = Publisher(producer, {"a": 2})
    for partition in (0, 1, 0, 0):
        publisher.send("a", b"x", partition)
    assert publisher.offsets == {("a", 0): (0, 3), ("a", 1): (0, 1)}


def test_a_message_that_is_too_large_is_an_alert(producer: Any) -> None:
    producer.error = MessageSizeTooLargeError("2 MB")
    publisher = Publisher(producer, {"a": 1})
    publisher.send("a", b"x")
    with pytest.raises(Alert, match=r"max\.message\.bytes"):
        publisher.flush()


def test_a_message_that_is_not_taken_is_transient_at_the_next_call(producer: Any) -> None:
    producer.error = KafkaTimeoutError("late")
    publisher = Publisher(producer, {"a": 1})
    publisher.send("a", b"x")
    producer.error = None
    with pytest.raises(Transient, match="KafkaTimeoutError: late"):
        publisher.send("a", b"x")


def test_a_bug_stays_what_it_is(producer: Any) -> None:
    producer.error = TypeError("value must be bytes")
    publisher = Publisher(producer, {"a": 1})
    publisher.send("a", b"x")
    with pytest.raises(TypeError):
        publisher.flush()


def test_what_waits_for_the_broker_is_bounded(producer: Any) -> None:
    publisher = Publisher(producer, {"a": 1})
    payload = bytes(MAX_UNACKNOWLEDGED_BYTES // 2)
    for _ in range(4):
        publisher.send("a", payload)
    assert producer.log == ["a", "a", "flush", "a", "a"]


def test_the_producer_is_closed_with_the_publisher(producer: Any) -> None:
    with Publisher(producer, {}):
        pass
    assert producer.closed


@pytest.mark.broker
def test_topics_are_made_with_the_partitions_that_are_asked_for(broker: Any) -> None:
    with connect_publisher(broker.bootstrap_servers, {"made_here": 3, "single": None}) as publisher:
        assert publisher.partitions == {"made_here": 3, "single": 1}
    with connect_publisher(broker.bootstrap_servers, {"made_here": None}) as publisher:
        assert publisher.partitions == {"made_here": 3}
    with pytest.raises(Alert, match="made_here has 3 partitions, not 4"):
        connect_publisher(broker.bootstrap_servers, {"made_here": 4})


def test_a_broker_that_is_not_there_is_transient() -> None:
    with pytest.raises(Transient, match=r"No Kafka broker answers at 127\.0\.0\.1:1,\[::1\]:1"):
        connect_publisher("127.0.0.1:1,[::1]:1", {"a": 1})
