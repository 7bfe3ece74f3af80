from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from runstart.errors import Alert
from runstart.events import LogMessage, RunStart, RunStop
from runstart.instruments import Instrument
from runstart.simulators import Publisher, Simulation, simulate

QUICK = Simulation(rate=20_000, pulse_rate=1000, run_duration=0.02, gap=0, runs=3, first_run=41)


def test_runs_follow_one_another_with_rising_numbers(
    producer: Any, publisher: Publisher, instrument: Instrument
) -> None:
    runs = simulate(instrument, QUICK, publisher)
    messages = producer.messages(instrument.topics.run_info)
    assert [type(message) for message in messages] == [RunStart, RunStop] * 3
    names = [message.run_name for message in messages]
    assert names[::2] == names[1::2] == ["SANS00000041", "SANS00000042", "SANS00000043"]
    assert [run.run_name for run in runs] == names[::2]
    assert [run.pulses for run in runs] == [20, 20, 20]


def test_every_pulse_lies_within_its_run_at_a_multiple_of_the_period(
    producer: Any, publisher: Publisher, instrument: Instrument
) -> None:
    start_ns = 1_700_000_000_123_456_789
    simulate(instrument, Simulation(**{**as_dict(QUICK), "runs": 1}), publisher, clock_ns=lambda: start_ns)
    start, stop = producer.messages(instrument.topics.run_info)
    pulses = np.concatenate([m.pulse_time_ns for m in producer.events(instrument.topics.events)])
    assert np.array_equal(pulses, start_ns + np.arange(20) * 10**6)
    assert start.start_time_ms == 1_700_000_000_123
    assert stop.stop_time_ms == pulses[-1] // 10**6 + 1


def test_message_ids_rise_by_one_over_all_runs_and_partitions_take_turns(
    producer: Any, publisher: Publisher, instrument: Instrument
) -> None:
    simulate(instrument, QUICK, publisher)
    events = [(partition, value) for topic, partition, value in producer.sent if topic == "SANS_events"]
    assert [m.message_id for m in producer.events("SANS_events")] == list(range(60))
    assert [partition for partition, _ in events[:8]] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_the_sample_environment_is_logged_once_a_second(producer: Any, instrument: Instrument) -> None:
    topics = instrument.topics
    publisher = Publisher(producer, {topics.events: 1, topics.run_info: 1, topics.sample_env: 1})
    simulation = Simulation(rate=0, pulse_rate=50, run_duration=2.1, gap=0, runs=1)
    simulate(instrument, simulation, publisher, clock_ns=lambda: 1_700_000_000 * 10**9)
    logs = producer.messages(topics.sample_env)
    assert {type(log) for log in logs} == {LogMessage}
    times = [log.time_ns for log in logs if log.source_name == "SANS:sample_temperature"]
    assert times == [(1_700_000_000 + second) * 10**9 for second in range(3)]


@pytest.mark.parametrize("schema", ["ev42", "ev44"])
def test_counts_are_those_published(
    producer: Any, publisher: Publisher, instrument: Instrument, schema: str
) -> None:
    runs = simulate(instrument, Simulation(**{**as_dict(QUICK), "schema": schema}), publisher)
    messages = producer.events(instrument.topics.events)
    assert {message.schema for message in messages} == {schema}
    assert sum(run.events for run in runs) == sum(message.n_events for message in messages) > 0


def test_pulses_go_round_the_periods(producer: Any, publisher: Publisher, instrument: Instrument) -> None:
    simulate(instrument, Simulation(**{**as_dict(QUICK), "n_periods": 3, "runs": 1}), publisher)
    assert producer.messages(instrument.topics.run_info)[0].n_periods == 3
    periods = [message.facility.period_number for message in producer.events(instrument.topics.events)]
    assert periods == [pulse % 3 for pulse in range(20)]


def test_a_run_that_is_told_to_stop_is_closed(producer: Any, publisher: Publisher, instrument: Instrument) -> None:
    stop = threading.Event()
    endless = Simulation(**{**as_dict(QUICK), "runs": None, "run_duration": 3600})
    runs = simulate(
        instrument, endless, publisher, stop=stop, on_pulse=lambda run: stop.set() if run.pulses == 4 else None
    )
    assert [run.pulses for run in runs] == [4]
    last = producer.messages(instrument.topics.run_info)[-1]
    assert isinstance(last, RunStop)
    assert last.stop_time_ms == runs[0].stop_time_ms


def test_nothing_is_published_once_it_is_told_to_stop(
    producer: Any, publisher: Publisher, instrument: Instrument
) -> None:
    stop = threading.Event()
    stop.set()
    assert simulate(instrument, QUICK, publisher, stop=stop) == []
    assert producer.sent == []


@pytest.mark.parametrize(
    "changes",
    [{"rate": -1.0}, {"pulse_rate": 0.0}, {"run_duration": float("inf")}, {"gap": -1.0}, {"n_periods": 0}],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Alert, match="makes no sense"):
        Simulation(**changes)


def test_ev44_is_refused_for_periods() -> None:
    with pytest.raises(Alert, match="ev44"):
        Simulation(schema="ev44", n_periods=2)


def as_dict(simulation: Simulation) -> dict[str, Any]:
    return {name: getattr(simulation, name) for name in simulation.__slots__}
