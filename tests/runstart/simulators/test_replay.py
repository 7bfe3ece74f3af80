from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from kafka import KafkaConsumer, TopicPartition

from runstart.errors import Alert
from runstart.events import RunStart, RunStop, decode
from runstart.instruments import Instrument
from runstart.simulators import Publisher, connect_publisher, read_nexus_events, replay


def test_run_start_comes_first_and_is_flushed_and_run_stop_last(
    isis_file: Any, producer: Any, publisher: Publisher, instrument: Instrument
) -> None:
    replay(read_nexus_events(isis_file.path), publisher, instrument, speed=None)
    events, run_info = instrument.topics.events, instrument.topics.run_info
    assert producer.log[:3] == [run_info, "flush", events]
    assert producer.log[-4:] == [events, "flush", run_info, "flush"]
    start, stop = producer.messages(run_info)
    assert isinstance(start, RunStart)
    assert isinstance(stop, RunStop)
    assert (start.run_name, start.instrument_name, start.n_periods) == ("SANS00034484", "SANS", 2)
    assert (stop.run_name, stop.job_id) == (start.run_name, start.job_id)


@pytest.mark.parametrize("keep_times", [True, False])
def test_the_run_covers_every_pulse_to_the_millisecond(
    isis_file: Any, producer: Any, publisher: Publisher, instrument: Instrument, keep_times: bool
) -> None:
    before_ms = time.time_ns() // 10**6
    file = read_nexus_events(isis_file.path)
    summary = replay(file, publisher, instrument, speed=None, keep_times=keep_times)
    pulses_ms = np.concatenate([m.pulse_time_ns for m in producer.events(instrument.topics.events)]) / 1e6
    start, stop = producer.messages(instrument.topics.run_info)
    assert start.start_time_ms <= pulses_ms.min() < start.start_time_ms + 1
    assert stop.stop_time_ms - 1 <= pulses_ms.max() < stop.stop_time_ms
    assert (summary.start_time_ms, summary.stop_time_ms) == (start.start_time_ms, stop.stop_time_ms)
    if keep_times:
        assert start.start_time_ms == 1_460_429_934_500
    else:
        assert start.start_time_ms >= before_ms


def test_restamping_keeps_the_distances_between_pulses(
    isis_file: Any, producer: Any, publisher: Publisher, instrument: Instrument
) -> None:
    file = read_nexus_events(isis_file.path)
    replay(file, publisher, instrument, speed=None)
    pulses = np.concatenate([m.pulse_time_ns for m in producer.events(instrument.topics.events)])
    assert np.array_equal(np.diff(pulses), np.diff(file.sources[0].pulse_time_ns))


def test_a_weight_of_zero_leaves_a_partition_idle(
    isis_file: Any, producer: Any, publisher: Publisher, instrument: Instrument
) -> None:
    file = read_nexus_events(isis_file.path)
    summary = replay(file, publisher, instrument, speed=None, partition_weights=(0.7, 0.2, 0.1, 0))
    topic = instrument.topics.events
    assert summary.offsets == {
        (topic, 0): (0, 14),
        (topic, 1): (0, 4),
        (topic, 2): (0, 2),
        (instrument.topics.run_info, 0): (0, 2),
    }


def test_more_weights_than_partitions_are_refused(
    isis_file: Any, publisher: Publisher, instrument: Instrument
) -> None:
    file = read_nexus_events(isis_file.path)
    with pytest.raises(Alert, match="5 partition weights"):
        replay(file, publisher, instrument, speed=None, partition_weights=(1,) * 5)


def test_messages_of_several_banks_come_in_the_order_of_time_with_ids_of_their_own(
    sns_file: Path, producer: Any, publisher: Publisher, instrument: Instrument
) -> None:
    summary = replay(read_nexus_events(sns_file), publisher, instrument, speed=None, schema="ev44")
    messages = producer.events(instrument.topics.events)
    assert [(m.source_name, m.message_id) for m in messages] == [
        ("bank1_events", 0),
        ("bank2_events", 0),
        ("bank1_events", 1),
        ("bank2_events", 1),
        ("bank1_events", 2),
        ("bank2_events", 2),
    ]
    assert (summary.messages, summary.pulses, summary.events) == (6, 6, 7)


def test_a_replay_that_is_told_to_stop_ends_its_run_after_the_last_pulse_sent(
    isis_file: Any, producer: Any, publisher: Publisher, instrument: Instrument
) -> None:
    told = threading.Event()
    sent: list[object] = []

    def stop_after_five(message: object) -> None:
        sent.append(message)
        if len(sent) == 5:
            told.set()

    file = read_nexus_events(isis_file.path)
    summary = replay(file, publisher, instrument, speed=None, stop=told, on_message=stop_after_five)
    messages = producer.events(instrument.topics.events)
    assert summary.messages == len(messages) == 5
    stop = producer.messages(instrument.topics.run_info)[-1]
    assert stop.stop_time_ms == messages[-1].pulse_time_ns[0] // 10**6 + 1


def test_a_run_without_a_number_is_named_after_the_first_pulse(
    isis_file: Any, publisher: Publisher, instrument: Instrument
) -> None:
    import h5py

    with h5py.File(isis_file.path, "r+") as file:
        del file["raw_data_1/run_number"]
    summary = replay(read_nexus_events(isis_file.path), publisher, instrument, speed=None)
    assert summary.run_name == "SANS_20160412_025854"


@pytest.mark.broker
@pytest.mark.parametrize("schema", ["ev42", "ev44"])
def test_every_event_of_the_file_is_read_back_from_the_broker(
    isis_file: Any, broker: Any, instrument: Instrument, schema: Literal["ev42", "ev44"]
) -> None:
    name = f"REPLAY_{schema}"
    declared = Instrument(name=name, banks=instrument.banks, tof=instrument.tof)
    file = read_nexus_events(isis_file.path)
    if schema == "ev44":
        file = type(file)(file.instrument_name, file.run_number, file.title, 1, file.sources)
    topics = {declared.topics.events: 3, declared.topics.run_info: 1}
    with connect_publisher(broker.bootstrap_servers, topics) as publisher:
        summary = replay(file, publisher, declared, schema=schema, pulses_per_message=3, speed=None)
    messages: list[Any] = [
        decode(value)
        for (topic, partition), offsets in summary.offsets.items()
        if topic == declared.topics.events
        for value in consume(broker.bootstrap_servers, topic, partition, offsets)
    ]
    messages.sort(key=lambda message: message.message_id)
    assert len(messages) == summary.messages
    assert np.concatenate([m.detector_id for m in messages]).tolist() == isis_file.detector_id.tolist()


def consume(servers: str, topic: str, partition: int, offsets: tuple[int, int]) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    place = TopicPartition(topic, partition)
    consumer.assign([place])
    consumer.seek(place, offsets[0])
    values: list[bytes] = []
    while len(values) < offsets[1] - offsets[0]:
        for records in consumer.poll(timeout_ms=500).values():
            values += [record.value for record in records]
    consumer.close()
    return values
