"""What the broker does to a live run: retention, new partitions, stops and starts; compared with numpy's recount."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from facility_kit import Beamline, Notebook, add_partitions, result_of, stop_after, wait_until
from scripted_stream import make_messages, now_ms, recount

from runstart.errors import Alert
from runstart.facility import Broker
from runstart.live import read_head

pytestmark = pytest.mark.broker
Make = Callable[..., Beamline]


def test_what_the_broker_deleted_before_the_run_was_read_makes_it_incomplete_and_so_it_stays(make: Make) -> None:
    beamline = make(partitions=2)
    messages = make_messages(beamline.run, range(40), partitions=(0, 1))
    beamline.write(messages)
    beamline.broker.delete_records(beamline.events.name, 0, 6)
    beamline.stop(stop_after(beamline, 40))
    result = result_of(beamline.launch())
    left = [message for message in messages if message.partition == 1 or message.message_id >= 1012]
    beamline.check(result, recount(beamline.run, left, stop_after(beamline, 40)))
    assert (result.lost, result.first_offsets) == ({"0": [[0, 6]]}, {"0": 0, "1": 0})
    assert any("[0, 6) of partition 0" in text for text in result.shortcomings)
    replayed = result_of(beamline.launch("replay"))
    assert (replayed.digest, replayed.lost) == (result.digest, result.lost)
    assert replayed.shortcomings == result.shortcomings


def test_a_replay_of_which_data_has_been_deleted_does_not_replace_the_good_result(make: Make) -> None:
    beamline = make(partitions=2)
    messages = make_messages(beamline.run, range(40), partitions=(0, 1))
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 40))
    good = result_of(beamline.launch())
    beamline.broker.delete_records(beamline.events.name, 1, 20)
    assert result_of(beamline.launch("replay")) == good
    assert beamline.notebook.has_remark("covers less of the data")
    versions = read_head(beamline.store, "SMALL", beamline.record.partition_key).versions
    assert [version.read for version in versions] == [{0: [(0, 20)], 1: [(0, 20)]}, {0: [(0, 20)], 1: []}]


def test_a_backfill_of_which_everything_has_been_deleted_is_incomplete(make: Make) -> None:
    beamline = make(start_ms=now_ms() - 3_600_000)
    beamline.events.write([m.payload for m in make_messages(beamline.run, range(10))])
    beamline.broker.delete_records(beamline.events.name, 0, 10)
    beamline.record = replace(beamline.record, timestamp_ms=beamline.run.start_ms)
    beamline.stop(stop_after(beamline, 10))
    result = result_of(beamline.launch())
    assert result.lost == {"0": [[0, 10]]}
    assert result.shortcomings != ()


def test_a_partition_that_was_emptied_long_ago_is_idle_and_not_lost(make: Make) -> None:
    beamline = make(partitions=2)
    beamline.events.write([b"old"], 1)
    beamline.broker.delete_records(beamline.events.name, 1, 1)
    beamline.write(make_messages(beamline.run, range(5)))
    beamline.stop(stop_after(beamline, 5))
    assert result_of(beamline.launch()).shortcomings == ()


def test_what_is_deleted_while_the_run_counts_is_lost_only_if_it_was_not_read(make: Make) -> None:
    beamline = make()
    messages = make_messages(beamline.run, range(40))
    future = beamline.launch()
    beamline.write(messages[:20])
    wait_until(lambda: any(s.ledger["messages_read"] == 20 for s in beamline.notebook.statuses))
    beamline.broker.delete_records(beamline.events.name, 0, 20)
    beamline.write(messages[20:])
    beamline.stop(stop_after(beamline, 30))
    result = result_of(future)
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 30)))
    assert result.shortcomings == ()


def test_partitions_added_in_mid_run_are_read_from_their_beginning(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstart.live.follow.ADOPT_SECONDS", 0.2)
    beamline = make(partitions=1, info_partitions=1)
    messages = make_messages(beamline.run, range(60), partitions=(0, 1, 2))
    future = beamline.launch()
    beamline.write([message for message in messages if message.partition == 0])
    wait_until(lambda: len(beamline.notebook.statuses) > 1)
    add_partitions(beamline.broker, beamline.events.name, 3)
    add_partitions(beamline.broker, beamline.info.name, 2)
    beamline.reconnect()
    beamline.write([message for message in messages if message.partition != 0])
    wait_until(lambda: any(len(s.next_offsets) == 3 for s in beamline.notebook.statuses))
    beamline.stop(stop_after(beamline, 50), partition=1)
    result = result_of(future)
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 50)))
    assert result.shortcomings == ()


def test_a_partition_added_after_the_last_snapshot_is_not_forgotten_by_a_retry_after_the_freezing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    beamline = make(snapshot_interval=0.2, partitions=1)
    messages = make_messages(beamline.run, range(40), partitions=(0, 1))
    beamline.write([message for message in messages if message.partition == 0])

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr("runstart.live.follow.ADOPT_SECONDS", 3600.0)
    monkeypatch.setattr("runstart.live.snapshot.SnapshotWriter.start", _only_first_snapshot())
    monkeypatch.setattr("runstart.live.live_run.count_late_events", die)
    future = beamline.launch()
    wait_until(lambda: any(s.snapshots == 1 for s in beamline.notebook.statuses))
    add_partitions(beamline.broker, beamline.events.name, 2)
    beamline.reconnect()
    beamline.write([message for message in messages if message.partition == 1])
    beamline.stop(stop_after(beamline, 30))
    with pytest.raises(Killed):
        future.result(60)
    monkeypatch.undo()
    monkeypatch.setattr("runstart.live.publish.pictures_png", lambda _: {})
    head = read_head(beamline.store, "SMALL", beamline.record.partition_key)
    assert head.frozen is not None
    assert head.frozen.end_offsets == {0: 20, 1: 20}
    result = result_of(beamline.launch())
    assert beamline.notebook.has_remark("Resumed from a snapshot")
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 30)))


def _only_first_snapshot() -> Callable[..., bool]:
    from runstart.live.snapshot import SnapshotWriter

    start = SnapshotWriter.start

    def start_once(self: SnapshotWriter, accumulation: Any) -> bool:
        return self.written == 0 and start(self, accumulation)

    return start_once


def test_a_late_backfill_reads_no_further_than_the_runs_late_data_may_lie(make: Make) -> None:
    beamline = make(start_ms=now_ms() - 3_600_000, grace=0.5)
    messages = make_messages(beamline.run, range(20))
    stop_ms = stop_after(beamline, 20)
    beamline.events.write([message.payload for message in messages], timestamp_ms=stop_ms - 100)
    others = make_messages(beamline.run, range(3000, 3010), source="another run")
    beamline.info.write([beamline.run.stop_payload(stop_ms)], timestamp_ms=stop_ms)
    beamline.events.write([message.payload for message in others], timestamp_ms=stop_ms + 600_000)
    result = result_of(beamline.launch(reporter=(notebook := Notebook())))
    assert result.ledger["events_counted"] > 0
    assert result.late_events == 0
    assert not notebook.has_remark("came late")
    beamline.check_views(result, recount(beamline.run, messages, stop_ms))


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_is_stopped_and_started_costs_nothing(
    make: Make, own_broker: Broker, absent_broker: None
) -> None:
    beamline = make(partitions=2, on=own_broker)
    messages = make_messages(beamline.run, range(60), partitions=(0, 1))
    future = beamline.launch()
    beamline.write(messages[:30])
    wait_until(lambda: any(s.ledger["messages_read"] == 30 for s in beamline.notebook.statuses))
    own_broker.stop()
    seen = len(beamline.notebook.statuses)
    wait_until(lambda: len(beamline.notebook.statuses) > seen + 3)
    own_broker.start()
    beamline.reconnect()
    beamline.write(messages[30:])
    beamline.stop(stop_after(beamline, 50))
    result = result_of(future)
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 50)))
    assert result.shortcomings == ()


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_is_away_when_the_run_is_frozen_delays_it(
    make: Make, own_broker: Broker, absent_broker: None
) -> None:
    beamline = make(on=own_broker, grace=8.0)
    messages = make_messages(beamline.run, range(20))
    future = beamline.launch()
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 20))
    wait_until(lambda: beamline.notebook.has_remark("The run closes"))
    own_broker.stop()
    wait_until(lambda: beamline.notebook.has_remark("Cannot freeze"))
    own_broker.start()
    beamline.check(result_of(future), recount(beamline.run, messages, stop_after(beamline, 20)))


def test_a_topic_made_anew_in_mid_run_is_an_alert(make: Make, own_broker: Broker) -> None:
    beamline = make(on=own_broker)
    future = beamline.launch()
    beamline.write(make_messages(beamline.run, range(20)))
    wait_until(lambda: any(s.ledger["messages_read"] == 20 for s in beamline.notebook.statuses))
    own_broker.delete_topic(beamline.events.name)
    own_broker.create_topic(beamline.events.name, 1)
    with pytest.raises(Alert, match="made anew"):
        future.result(60)
