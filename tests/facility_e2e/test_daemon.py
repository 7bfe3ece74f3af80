"""Live runs under Dagster's own daemon: instruments at once, termination, launches, backfills, and power cuts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from dagster_kit import DagsterFacility, small_instrument
from scripted_stream import PULSE_MS, Scripted, ScriptedRun, check_against, make_messages, publish, recount
from waiting import let_pass, wait_until

from runstart.facility import Broker
from runstart.live import load_result, name_partition, read_head

pytestmark = [pytest.mark.broker, pytest.mark.faults, pytest.mark.timeout(240)]

STOP = 100 * PULSE_MS


@pytest.fixture(scope="module")
def alive(
    broker: Broker,
    store_place: Callable[[], tuple[str, Mapping[str, str]]],
    tmp_path_factory: pytest.TempPathFactory,
    new_name: Callable[[], str],
) -> Iterator[DagsterFacility]:
    """A facility whose daemon runs for all tests of this module; each takes instruments of its own."""
    tables = "".join(small_instrument(new_name(), snapshot_interval=0.5) for _ in range(4))
    folder = tmp_path_factory.mktemp("alive")
    with DagsterFacility(folder, tables, broker.bootstrap_servers, *store_place()) as facility:
        facility.start()
        yield facility


def _begin(facility: DagsterFacility, position: int) -> ScriptedRun:
    """Announce a run; the sensor must find it."""
    run = facility.new_run(list(facility.instruments)[position], f"run-{position}")
    publish(facility.bootstrap_servers, run.instrument.topics.run_info, [(run.start_payload(), 0)])
    return run


def _publish(facility: DagsterFacility, run: ScriptedRun, messages: list[Scripted]) -> None:
    topic = run.instrument.topics.events
    publish(facility.bootstrap_servers, topic, [(m.payload, m.partition) for m in messages], partitions=2)


def _key(run: ScriptedRun) -> str:
    return name_partition(run.name, run.start_ms)


def _wait_for_snapshot(facility: DagsterFacility, run: ScriptedRun) -> None:
    try:
        wait_until(
            lambda: read_head(facility.store, run.instrument.name, _key(run)).snapshots,
            f"a snapshot of {run.name}",
            interval=0.1,
        )
    except AssertionError as error:
        raise AssertionError(f"{error}\n{facility.story(run.instrument.name)}") from error


@pytest.fixture(scope="module")
def pair(alive: DagsterFacility) -> list[tuple[ScriptedRun, list[Scripted]]]:
    """Two instruments' runs, taken at the same time and finished, with their messages."""
    runs = [_begin(alive, position) for position in (0, 1)]
    messages = [make_messages(run, range(-3, 120), partitions=(0, 1), seed=n) for n, run in enumerate(runs)]
    for run, sent in zip(runs, messages, strict=True):
        _publish(alive, run, sent[:60])
    for run in runs:
        _wait_for_snapshot(alive, run)
    for run, sent in zip(runs, messages, strict=True):
        _publish(alive, run, sent[60:])
        alive.publish_stop(run, run.start_ms + STOP)
    for run in runs:
        alive.wait_for_result(run)
    return list(zip(runs, messages, strict=True))


def test_two_instruments_at_once_do_not_touch_each_other(
    alive: DagsterFacility, pair: list[tuple[ScriptedRun, list[Scripted]]]
) -> None:
    for run, sent in pair:
        name, key = run.instrument.name, _key(run)
        version = read_head(alive.store, name, key).versions[0]
        result = load_result(alive.store, version)
        check_against(recount(run, sent, run.start_ms + STOP), result, alive.product(result))
        assert alive.runs(name, key)[-1].run_id == result.run_id
        assert list(alive.partition_keys(name)) == [key]


def test_launched_by_hand_or_as_a_backfill_a_finished_run_is_replayed_bit_for_bit(
    alive: DagsterFacility, pair: list[tuple[ScriptedRun, list[Scripted]]]
) -> None:
    for number, (run, _) in enumerate(pair):
        name, key = run.instrument.name, _key(run)
        # What comes after the offsets were frozen must not matter.
        _publish(alive, run, make_messages(run, range(20, 30), seed=number, source="late"))
        where = ("-m", "definitions", "-j", f"live_reduction_{name}")
        if number:
            alive.run_cli("job", "launch", *where, "--tags", json.dumps({"dagster/partition": key}))
        else:
            alive.run_cli("job", "backfill", *where, "--partitions", key, "--noprompt")
        wait_until(lambda name=name, key=key: len(alive.runs(name, key)) == 2, "the second run", 60, 0.2)
    for run, _ in pair:
        key, result = alive.wait_for_result(run)
        name = run.instrument.name
        versions = read_head(alive.store, name, key).versions
        assert [version.digest for version in versions] == [result.digest] * 2
        second, first = alive.runs(name, key)
        assert (first.tags["runstart/kind"], second.tags["runstart/kind"]) == ("live", "batch")
        assert result.run_id == second.run_id
        assert result.late_events > 0
        assert alive.checks(second.run_id) == {"ledger_adds_up": True, "complete": False}


