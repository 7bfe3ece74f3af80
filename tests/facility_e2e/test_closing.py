"""What closes a run, and when: the result is always that of the earliest valid stop, however it came to be known."""

from __future__ import annotations

import pytest
from dagster_kit import DagsterFacility
from run_worker import RunWorker
from scripted_stream import PULSE_MS, ScriptedRun, check_against, make_messages, publish, recount
from waiting import wait_until

from runstart.live import read_head

pytestmark = [pytest.mark.broker, pytest.mark.faults]


def _publish_events(facility: DagsterFacility, run: ScriptedRun, pulses: range) -> None:
    messages = make_messages(run, pulses)
    publish(facility.bootstrap_servers, run.instrument.topics.events, [(m.payload, 0) for m in messages])


def _wait_for_events(facility: DagsterFacility, worker: RunWorker, pulses: int) -> None:
    """Wait until a snapshot names the offset behind so many pulses."""
    order = worker.order

    def counted() -> bool:
        from runstart.live.snapshot import unpack_snapshot

        head = read_head(facility.store, order.instrument, order.partition_key)
        if not head.snapshots:
            return False
        data = facility.store.get(head.snapshots[-1]).data
        snapshot = unpack_snapshot(data, facility.instruments[order.instrument])
        return snapshot.next_offsets[0] >= pulses

    wait_until(counted, f"a snapshot with {pulses} pulses", 60)


def _check(facility: DagsterFacility, run: ScriptedRun, key: str, pulses: range, stop_ms: int | None) -> None:
    result = facility.result(run.instrument.name, key)
    check_against(recount(run, make_messages(run, pulses), stop_ms), result, facility.product(result))


def test_a_late_stop_takes_back_what_was_counted_past_it(facility: DagsterFacility, instrument: str) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    worker = facility.work(instrument, key)
    _publish_events(facility, run, range(60))
    _wait_for_events(facility, worker, 60)
    _publish_events(facility, run, range(60, 120))
    _wait_for_events(facility, worker, 120)
    stop_ms = run.start_ms + 30 * PULSE_MS
    facility.publish_stop(run, stop_ms)
    worker.succeed()
    assert "The stop came late" in worker.log
    _check(facility, run, key, range(120), stop_ms)


def test_stops_of_other_runs_and_before_the_start_close_nothing(facility: DagsterFacility, instrument: str) -> None:
    run = facility.new_run(instrument)
    other = ScriptedRun(run.instrument, "another", run.start_ms)
    facility.publish_stop(run, run.start_ms - 1000)
    key = facility.announce(run)
    worker = facility.work(instrument, key)
    facility.publish_stop(other, run.start_ms + 5 * PULSE_MS)
    facility.publish_stop(run, run.start_ms - 1)
    _publish_events(facility, run, range(80))
    _wait_for_events(facility, worker, 80)
    stop_ms = run.start_ms + 70 * PULSE_MS
    facility.publish_stop(run, stop_ms)
    worker.succeed()
    _check(facility, run, key, range(80), stop_ms)
    assert worker.log.count("Ignored RunStop before its RunStart") == 2
    assert worker.log.count("Ignored RunStop for another run ('another')") == 1


def test_a_newer_run_start_closes_a_run_that_never_got_its_stop(facility: DagsterFacility, instrument: str) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    worker = facility.work(instrument, key)
    _publish_events(facility, run, range(50))
    _wait_for_events(facility, worker, 50)
    newer = ScriptedRun(run.instrument, "1002", run.start_ms + 40 * PULSE_MS, job_id="next")
    newer_key = facility.announce(newer)
    _publish_events(facility, run, range(50, 90))
    facility.publish_stop(newer, run.start_ms + 85 * PULSE_MS)
    newer_worker = facility.work(instrument, newer_key)
    worker.succeed()
    newer_worker.succeed()
    result = facility.result(instrument, key)
    assert result.stop_reason.startswith("newer RunStart")
    # How much of what lies past the stop was read depends on when the stop was seen; what was counted does not.
    read = sum(end for end in result.end_offsets.values())
    _check(facility, run, key, range(read), newer.start_ms)
    both = [facility.product(facility.result(instrument, k)) for k in (key, newer_key)]
    whole = ScriptedRun(run.instrument, "", run.start_ms)
    expected = recount(whole, make_messages(run, range(90)), run.start_ms + 85 * PULSE_MS)
    assert (both[0].arrays["tof"] + both[1].arrays["tof"] == expected.tof).all()
    assert (both[0].arrays["pixel_tof"] + both[1].arrays["pixel_tof"] == expected.pixel_tof).all()


def test_a_run_start_may_announce_its_own_stop(facility: DagsterFacility, instrument: str) -> None:
    run = facility.new_run(instrument)
    stop_ms = run.start_ms + 40 * PULSE_MS
    key = facility.announce(run, stop_ms)
    worker = facility.work(instrument, key)
    _publish_events(facility, run, range(60))
    worker.succeed()
    _check(facility, run, key, range(60), stop_ms)


def test_a_stop_of_time_zero_means_now(facility: DagsterFacility, instrument: str) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    worker = facility.work(instrument, key)
    _publish_events(facility, run, range(-2, 40))
    _publish_events(facility, run, range(40_000, 40_010))
    facility.publish_stop(run, 0)
    worker.succeed()
    result = facility.result(instrument, key)
    pulses = [*range(-2, 40), *range(40_000, 40_010)]
    stop_ms = result.stop_time_ns // 1_000_000
    check_against(recount(run, make_messages(run, pulses), stop_ms), result, facility.product(result))
    assert result.ledger["events_after_stop"] > 0


def test_a_run_that_nobody_closes_is_given_up_with_all_that_came(
    facility: DagsterFacility, instrument: str
) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    _publish_events(facility, run, range(40))
    worker = facility.work(instrument, key, give_up_seconds=1.5)
    worker.succeed()
    _check(facility, run, key, range(40), None)
    assert facility.checks(worker.order.run_id) == {"ledger_adds_up": True, "complete": False}
    assert any("did not close" in text for text in facility.result(instrument, key).shortcomings)
