"""Logs that come by Kafka: values, samples and alarms of the run, live and read again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer
from epics_worker import small_instrument

from runstart.collectors import Collecting, RunContext, RunFacts, kafka_logs
from runstart.collectors.kafka_logs import KafkaLogsCollector, _first_at
from runstart.collectors.options import KafkaLogsOptions
from runstart.errors import Alert
from runstart.events import AlarmMessage, FastSamples, LogMessage, Severity, encode
from runstart.facility import Broker
from runstart.instruments import Topics
from runstart.kafka import Batch, EventLog
from runstart.logs import LogBook, LogSeries

pytestmark = pytest.mark.broker
TopicName = Callable[[str], str]
SECOND = 1_000_000_000


def f144(source: str, value: Any, time_ns: int) -> bytes:
    return encode(LogMessage("f144", source, value, time_ns))


def publish(broker: Broker, topic: str, payloads: Iterable[tuple[int, bytes]], partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for time_ns, payload in payloads:
        producer.produce(topic, payload, partition=partition, timestamp=time_ns // 1_000_000)
    assert producer.flush(30) == 0


class Facility:
    """One run, and a topic of its sample environment."""

    def __init__(self, broker: Broker, topic: str, options: dict[str, Any] | None = None) -> None:
        self.broker, self.topic = broker, topic
        self.start = time.time_ns() - 20 * SECOND
        self.stop = self.start + 10 * SECOND
        topics = Topics(events=f"{topic}_e", run_info=f"{topic}_i", sample_env=topic)
        declared = {"env": {"use": "kafka_logs", **(options or {})}}
        self.instrument = small_instrument(declared, topics=topics, grace=0.1, seek_margin=5.0)

    def collect(self, replay: bool = False) -> tuple[Collecting, LogBook]:
        book = LogBook("run-1", self.start)
        servers = self.broker.bootstrap_servers
        facts = RunFacts(self.instrument, "run-1", "run 1", self.start, servers)
        collectors = Collecting(facts, book, replay=replay)
        collectors.start()
        return collectors, book

    def logs(self, replay: bool = False) -> dict[str, LogSeries]:
        collectors, book = self.collect(replay)
        collectors.finish(self.stop)
        assert collectors.troubles == {}
        return book.series()

    def values(self, n: int, name: str = "T") -> list[tuple[int, bytes]]:
        """Return one f144 value a second, from 3 s before the start."""
        times = [self.start + (k - 3) * SECOND for k in range(n)]
        return [(t, f144(name, float(k), t)) for k, t in enumerate(times)]


@pytest.fixture
def facility(broker: Broker, topic_name: TopicName) -> Callable[..., Facility]:
    def make(partitions: int = 1, **options: Any) -> Facility:
        topic = topic_name("env")
        broker.create_topic(topic, partitions)
        return Facility(broker, topic, options)

    return make


def test_a_run_has_the_values_from_its_start_to_its_stop(facility: Callable[..., Facility]) -> None:
    place = facility()
    publish(place.broker, place.topic, place.values(18))
    log = place.logs()["T"]
    assert log.values.tolist() == list(range(3, 13))  # type: ignore[union-attr]
    assert log.source == "T"


def test_a_replay_has_the_same_logs(facility: Callable[..., Facility]) -> None:
    place = facility(partitions=2)
    publish(place.broker, place.topic, place.values(18), 0)
    publish(place.broker, place.topic, place.values(18, "U"), 1)
    live = place.logs()
    publish(place.broker, place.topic, [(time.time_ns(), f144("T", 99.0, place.stop + SECOND))])
    assert place.logs(replay=True) == live
    assert set(live) == {"T", "U"}


def test_values_come_while_the_run_goes_on(facility: Callable[..., Facility]) -> None:
    place = facility()
    collectors, book = place.collect()
    publish(place.broker, place.topic, place.values(5))
    deadline = time.monotonic() + 20
    while collectors.status()["env"]["samples"] < 5:  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    collectors.finish(place.stop)
    assert len(book.series()["T"]) == 2


def test_a_message_that_comes_while_the_beginning_is_looked_for_is_read() -> None:
    class Log:
        end = 0

        def offset_at(self, partition: int, timestamp_ms: int) -> None:
            self.end = 1  # it comes right after there was none

        def watermarks(self, partition: int) -> tuple[int, int]:
            return 0, self.end

    assert _first_at(Log(), 0, 5) == 0  # type: ignore[arg-type]


def test_all_kinds_of_messages_become_logs(facility: Callable[..., Facility]) -> None:
    place = facility()
    at = place.start + SECOND
    payloads = [
        encode(LogMessage("f142", "i", 7, at)),
        encode(LogMessage("f142", "text", "open", at)),
        encode(LogMessage("f142", "hot", 2.5, at, Severity.MAJOR, "HIGH")),
        f144("array", np.array([1.0, 2.0]), at),
        f144("single", np.array([4.0]), at),
        encode(FastSamples("fast", 2, at, np.array([1.0, 2.0, 3.0]), interval_ns=1000.0)),
        encode(AlarmMessage("hot", at + 5, Severity.MAJOR, "too hot")),
        b"nothing at all",
        b"\0\0\0\0zz99\0\0\0\0",
    ]
    publish(place.broker, place.topic, [(at, payload) for payload in payloads])
    collectors, book = place.collect()
    collectors.finish(place.stop)
    logs = book.series()
    assert set(logs) == {"i", "text", "hot", "single", "fast:2", "hot.alarm"}
    assert logs["i"].values.tolist() == [7.0]  # type: ignore[union-attr]
    assert logs["text"].values == ("open",)
    assert (logs["hot"].severity.tolist(), logs["hot"].status) == ([Severity.MAJOR], ("HIGH",))
    assert logs["fast:2"].time_ns.tolist() == [at, at + 1000, at + 2000]
    assert (logs["hot.alarm"].values, logs["hot.alarm"].severity.tolist()) == (("too hot",), [Severity.MAJOR])
    trouble = collectors.troubles["env"]
    assert "1 messages of topic" in trouble
    assert "could not be decoded; 1 messages hold vectors" in trouble


def test_only_named_sources_are_recorded_under_their_names(facility: Callable[..., Facility]) -> None:
    place = facility(sources={"cryo_*": "SE:T*", "field": "SE:B"})
    for source in ("SE:T1", "SE:T2", "SE:B", "SE:X"):
        publish(place.broker, place.topic, place.values(5, source))
    logs = place.logs()
    assert {name: log.source for name, log in logs.items()} == {
        "cryo_1": "SE:T1",
        "cryo_2": "SE:T2",
        "field": "SE:B",
    }


def test_looking_back_finds_older_values_at_the_start(facility: Callable[..., Facility]) -> None:
    place = facility(look_back=3600)
    at = place.start - 600 * SECOND
    publish(place.broker, place.topic, [(at, f144("T", 1.0, at))])
    assert place.logs()["T"].time_ns.tolist() == [at]


def test_a_topic_that_comes_later_is_waited_for(broker: Broker, topic_name: TopicName) -> None:
    place = Facility(broker, topic_name("env"))
    collectors, book = place.collect()
    deadline = time.monotonic() + 20
    while "does not exist yet" not in collectors.troubles.get("env", ""):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    broker.create_topic(place.topic)
    publish(place.broker, place.topic, place.values(18))
    while collectors.status()["env"]["samples"] < 18:  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    collectors.finish(place.stop)
    assert len(book.series()["T"]) == 10


@pytest.mark.faults
def test_a_broker_that_goes_away_is_told_and_waited_for(own_broker: Broker) -> None:
    place = Facility(own_broker, "env")
    own_broker.create_topic("env")
    publish(own_broker, "env", place.values(5))
    collectors, book = place.collect()
    deadline = time.monotonic() + 60
    while collectors.status()["env"]["samples"] < 5:  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    own_broker.stop()
    while "did not answer" not in collectors.troubles.get("env", ""):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    own_broker.start()
    publish(own_broker, "env", place.values(12)[5:])
    collectors.finish(place.stop)
    assert len(book.series()["T"]) == 9


def test_later_samples_do_not_thin_a_book_whose_stop_is_known(facility: Callable[..., Facility]) -> None:
    place = facility()
    publish(place.broker, place.topic, place.values(18))
    book = LogBook("run-1", place.start)
    book.close(place.stop)
    facts = RunFacts(place.instrument, "run-1", "run 1", place.start, place.broker.bootstrap_servers)
    collectors = Collecting(facts, book, replay=True)
    collectors.start()
    collectors.finish(place.stop)
    assert book.series()["T"].values.tolist() == list(range(3, 13))  # type: ignore[union-attr]


def test_a_topic_that_was_made_anew_is_read_from_the_start_of_the_run(
    facility: Callable[..., Facility], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = facility()
    publish(place.broker, place.topic, place.values(5))
    read = EventLog.read
    alerts = iter([Alert("The topic was made anew.")])

    def read_or_raise(log: EventLog, most: int, timeout: float) -> Batch:
        for alert in alerts:
            raise alert
        return read(log, most, timeout)

    monkeypatch.setattr(EventLog, "read", read_or_raise)
    monkeypatch.setattr(kafka_logs, "_RETRY_SECONDS", 0.01)
    run = RunContext(
        RunFacts(place.instrument, "run-1", "run 1", place.start, place.broker.bootstrap_servers),
        LogBook("run-1", place.start),
        "env",
    )
    collector = KafkaLogsCollector(KafkaLogsOptions())
    collector._positions = {0: 10**6}  # offsets of the topic before
    collector.collect(run)
    assert run.current_trouble == "The topic was made anew."
    run.end(place.stop, draining=True)
    collector.on_run_end(run)
    assert collector._positions == {0: 5}
