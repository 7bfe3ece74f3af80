"""Live runs from their lease to their published result, on a broker, compared with numpy's recount."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from facility_kit import Beamline, Notebook, WrappedStore, failing, result_of, stop_after, wait_until
from scripted_stream import make_messages, recount

from runstart.errors import Alert, Transient
from runstart.live import LeaseLost, Result, read_head

pytestmark = pytest.mark.broker
Make = Callable[..., Beamline]


def test_a_replay_of_the_frozen_offsets_gives_the_same_result(make: Make) -> None:
    beamline = make(partitions=3)
    messages = make_messages(beamline.run, range(-5, 60), partitions=(0, 1, 0, 2))
    future = beamline.launch()
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 50))
    live = result_of(future)
    beamline.write(make_messages(beamline.run, range(60, 80), partitions=(0, 1, 2)))
    replayed = result_of(beamline.launch("another"))
    assert replayed.digest == live.digest
    assert (replayed.first_offsets, replayed.end_offsets) == (live.first_offsets, live.end_offsets)
    assert replayed.folder != live.folder
    assert len(read_head(beamline.store, "SMALL", beamline.record.partition_key).versions) == 2


def test_events_after_the_freezing_land_apart(make: Make) -> None:
    beamline = make()
    messages = make_messages(beamline.run, range(20))
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 30))
    first = result_of(beamline.launch())
    late = make_messages(beamline.run, range(20, 25))
    beamline.write([*late, late[0], messages[0]])
    second = result_of(beamline.launch("another"))
    assert second.digest == first.digest
    expected = recount(beamline.run, late, stop_after(beamline, 30))
    assert second.late_events == int(expected.tof.sum())
    with np.load(beamline_file(beamline, second, "late_events.npz"), allow_pickle=False) as archive:
        assert np.array_equal(archive["views.tof"], expected.tof)
    assert any("kept apart" in text for text in second.shortcomings)


def beamline_file(beamline: Beamline, result: Result, name: str) -> Any:
    return io.BytesIO(beamline.store.get(f"{result.folder}/{name}").data)


class Interrupted(BaseException):
    """What Dagster raises in a step that is terminated."""


def interrupt_after(snapshots: int, events: int = 0) -> Notebook:
    def interrupt(status: Any, _: Any) -> None:
        if status.snapshots >= snapshots and status.events_in_views >= events:
            raise Interrupted

    return Notebook(interrupt)


def test_a_terminated_run_publishes_nothing_and_its_retry_goes_on_from_the_snapshot(make: Make) -> None:
    beamline = make(partitions=2)
    messages = make_messages(beamline.run, range(60), partitions=(0, 1))
    beamline.write(messages[:30])
    with pytest.raises(Interrupted):
        beamline.launch(reporter=interrupt_after(2, events=1)).result(60)
    head = read_head(beamline.store, "SMALL", beamline.record.partition_key)
    assert (head.current, head.released, len(head.snapshots)) == (None, True, 2)
    future = beamline.launch()
    beamline.write(messages[30:])
    beamline.stop(stop_after(beamline, 50))
    result = result_of(future)
    assert beamline.notebook.has_remark("Resumed from a snapshot")
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 50)))


def test_a_launch_that_is_no_retry_starts_clean(make: Make) -> None:
    beamline = make()
    messages = make_messages(beamline.run, range(30))
    beamline.write(messages)
    with pytest.raises(Interrupted):
        beamline.launch(reporter=interrupt_after(1)).result(60)
    beamline.stop(stop_after(beamline, 20))
    result = result_of(beamline.launch("another"))
    assert not beamline.notebook.has_remark("Resumed")
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 20)))


@pytest.mark.parametrize("damage", ["removed", "cut", "both"])
def test_a_damaged_snapshot_is_passed_over(make: Make, damage: str) -> None:
    beamline = make()
    messages = make_messages(beamline.run, range(30))
    beamline.write(messages)
    with pytest.raises(Interrupted):
        beamline.launch(reporter=interrupt_after(2)).result(60)
    older, newest = read_head(beamline.store, "SMALL", beamline.record.partition_key).snapshots
    if damage == "removed":
        beamline.store.delete(newest)
    else:
        for key in (newest, older)[: 1 if damage == "cut" else 2]:
            beamline.store.put(key, beamline.store.get(key).data[:500])
    beamline.stop(stop_after(beamline, 20))
    result = result_of(beamline.launch())
    assert beamline.notebook.has_remark("Going on without it")
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 20)))


def test_a_run_whose_declaration_has_changed_is_not_resumed(make: Make) -> None:
    beamline = make()
    beamline.write(make_messages(beamline.run, range(30)))
    with pytest.raises(Interrupted):
        beamline.launch(reporter=interrupt_after(1)).result(60)
    changed = beamline.instrument.model_copy(update={"banks": beamline.instrument.banks[::-1]})
    with pytest.raises(Alert, match="have changed"):
        beamline.launch(instrument=changed).result(60)


def test_of_two_launches_at_once_one_wins_and_the_other_says_who_holds_the_run(make: Make) -> None:
    beamline = make()
    first = beamline.launch("one", lease_seconds=0.6)
    wait_until(lambda: len(beamline.notebook.statuses) > 0)
    with pytest.raises(Alert, match=r"one-.* is reducing"):
        beamline.launch("two", lease_seconds=0.6).result(60)
    messages = make_messages(beamline.run, range(10))
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 10))
    beamline.check(result_of(first), recount(beamline.run, messages, stop_after(beamline, 10)))


def test_a_retry_fences_a_predecessor_that_still_lives(make: Make) -> None:
    beamline = make()
    first = beamline.launch(lease_seconds=0.3, reporter=(fenced := Notebook()))
    wait_until(lambda: len(fenced.statuses) > 0)
    second = beamline.launch(lease_seconds=0.3)
    with pytest.raises(LeaseLost):
        first.result(60)
    messages = make_messages(beamline.run, range(10))
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 10))
    result = result_of(second)
    beamline.check(result, recount(beamline.run, messages, stop_after(beamline, 10)))
    assert len(read_head(beamline.store, "SMALL", beamline.record.partition_key).versions) == 1


def test_a_retry_after_the_result_was_published_does_nothing_again(make: Make) -> None:
    beamline = make()
    beamline.stop(stop_after(beamline, 1))
    result = result_of(beamline.launch())
    assert result_of(beamline.launch()) == result
    assert len(read_head(beamline.store, "SMALL", beamline.record.partition_key).versions) == 1


@pytest.mark.parametrize("key", ["snapshots/", "results/", "head.json"])
def test_a_store_that_refuses_for_a_while_costs_only_time(make: Make, key: str) -> None:
    beamline = make()
    store = WrappedStore(beamline.store)
    messages = make_messages(beamline.run, range(30))
    future = beamline.launch(store=store)
    wait_until(lambda: len(beamline.notebook.statuses) > 0)
    store.before = failing(4, "put", "put_if_match", key=key)
    beamline.write(messages)
    beamline.stop(stop_after(beamline, 20))
    beamline.check(result_of(future), recount(beamline.run, messages, stop_after(beamline, 20)))


def test_a_store_that_stays_away_is_passed_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.live.patience.ask_patiently.__kwdefaults__", {"patience_seconds": 0.1})
    beamline = make()
    beamline.stop(stop_after(beamline, 1))
    store = WrappedStore(beamline.store, before=failing(10**6, "put", key="results/"))
    with pytest.raises(Transient):
        beamline.launch(store=store).result(60)
