"""`EventLog` on a broker: every message once, in order, and every offset accounted for."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer
from facility_kit import Topic, add_partitions, wait_until
from scripted_stream import now_ms

from runstart.errors import Alert, Transient
from runstart.facility import Broker
from runstart.kafka import Batch, EventLog
from runstart.kafka.side_by_side import Ahead

pytestmark = pytest.mark.broker
New = Callable[[int], tuple[EventLog, Topic]]


@pytest.fixture
def new(broker: Broker, topic_name: Callable[[str], str]) -> Iterator[New]:
    """Make a topic of so many partitions, and what reads and writes it; none at all for 0."""
    logs: list[EventLog] = []

    def make(partitions: int) -> tuple[EventLog, Topic]:
        name = topic_name("events")
        if partitions:
            broker.create_topic(name, partitions)
        logs.append(EventLog(broker.bootstrap_servers, name))
        return logs[-1], Topic(broker.bootstrap_servers, name)

    yield make
    for log in logs:
        log.close()


def read_to(log: EventLog, positions: dict[int, int], at_once: int = 500) -> Batch:
    """Read until every partition has come to its position."""
    whole = Batch()

    def has_come() -> bool:
        batch = log.read(at_once, 0.1)
        whole.messages += batch.messages
        whole.positions |= batch.positions
        whole.lost += batch.lost
        return all(whole.positions.get(partition, 0) >= end for partition, end in positions.items())

    wait_until(has_come)
    return whole


def payloads(batch: Batch, partition: int) -> list[bytes]:
    return [message.payload for message in batch.messages if message.partition == partition]


def test_all_partitions_are_read_in_order_with_the_positions_that_were_reached(new: New) -> None:
    log, topic = new(3)
    now = now_ms()
    written = {p: [b"%d-%d" % (p, n) for n in range(50)] for p in (0, 2)}
    for partition, group in written.items():
        topic.write(group, partition, timestamp_ms=now + partition)
    log.seek({0: 0, 1: 0, 2: 0})
    batch = read_to(log, {0: 50, 2: 50}, at_once=7)
    assert {p: payloads(batch, p) for p in (0, 2)} == written
    assert payloads(batch, 1) == []
    assert [m.offset for m in batch.messages if m.partition == 2] == list(range(50))
    assert {m.timestamp_ms - m.partition for m in batch.messages} == {now}
    assert batch.lost == []


@pytest.mark.parametrize("idle", [False, True])
def test_partitions_are_read_side_by_side_in_kafkas_time(
    new: New, broker: Broker, monkeypatch: pytest.MonkeyPatch, idle: bool
) -> None:
    monkeypatch.setattr("runstart.kafka.event_log._BACKLOG", 1)
    _, topic = new(3 if idle else 2)
    now = now_ms() - 60_000
    for number in range(400):
        topic.write([b"%d" % number], 0, timestamp_ms=now + 100 * number)
        topic.write([b"%d" % number * 7000], 1, timestamp_ms=now + 100 * number)
    newest = {0: now, 1: now}
    with EventLog(broker.bootstrap_servers, topic.name, ahead=Ahead(5.0, 0)) as log:
        log.seek(dict.fromkeys(log.partitions(), 0))
        offsets: dict[int, list[int]] = {0: [], 1: []}

        def has_come() -> bool:
            for message in log.read(20, 0.1).messages:
                newest[message.partition] = message.timestamp_ms
                offsets[message.partition].append(message.offset)
            unfinished = [p for p in newest if len(offsets[p]) < 400]
            if len(unfinished) == 2:
                assert abs(newest[0] - newest[1]) <= 5000 + 2 * 20 * 100
            return not unfinished

        wait_until(has_come)
        assert offsets == {0: list(range(400)), 1: list(range(400))}


def test_only_what_was_sought_is_read_and_seeking_again_reads_again(new: New) -> None:
    log, topic = new(2)
    topic.write([b"%d" % n for n in range(20)], 0)
    topic.write([b"other"], 1)
    log.seek({0: 15})
    assert payloads(read_to(log, {0: 20}), 0) == [b"15", b"16", b"17", b"18", b"19"]
    log.seek({0: 18})
    batch = read_to(log, {0: 20})
    assert (payloads(batch, 0), payloads(batch, 1)) == ([b"18", b"19"], [])


def test_seeking_in_the_middle_of_reading_gives_nothing_of_the_old_place(new: New) -> None:
    log, topic = new(1)
    topic.write([b"%d" % n for n in range(200)])
    log.seek({0: 0})
    while not log.read(10, 0.5).messages:
        pass
    log.seek({0: 150})
    assert payloads(read_to(log, {0: 200}), 0)[0] == b"150"
    log.seek({0: 3})
    assert payloads(read_to(log, {0: 200}), 0) == [b"%d" % n for n in range(3, 200)]


def test_partitions_that_are_added_are_read_too(new: New, broker: Broker) -> None:
    log, topic = new(1)
    topic.write([b"a"])
    log.seek({0: 0})
    read_to(log, {0: 1})
    add_partitions(broker, topic.name, 2)
    wait_until(lambda: log.partitions() == [0, 1])
    log.add({1: 0})
    Topic(broker.bootstrap_servers, topic.name).write([b"b"], 1)
    assert payloads(read_to(log, {1: 1}), 1) == [b"b"]


def test_reading_nothing_and_an_empty_topic_return_empty(new: New) -> None:
    log, _ = new(1)
    log.seek({})
    assert log.read(10, 0.05) == Batch()
    log.seek({0: 0})
    assert log.read(10, 0.2).messages == []


def test_deleted_offsets_are_reported_as_lost_and_reading_goes_on_behind_them(new: New, broker: Broker) -> None:
    log, topic = new(2)
    topic.write([b"%d" % n for n in range(10)], 0)
    topic.write([b"x"], 1)
    broker.delete_records(topic.name, 0, 4)
    assert log.watermarks(0) == (4, 10)
    log.seek({0: 1, 1: 0})
    batch = read_to(log, {0: 10, 1: 1})
    assert batch.lost == [(0, 1, 4)]
    assert payloads(batch, 0) == [b"%d" % n for n in range(4, 10)]
    assert payloads(batch, 1) == [b"x"]


def test_a_place_beyond_the_end_means_that_the_topic_was_made_anew(new: New) -> None:
    log, topic = new(1)
    topic.write([b"a"])
    log.seek({0: 5})

    def read_on() -> bool:
        log.read(10, 0.1)
        return False

    with pytest.raises(Alert, match="ends at offset 1, before offset 5"):
        wait_until(read_on)


def test_the_end_is_a_place_from_which_what_comes_is_read(new: New) -> None:
    log, topic = new(1)
    topic.write([b"a"])
    log.seek({0: 1})
    assert log.read(10, 0.3).messages == []
    topic.write([b"b"])
    assert payloads(read_to(log, {0: 2}), 0) == [b"b"]


def test_offsets_are_found_by_kafkas_time(new: New) -> None:
    log, topic = new(2)
    now = now_ms()
    for time in (1000, 2000, 3000):
        topic.write([b"x"], timestamp_ms=now + time)
    assert [log.offset_at(0, now + time) for time in (-now - 5, 0, 1000, 1001, 3000, 3001)] == [0, 0, 0, 1, 2, None]
    assert log.offset_at(1, 0) is None
    assert log.offset_at(0, 2**62) is None


def test_positions_pass_the_records_that_end_transactions(new: New, broker: Broker) -> None:
    log, topic = new(1)
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": topic.name, "log_level": 0}
    )
    producer.init_transactions(30)
    for payload, keep in ((b"kept", True), (b"aborted", False)):
        producer.begin_transaction()
        producer.produce(topic.name, payload, partition=0)
        producer.flush(30)
        if keep:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    wait_until(lambda: log.watermarks(0) == (0, 4))  # the broker writes the markers a moment after its answer
    log.seek({0: 0})
    assert payloads(read_to(log, {0: 4}), 0) == [b"kept"]


def test_a_message_without_a_value_is_an_empty_payload(new: New, broker: Broker) -> None:
    log, topic = new(1)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    producer.produce(topic.name, None, key=b"tombstone", partition=0)
    producer.flush(30)
    log.seek({0: 0})
    assert payloads(read_to(log, {0: 1}), 0) == [b""]


def test_a_topic_that_does_not_exist_has_no_partitions_and_is_not_made_by_asking(new: New) -> None:
    log, _ = new(0)
    assert log.partitions() == []
    assert log.partitions() == []


def test_a_question_about_a_missing_topic_is_transient_at_first_and_then_an_alert(
    new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = new(0)
    with pytest.raises(Transient):
        log.offset_at(0, 0)
    monkeypatch.setattr("runstart.kafka.event_log._MISSING_SECONDS", -1.0)
    with pytest.raises(Alert, match="does not exist"):
        log.offset_at(0, 0)


def test_a_broker_that_does_not_answer_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.kafka.event_log._QUESTION_TIMEOUT", 0.2)
    with EventLog("127.0.0.1:9", "events") as log:
        for ask in (log.partitions, lambda: log.watermarks(0), lambda: log.offset_at(0, 0)):
            with pytest.raises(Transient):
                ask()
        log.seek({0: 0})
        assert log.read(10, 0.1) == Batch()
    gc.collect()


@pytest.mark.faults
def test_reading_goes_on_where_it_was_after_the_broker_was_killed(own_broker: Broker) -> None:
    own_broker.create_topic("events", 2)
    topic = Topic(own_broker.bootstrap_servers, "events")
    topic.write([b"%d" % n for n in range(10)])
    with EventLog(own_broker.bootstrap_servers, "events") as log:
        log.seek({0: 0, 1: 0})
        before = read_to(log, {0: 10})
        own_broker.stop()
        for _ in range(5):
            assert log.read(10, 0.1) == Batch()
        own_broker.start()
        Topic(own_broker.bootstrap_servers, "events").write([b"%d" % n for n in range(10, 20)])
        after = read_to(log, {0: 20})
    assert payloads(before, 0) + payloads(after, 0) == [b"%d" % n for n in range(20)]