def test_executed_without_a_daemon_a_finished_run_is_replayed_bit_for_bit(
    alive: DagsterFacility, pair: list[tuple[ScriptedRun, list[Scripted]]]
) -> None:
    run, _ = pair[0]
    name, key = run.instrument.name, _key(run)
    before = read_head(alive.store, name, key).current
    tags = json.dumps({"dagster/partition": key})
    alive.run_cli("job", "execute", "-m", "definitions", "-j", f"live_reduction_{name}", "--tags", tags)
    after = read_head(alive.store, name, key).current
    assert before is not None
    assert after is not None
    assert (after.digest, after.number) == (before.digest, before.number + 1)


def test_a_terminated_run_goes_on_where_it_was_when_executed_again(alive: DagsterFacility) -> None:
    run = _begin(alive, 2)
    name, key = run.instrument.name, _key(run)
    messages = make_messages(run, range(120), partitions=(0, 1))
    _publish(alive, run, messages[:60])
    _wait_for_snapshot(alive, run)
    (first,) = alive.runs(name, key)
    assert alive.instance.run_launcher.terminate(first.run_id)
    wait_until(lambda: alive.runs(name, key)[0].status is dg.DagsterRunStatus.CANCELED, "the end of the run", 30)
    assert read_head(alive.store, name, key).released, "nobody has to wait for the lease"
    assert alive.instance.get_materialized_partitions(dg.AssetKey([name, "live_run"])) == set()
    _publish(alive, run, messages[60:])
    alive.publish_stop(run, run.start_ms + STOP)
    again = alive.work(name, key, retry_of=first)
    again.succeed()
    assert "Resumed from a snapshot" in again.log
    result = alive.result(name, key)
    check_against(recount(run, messages, run.start_ms + STOP), result, alive.product(result))
    assert result.digest == alive.undisturbed(run, key)[0].digest


@pytest.fixture
def mortal(
    broker: Broker,
    store_place: Callable[[], tuple[str, Mapping[str, str]]],
    tmp_path: Path,
    new_name: Callable[[], str],
) -> Iterator[DagsterFacility]:
    """A facility whose daemon is to be killed; dead runs are noticed in seconds instead of minutes."""
    tables = "".join(small_instrument(new_name(), snapshot_interval=0.5) for _ in range(4))
    with DagsterFacility(
        tmp_path / "facility",
        tables,
        broker.bootstrap_servers,
        *store_place(),
        module="short_lease_definitions",
        settings={"start_timeout_seconds: 180": "start_timeout_seconds: 20"},
    ) as facility:
        yield facility


def test_power_cuts_lose_and_repeat_no_run_and_no_event(mortal: DagsterFacility) -> None:
    """Everything is killed while one run counts and others are announced; then it is started again and left alone."""
    rng = np.random.default_rng(11)
    mortal.start()
    runs = [_begin(mortal, 0)]
    messages = {0: make_messages(runs[0], range(120), partitions=(0, 1))}
    _publish(mortal, runs[0], messages[0][:60])
    _wait_for_snapshot(mortal, runs[0])
    (counting,) = mortal.runs(runs[0].instrument.name)
    for position in (1, 2):
        runs.append(_begin(mortal, position))
        messages[position] = make_messages(runs[position], range(120), seed=position)
        _publish(mortal, runs[position], messages[position])
        # The first is killed at once, the second somewhere between the RunStart and the launch of its run.
        let_pass(0.0 if position == 1 else float(rng.uniform(0.5, 4.0)))
        mortal.kill()
        if position == 1:
            mortal.start()
    runs.append(_begin(mortal, 3))
    messages[3] = make_messages(runs[3], range(120), seed=3)
    _publish(mortal, runs[3], messages[3])
    _publish(mortal, runs[0], messages[0][60:])
    for run in runs:
        mortal.publish_stop(run, run.start_ms + STOP)
    mortal.start()
    for position, run in enumerate(runs):
        key, result = mortal.wait_for_result(run, timeout=120)
        check_against(recount(run, messages[position], run.start_ms + STOP), result, mortal.product(result))
        roots = {r.root_run_id or r.run_id for r in mortal.runs(run.instrument.name, key)}
        assert len(roots) == 1, "one RunStart, one run (and its retries)"
        assert list(mortal.partition_keys(run.instrument.name)) == [key]
        assert len(read_head(mortal.store, run.instrument.name, key).versions) == 1
        assert result.digest == mortal.undisturbed(run, key)[0].digest
    failed = mortal.instance.get_run_by_id(counting.run_id)
    assert failed is not None
    assert failed.status is dg.DagsterRunStatus.FAILURE
    events = mortal.instance.all_logs(counting.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert any("process of this run is gone" in event.message for event in events)
