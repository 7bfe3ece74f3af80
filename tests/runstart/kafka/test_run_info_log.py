"""`RunInfoLog`, on a cluster in memory for what is hard to bring about, and on a broker for what it must be true of."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Producer
from facility_kit import Topic, add_partitions, wait_until
from fake_kafka import FakeCluster
from scripted_stream import now_ms

import runstart.kafka.run_info_log
from runstart.errors import Transient
from runstart.facility import Broker
from runstart.kafka import OffsetReset, RunInfoLog


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr(runstart.kafka.run_info_log, "KafkaConsumer", fake.consumer)
    return fake


def places(log: RunInfoLog, timeout: float = 0.01) -> list[str]:
    return [announcement.place for announcement in log.read(timeout)]


def test_what_is_not_given_is_read_from_its_beginning(cluster: FakeCluster) -> None:
    cluster.create("a", 2)
    cluster.create("b")
    for _ in range(3):
        cluster.write("a", b"x", 0)
        cluster.write("a", b"x", 1)
        cluster.write("b", b"x")
    log = RunInfoLog("fake", ["b", "a", "missing", "a"])
    log.seek({"a": {0: 2}})
    assert sorted(places(log)) == ["a[0]@2", "a[1]@0", "a[1]@1", "a[1]@2", "b[0]@0", "b[0]@1", "b[0]@2"]
    assert log.offsets == log.end_offsets() == {"a": {0: 3, 1: 3}, "b": {0: 3}}
    assert log.resets == []


def test_deleted_offsets_are_reset_to_the_first_that_is_left(cluster: FakeCluster) -> None:
    cluster.create("a")
    for _ in range(5):
        cluster.write("a", b"x")
    cluster.delete_records("a", 0, 3)
    log = RunInfoLog("fake", ["a"])
    log.seek({"a": {0: 1}})
    assert log.resets == [OffsetReset("a", 0, 1, 3)]
    assert not log.resets[0].made_anew
    assert places(log) == ["a[0]@3", "a[0]@4"]


def test_offsets_deleted_while_reading_are_reset_too(cluster: FakeCluster) -> None:
    cluster.create("a")
    log = RunInfoLog("fake", ["a"])
    log.seek({})
    for _ in range(5):
        cluster.write("a", b"x")
    cluster.delete_records("a", 0, 3)
    assert places(log) == []
    assert log.resets == [OffsetReset("a", 0, 0, 3)]
    assert places(log) == ["a[0]@3", "a[0]@4"]


def test_a_topic_made_anew_is_read_from_the_beginning_of_all_its_partitions(cluster: FakeCluster) -> None:
    cluster.create("a", 2)
    cluster.write("a", b"new", 0)
    cluster.write("a", b"new", 1)
    log = RunInfoLog("fake", ["a"])
    log.seek({"a": {0: 9, 1: 1}})
    assert all(reset.made_anew for reset in log.resets)
    assert sorted(places(log)) == ["a[0]@0", "a[1]@0"]


def test_a_time_before_everything_and_after_everything(cluster: FakeCluster) -> None:
    cluster.create("a", 2)
    for time in (10, 20, 30):
        cluster.write("a", b"x", 0, time)
    log = RunInfoLog("fake", ["a"])
    log.seek_time(20)
    assert log.offsets == {"a": {0: 1, 1: 0}}
    log.seek_time(-1)
    assert log.offsets == {"a": {0: 0, 1: 0}}
    log.seek_time(31)
    assert log.offsets == {"a": {0: 3, 1: 0}}


def test_a_topic_and_partitions_that_come_later_are_adopted_from_their_beginning(cluster: FakeCluster) -> None:
    log = RunInfoLog("fake", ["a", "b"])
    log.seek_time(5)
    assert log.read(0.01) == []
    cluster.create("a")
    cluster.write("a", b"x", 0, 1)
    log.adopt_partitions()
    assert places(log) == ["a[0]@0"]
    cluster.topics["a"].append(type(cluster.topics["a"][0])())
    cluster.write("a", b"x", 1, 1)
    cluster.write("a", b"x", 0, 1)
    log.adopt_partitions()
    assert sorted(places(log)) == ["a[0]@1", "a[1]@0"]


def test_records_that_end_transactions_are_passed(cluster: FakeCluster) -> None:
    cluster.create("a")
    cluster.write("a", b"x")
    cluster.pass_offset("a")
    log = RunInfoLog("fake", ["a"])
    log.seek({})
    assert places(log) == ["a[0]@0"]
    assert log.offsets == log.end_offsets()


def test_an_absent_cluster_is_transient_and_moves_nothing(cluster: FakeCluster) -> None:
    cluster.create("a")
    cluster.write("a", b"x")
    log = RunInfoLog("fake", ["a"])
    log.seek({})
    cluster.down = True
    for ask in (
        log.partitions,
        log.end_offsets,
        lambda: log.read(0.0),
        lambda: log.seek({}),
        lambda: log.seek_time(0),
    ):
        with pytest.raises(Transient):
            ask()
    with pytest.raises(Transient):
        RunInfoLog("fake", ["a"])
    cluster.down = False
    assert places(log) == ["a[0]@0"]


def test_many_messages_come_in_reads_of_limited_size_without_a_gap(cluster: FakeCluster) -> None:
    cluster.create("a", 3)
    for number in range(100):
        cluster.write("a", b"x", number % 3)
    log = RunInfoLog("fake", ["a"])
    log.seek({})
    seen: list[str] = []
    while announcements := log.read(0.0, max_messages=7):
        assert len(announcements) <= 7
        seen += [announcement.place for announcement in announcements]
        assert sum(log.offsets["a"].values()) == len(seen)
    assert len(set(seen)) == len(seen) == 100


@pytest.mark.broker
def test_on_a_broker_everything_is_read_once_across_topics_and_connections(
    broker: Broker, topic_name: Callable[[str], str]
) -> None:
    one, two, missing = topic_name("runInfo"), topic_name("runInfo"), topic_name("runInfo")
    broker.create_topic(one, 2)
    broker.create_topic(two, 1)
    time_ms = now_ms()
    Topic(broker.bootstrap_servers, one).write([b"a"] * 300, 1, timestamp_ms=time_ms)
    Topic(broker.bootstrap_servers, two).write([b"b"] * 300, timestamp_ms=time_ms + 2)
    seen: list[str] = []
    offsets: dict[str, dict[int, int]] = {}
    for _ in range(2):
        with RunInfoLog(broker.bootstrap_servers, [one, two, missing]) as log:
            log.seek(offsets)
            wait_until(lambda log=log: not seen.extend(places(log, 0.2)) and log.offsets == log.end_offsets())
            offsets = log.offsets
            log.seek_time(time_ms + 1)
            assert log.offsets[one] == {0: 0, 1: 300}
            assert log.offsets[two] == {0: 0}
    assert len(set(seen)) == len(seen) == 600
    assert offsets == {one: {0: 0, 1: 300}, two: {0: 300}}


@pytest.mark.broker
def test_on_a_broker_transactions_deletions_and_new_partitions_are_as_in_memory(
    broker: Broker, topic_name: Callable[[str], str]
) -> None:
    name = topic_name("runInfo")
    broker.create_topic(name, 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": name, "log_level": 0})
    producer.init_transactions(30)
    for _ in range(3):
        producer.begin_transaction()
        producer.produce(name, b"x", partition=0)
        producer.flush(30)
        producer.commit_transaction(30)
    broker.delete_records(name, 0, 2)
    with RunInfoLog(broker.bootstrap_servers, [name]) as log:
        log.seek({name: {0: 0}})
        assert log.resets == [OffsetReset(name, 0, 0, 2)]
        seen: list[str] = []
        wait_until(lambda: not seen.extend(places(log, 0.2)) and log.offsets == log.end_offsets())
        assert seen == [f"{name}[0]@2", f"{name}[0]@4"]
        add_partitions(broker, name, 2)
        Topic(broker.bootstrap_servers, name).write([b"y"], 1)

        def adopted() -> bool:
            log.adopt_partitions()
            seen.extend(places(log, 0.1))
            return f"{name}[1]@0" in seen

        wait_until(adopted)
        assert len(seen) == 3
