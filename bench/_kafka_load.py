"""A closed run on a Kafka broker: RunStart, event messages on several partitions, RunStop, all in the past."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._events import PULSE_NS, encode_events, make_events, make_instrument, messages_in_rotation
from bench._measure import Scale
from runstart.errors import Alert
from runstart.events import RunStart, RunStop, encode_run_start, encode_run_stop
from runstart.facility.broker import ApacheKafka, Broker, EmbeddedBroker
from runstart.facility.install import install_kafka
from runstart.instruments import Instrument
from runstart.kafka import Announcement
from runstart.live import RunRecord, make_record

PARTITIONS = 4
SNAPSHOT_SECONDS = 1.0  # thirty times as often as by default, so that a run of seconds has some
_MS = 1_000_000
_AGO_NS = 3600 * 10**9


@dataclass(frozen=True)
class Load:
    """A run that lies on the broker.

    Attributes
    ----------
    record : RunRecord
        Its announcement.
    end_offsets : dict of int to int
        Of its event topic.
    """

    instrument: Instrument
    record: RunRecord
    events_per_message: int
    messages: int
    payload_bytes: int
    end_offsets: dict[int, int]

    @property
    def events(self) -> int:
        """Events of the run."""
        return self.messages * self.events_per_message


@contextlib.contextmanager
def running_broker(scale: Scale) -> Iterator[Broker]:
    """Start Apache Kafka, or the embedded broker if the scale is quick or Java is missing."""
    with tempfile.TemporaryDirectory(prefix="runstart-bench-") as folder, _choose(Path(folder), scale) as broker:
        yield broker


def _choose(folder: Path, scale: Scale) -> Broker:
    if scale.quick:
        return EmbeddedBroker(folder / "broker")
    try:
        return ApacheKafka(folder / "broker", install_kafka())
    except Alert:
        return EmbeddedBroker(folder / "broker")


def publish_run(broker: Broker, name: str, events_per_message: int, messages: int, *, grace: float) -> Load:
    """Publish a run of instrument `name`, one pulse a message, partitions in turn, Kafka times as the pulses'."""
    instrument = make_instrument(name, snapshot_interval=SNAPSHOT_SECONDS, grace=grace)
    topics = instrument.topics
    broker.create_topic(topics.events, PARTITIONS)
    broker.create_topic(topics.run_info)
    start_ms = (time.time_ns() - _AGO_NS) // _MS - messages * PULSE_NS // _MS
    first_pulse_ns = start_ms * _MS
    stop_ms = (first_pulse_ns + messages * PULSE_NS) // _MS + 1
    start = RunStart(start_time_ms=start_ms, run_name=f"{name}-1", instrument_name=name)
    stop = RunStop(stop_time_ms=stop_ms, run_name=start.run_name)
    producer = _producer(broker)
    announcement = encode_run_start(start)
    producer.produce(topics.run_info, announcement, partition=0, timestamp=start_ms)
    rotation = [make_events(events_per_message, seed) for seed in range(messages_in_rotation(events_per_message))]
    payload_bytes = 0
    for number in range(messages):
        pulse_ns = first_pulse_ns + number * PULSE_NS
        payload = encode_events("ev44", rotation[number % len(rotation)], number, pulse_ns)
        payload_bytes += len(payload)
        _produce(producer, topics.events, payload, number % PARTITIONS, pulse_ns // _MS)
    producer.produce(topics.run_info, encode_run_stop(stop), partition=0, timestamp=stop_ms)
    if waiting := producer.flush(60):
        raise Alert(f"The broker did not take {waiting} of the benchmark's messages.")
    return Load(
        instrument=instrument,
        record=make_record(name, Announcement(topics.run_info, 0, 0, start_ms, announcement), start),
        events_per_message=events_per_message,
        messages=messages,
        payload_bytes=payload_bytes,
        end_offsets={p: len(range(p, messages, PARTITIONS)) for p in range(PARTITIONS)},
    )


def _producer(broker: Broker) -> Any:
    from confluent_kafka import Producer

    return Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "queue.buffering.max.kbytes": 65_536, "linger.ms": 5}
    )


def _produce(producer: Any, topic: str, payload: bytes, partition: int, timestamp_ms: int) -> None:
    while True:
        try:
            producer.produce(topic, payload, partition=partition, timestamp=timestamp_ms)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return
