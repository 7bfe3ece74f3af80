from __future__ import annotations

import dagster as dg
import pytest
from dagster_kit import DagsterFacility
from hypothesis import given
from hypothesis import strategies as st
from scripted_stream import make_messages, publish
from waiting import wait_until

import sensors.abandoned_runs
from runstart.live import read_head
from sensors.abandoned_runs import judge_silence


def test_a_run_that_beats_is_never_judged_dead() -> None:
    seen: dict[str, list[float]] = {}
    for beat in range(100):
        seen, dead = judge_silence(seen, {"run": (beat, 5.0)}, 4.9 * beat)
        assert not dead


def test_a_run_is_dead_only_after_its_silence() -> None:
    seen, dead = judge_silence({}, {"run": (7, 60.0)}, 1000.0)
    assert not dead
    seen, dead = judge_silence(seen, {"run": (7, 60.0)}, 1060.0)
    assert not dead
    assert judge_silence(seen, {"run": (7, 60.0)}, 1060.1)[1] == {"run"}


def test_a_run_that_takes_its_lease_late_is_given_its_silence_anew() -> None:
    seen, _ = judge_silence({}, {"run": (-1, 180.0)}, 0.0)
    seen, dead = judge_silence(seen, {"run": (3, 60.0)}, 179.0)
    assert not dead
    assert judge_silence(seen, {"run": (3, 60.0)}, 238.0)[1] == set()


def test_runs_that_have_ended_are_forgotten() -> None:
    seen, _ = judge_silence({}, {"a": (1, 1.0), "b": (1, 1.0)}, 0.0)
    assert set(judge_silence(seen, {"b": (1, 1.0)}, 0.5)[0]) == {"b"}


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.01, 20.0)), max_size=30))
def test_dead_means_that_the_same_beat_was_seen_longer_than_allowed(steps: list[tuple[int, float]]) -> None:
    seen: dict[str, list[float]] = {}
    now, since, last = 0.0, 0.0, None
    for beat, seconds in steps:
        now += seconds
        if beat != last:
            last, since = beat, now
        seen, dead = judge_silence(seen, {"run": (beat, 10.0)}, now)
        assert ("run" in dead) == (now - since > 10.0)


@pytest.mark.broker
@pytest.mark.faults
def test_a_run_whose_process_is_gone_is_failed_and_a_living_one_is_not(
    facility: DagsterFacility, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors.abandoned_runs, "SILENCE_FACTOR", 1.0)
    workers = []
    for name in facility.instruments:
        run = facility.new_run(name)
        key = facility.announce(run)
        messages = make_messages(run, range(10))
        publish(facility.bootstrap_servers, run.instrument.topics.events, [(m.payload, 0) for m in messages])
        workers.append(facility.work(name, key, lease_seconds=3.0))
        wait_until(lambda name=name, key=key: read_head(facility.store, name, key).snapshots, "a snapshot")
    gone, living = workers
    gone.kill()

    def status(run_id: str) -> dg.DagsterRunStatus:
        found = facility.instance.get_run_by_id(run_id)
        assert found is not None
        return found.status

    with facility.sensor("abandoned_runs") as tick:
        assert "2 live runs, 0 of them abandoned" in (tick().skip_message or "")
        wait_until(lambda: "1 of them abandoned" in (tick().skip_message or ""), "the silence of the dead run", 30)
    assert status(gone.order.run_id) is dg.DagsterRunStatus.FAILURE
    assert status(living.order.run_id) is dg.DagsterRunStatus.STARTED
    assert living.alive
