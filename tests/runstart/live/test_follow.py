"""What begins, closes and disturbs a live run, on a broker, each time compared with numpy's recount."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from facility_kit import Beamline, result_of, stop_after, wait_until
from payloads import foreign_payloads, malformed_payloads
from scripted_stream import PULSE_MS, Scripted, make_messages, recount

from runstart.events import RunStart, encode
from runstart.live import read_head
from runstart.live.membership import FOREVER_NS

pytestmark = pytest.mark.broker
Make = Callable[..., Beamline]


@pytest.mark.parametrize(("schema", "partitions"), [("ev42", (0,)), ("ev44", (0, 0, 0, 3, 1))])
def test_a_run_is_counted_exactly_with_messages_before_and_after_it(
    make: Make, schema: str, partitions: tuple[int, ...]
) -> None:
    beamline = make(partitions=max(partitions) + 1)
    messages = make_messages(beamline.run, range(-10, 60), partitions=partitions, schema=schema)
    beamline.write(messages[:30])
    future = beamline.launch()
    beamline.write(messages[30:])
    beamline.stop(stop_after(beamline, 40))
    result = result_of(future)
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 40)))
    assert result.shortcomings == ()
    assert sum(result.end_offsets.values()) == len(messages)
    head = read_head(beamline.store, "SMALL", beamline.record.partition_key)
    assert (head.released, head.snapshots, head.current and head.current.digest) == (True, (), result.digest)
    assert beamline.store.list(f"live/SMALL/{beamline.record.partition_key}/snapshots/") == []


def test_a_run_without_events_is_a_run(make: Make, pictures: None) -> None:
    beamline = make(partitions=2)
    future = beamline.launch()
    wait_until(lambda: len(beamline.notebook.statuses) > 1)
    beamline.stop(beamline.run.start_ms + 100)
    result = result_of(future)
    beamline.check(result, recount(beamline.run, [], stop_after(beamline, 2)))
    assert (result.shortcomings, result.end_offsets) == ((), {"0": 0, "1": 0})
    assert beamline.store.get(f"{result.folder}/overview.png").data.startswith(b"\x89PNG")


def test_periods_are_counted_apart(make: Make) -> None:
    beamline = make(n_periods=3)
    messages = make_messages(beamline.run, range(30))
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 30))
    beamline.check(result_of(beamline.launch()), recount(beamline.run, messages, stop_after(beamline, 30)))


def test_an_idle_partition_delays_neither_snapshots_nor_pictures_nor_the_end(make: Make) -> None:
    beamline = make(partitions=2)
    future = beamline.launch()
    beamline.write(make_messages(beamline.run, range(5)))
    wait_until(lambda: any(status.snapshots > 1 for status in beamline.notebook.statuses))
    wait_until(lambda: any(status.events_in_views > 0 for status in beamline.notebook.statuses))
    assert any(status.lag_seconds == 0 for status in beamline.notebook.statuses)
    beamline.stop(stop_after(beamline, 5))
    assert result_of(future).end_offsets == {"0": 5, "1": 0}


def test_a_stop_that_comes_late_takes_back_what_was_counted_past_it(make: Make) -> None:
    beamline = make(partitions=2, hold_back=0.0, snapshot_interval=0.1)
    messages = make_messages(beamline.run, range(60), partitions=(0, 1))
    future = beamline.launch()
    for first in range(0, 60, 10):
        beamline.write(messages[first : first + 10])
        seen = len(beamline.notebook.statuses)
        wait_until(lambda seen=seen: len(beamline.notebook.statuses) > seen + 1)  # type: ignore[misc]
    beamline.stop(stop_after(beamline, 25))
    result = result_of(future)
    assert beamline.notebook.has_remark("The stop came late")
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 25)))


def test_an_earlier_stop_after_a_stop_wins(make: Make) -> None:
    beamline = make(grace=1.5, info_partitions=2, hold_back=0.0)
    messages = make_messages(beamline.run, range(40))
    future = beamline.launch()
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 30))
    wait_until(lambda: beamline.notebook.has_remark("The run closes"))
    beamline.stop(stop_after(beamline, 20), partition=1)
    beamline.stop(stop_after(beamline, 50), partition=1)
    beamline.check(result_of(future), recount(beamline.run, messages, stop_after(beamline, 20)))


def test_a_stop_in_another_partition_and_before_its_run_start_is_found(make: Make) -> None:
    beamline = make(partitions=0)
    beamline.broker.create_topic(beamline.events.name, 1)
    beamline.broker.create_topic(beamline.info.name, 3)
    beamline.stop(stop_after(beamline, 10), partition=2)
    beamline.announce()
    messages = make_messages(beamline.run, range(20))
    beamline.write(messages)
    beamline.check(result_of(beamline.launch()), recount(beamline.run, messages, stop_after(beamline, 10)))


def test_a_planned_stop_closes_the_run_when_pulses_reach_it(make: Make) -> None:
    beamline = make(planned_ms=20 * PULSE_MS)
    messages = make_messages(beamline.run, range(40))
    future = beamline.launch()
    beamline.write(messages)
    result = result_of(future)
    assert "announced by the RunStart" in result.stop_reason
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 20)))


def test_a_garbled_pulse_in_the_future_does_not_bring_a_planned_stop(make: Make) -> None:
    beamline = make(planned_ms=30 * PULSE_MS)
    messages = make_messages(beamline.run, range(40))
    garbled = make_messages(beamline.run, [1_000_000], source="garbled")
    future = beamline.launch()
    beamline.write([*messages[:5], *garbled])
    wait_until(lambda: any(s.ledger["messages_read"] == 6 for s in beamline.notebook.statuses))
    seen = len(beamline.notebook.statuses)
    wait_until(lambda: len(beamline.notebook.statuses) > seen + 4)
    beamline.write(messages[5:])
    result = result_of(future)
    beamline.check(result, recount(beamline.run, [*messages, *garbled], stop_after(beamline, 30)))


def test_a_newer_run_start_closes_the_run_at_its_start(make: Make) -> None:
    beamline = make()
    messages = make_messages(beamline.run, range(40))
    future = beamline.launch()
    beamline.write(messages)
    newer = RunStart(stop_after(beamline, 15), run_name="next", instrument_name="SMALL")
    beamline.info.write([b"garbage", encode(newer)])
    result = result_of(future)
    assert "newer RunStart" in result.stop_reason
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 15)))


def test_stop_time_0_means_kafkas_time_of_the_stop(make: Make) -> None:
    beamline = make()
    messages = make_messages(beamline.run, range(20))
    beamline.write(messages)
    beamline.info.write([beamline.run.stop_payload(0)], timestamp_ms=stop_after(beamline, 12))
    result = result_of(beamline.launch())
    assert result.stop_time_ns == stop_after(beamline, 12) * 1_000_000
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 12)))


@pytest.mark.parametrize("planned_ms", [0, 60_000])
def test_a_run_that_never_stops_is_given_up_and_says_so(make: Make, planned_ms: int) -> None:
    beamline = make(planned_ms=planned_ms)
    messages = make_messages(beamline.run, range(5))
    beamline.write(messages)
    result = result_of(beamline.launch(give_up_seconds=1.0))
    assert any("did not close the run" in text for text in result.shortcomings)
    expected_stop = (beamline.run.start_ms + planned_ms) * 1_000_000 if planned_ms else FOREVER_NS
    assert result.stop_time_ns == expected_stop
    beamline.check(result, recount(beamline.run, messages, None))
    assert result_of(beamline.launch("replay")).digest == result.digest


def test_a_topic_that_comes_into_being_during_the_run_is_read_from_its_beginning(make: Make) -> None:
    beamline = make(partitions=0)
    beamline.broker.create_topic(beamline.info.name, 1)
    beamline.announce()
    future = beamline.launch()
    wait_until(lambda: len(beamline.notebook.statuses) > 1)
    beamline.broker.create_topic(beamline.events.name, 2)
    messages = make_messages(beamline.run, range(20), partitions=(0, 1))
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 15))
    result = result_of(future)
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 15)))
    assert result.shortcomings == ()


def test_a_topic_that_never_comes_into_being_makes_the_run_incomplete(make: Make) -> None:
    beamline = make(partitions=0)
    beamline.broker.create_topic(beamline.info.name, 1)
    beamline.announce()
    beamline.stop(stop_after(beamline, 1))
    (shortcoming,) = result_of(beamline.launch()).shortcomings
    assert "did not exist" in shortcoming


def test_messages_that_are_corrupted_doubled_shuffled_or_from_the_past_change_nothing_else(make: Make) -> None:
    beamline = make(partitions=3, seek_margin=60.0)
    intact = make_messages(beamline.run, range(-5, 60), partitions=(0, 1, 2))
    past = make_messages(beamline.run, range(-500, -490), partitions=(0, 1), source="past")
    rng = np.random.default_rng(3)
    doubled = [intact[n] for n in rng.integers(0, len(intact), 15)]
    moved = [Scripted(**{**fields(m), "partition": (m.partition + 1) % 3}) for m in doubled]
    broken = [*[payload for _, payload in malformed_payloads()][:20], b""]
    foreign = [payload for _, payload in foreign_payloads()]
    everything = [*intact, *past, *doubled, *moved]
    shuffled = [everything[n] for n in rng.permutation(len(everything))]
    future = beamline.launch()
    for number, message in enumerate(shuffled):
        beamline.write([message])
        if number < len(broken):
            beamline.events.write([broken[number]], number % 3)
        if number < len(foreign):
            beamline.events.write([foreign[number]], number % 3)
    beamline.stop(stop_after(beamline, 50))
    expected = recount(
        beamline.run, shuffled, stop_after(beamline, 50), malformed=len(broken), foreign=len(foreign)
    )
    result = result_of(future)
    beamline.check(result, expected)
    assert any("could not be decoded" in text for text in result.shortcomings)
    assert result_of(beamline.launch("replay")).digest == result.digest


def fields(message: Scripted) -> dict[str, Any]:
    return {name: getattr(message, name) for name in Scripted.__dataclass_fields__}
