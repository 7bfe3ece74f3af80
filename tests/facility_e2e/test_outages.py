"""Broker or store may stay away, and two runs may want one partition: the result is the undisturbed one, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from dagster_kit import DagsterFacility, small_instrument
from scripted_stream import PULSE_MS, check_against, make_messages, publish, recount
from waiting import let_pass, wait_until

from runstart.facility import Broker, S3Server
from runstart.live import read_head

pytestmark = [pytest.mark.broker, pytest.mark.faults]

OUTAGE_SECONDS = 10.0
STOP = 100 * PULSE_MS


@pytest.mark.timeout(180)
def test_a_broker_that_is_stopped_and_started_again_in_mid_run(
    own_broker: Broker,
    store_place: Callable[[], tuple[str, Mapping[str, str]]],
    tmp_path: Path,
    new_name: Callable[[], str],
) -> None:
    name = new_name()
    with DagsterFacility(
        tmp_path / "facility", small_instrument(name), own_broker.bootstrap_servers, *store_place()
    ) as facility:
        run = facility.new_run(name)
        key = facility.announce(run)
        messages = make_messages(run, range(120), partitions=(0, 1))
        topic = run.instrument.topics.events
        publish(
            own_broker.bootstrap_servers, topic, [(m.payload, m.partition) for m in messages[:60]], partitions=2
        )
        worker = facility.work(name, key)
        wait_until(lambda: read_head(facility.store, name, key).snapshots, "a snapshot")
        own_broker.stop()
        snapshots = read_head(facility.store, name, key).snapshots
        wait_until(
            lambda: read_head(facility.store, name, key).snapshots != snapshots, "a snapshot without the broker"
        )
        own_broker.start()
        publish(own_broker.bootstrap_servers, topic, [(m.payload, m.partition) for m in messages[60:]])
        facility.publish_stop(run, run.start_ms + STOP)
        worker.succeed(100)
        result = facility.result(name, key)
        check_against(recount(run, messages, run.start_ms + STOP), result, facility.product(result))
        assert result.digest == facility.undisturbed(run, key)[0].digest


@pytest.mark.timeout(120)
@pytest.mark.parametrize("in_the_end", [False, True], ids=["in mid-run", "when the result is due"])
def test_a_store_that_refuses_writes_for_ten_seconds(
    facility: DagsterFacility, instrument: str, in_the_end: bool
) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    messages = make_messages(run, range(120))
    topic = run.instrument.topics.events
    publish(facility.bootstrap_servers, topic, [(m.payload, 0) for m in messages[:60]])
    worker = facility.work(instrument, key)
    folder = worker.order.folder
    wait_until(lambda: read_head(facility.store, instrument, key).snapshots, "a snapshot")
    (folder / "outage").touch()
    publish(facility.bootstrap_servers, topic, [(m.payload, 0) for m in messages[60:]])
    if in_the_end:
        facility.publish_stop(run, run.start_ms + STOP)
    wait_until((folder / "refused").exists, "a write that is refused")
    let_pass(OUTAGE_SECONDS)
    assert worker.alive
    (folder / "outage").unlink()
    if not in_the_end:
        facility.publish_stop(run, run.start_ms + STOP)
    worker.succeed(90)
    result = facility.result(instrument, key)
    check_against(recount(run, messages, run.start_ms + STOP), result, facility.product(result))
    assert result.digest == facility.undisturbed(run, key)[0].digest


@pytest.mark.real
@pytest.mark.timeout(180)
def test_an_s3_server_that_is_killed_and_started_again_in_mid_run(
    broker: Broker, tmp_path: Path, new_name: Callable[[], str]
) -> None:
    name = new_name()
    with S3Server(tmp_path / "s3") as server:
        server.create_bucket("bucket")
        place = ("s3://bucket/prefix", server.environment)
        with DagsterFacility(
            tmp_path / "facility", small_instrument(name), broker.bootstrap_servers, *place
        ) as facility:
            run = facility.new_run(name)
            key = facility.announce(run)
            messages = make_messages(run, range(120))
            topic = run.instrument.topics.events
            publish(broker.bootstrap_servers, topic, [(m.payload, 0) for m in messages[:60]])
            worker = facility.work(name, key)
            wait_until(lambda: read_head(facility.store, name, key).snapshots, "a snapshot")
            server.kill()
            publish(broker.bootstrap_servers, topic, [(m.payload, 0) for m in messages[60:]])
            let_pass(OUTAGE_SECONDS)
            server.start()
            facility.publish_stop(run, run.start_ms + STOP)
            worker.succeed(100)
            result = facility.result(name, key)
            check_against(recount(run, messages, run.start_ms + STOP), result, facility.product(result))
            assert "A snapshot could not be written" in worker.log
            assert result.digest == facility.undisturbed(run, key)[0].digest


def test_of_two_runs_of_one_partition_exactly_one_publishes(facility: DagsterFacility, instrument: str) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    messages = make_messages(run, range(120))
    publish(facility.bootstrap_servers, run.instrument.topics.events, [(m.payload, 0) for m in messages])
    first = facility.work(instrument, key, lease_seconds=3.0)
    wait_until(lambda: read_head(facility.store, instrument, key).epoch == 1, "the first run's lease")
    second = facility.work(instrument, key, lease_seconds=3.0)
    assert not second.wait()
    assert f"Run {first.order.run_id} is reducing {key}" in second.log
    facility.publish_stop(run, run.start_ms + STOP)
    first.succeed()
    result = facility.result(instrument, key)
    check_against(recount(run, messages, run.start_ms + STOP), result, facility.product(result))
    (version,) = read_head(facility.store, instrument, key).versions
    assert version.run_id == first.order.run_id


def test_a_run_that_was_thought_dead_cannot_publish(facility: DagsterFacility, instrument: str) -> None:
    """It stands still, loses its lease to another, wakes up, and must find itself fenced off."""
    run = facility.new_run(instrument)
    key = facility.announce(run)
    messages = make_messages(run, range(120))
    publish(facility.bootstrap_servers, run.instrument.topics.events, [(m.payload, 0) for m in messages])
    first = facility.work(instrument, key, lease_seconds=2.0)
    wait_until(lambda: read_head(facility.store, instrument, key).snapshots, "a snapshot of the first run")
    first.suspend()
    second = facility.work(instrument, key, lease_seconds=2.0)
    wait_until(
        lambda: read_head(facility.store, instrument, key).run_id == second.order.run_id, "the other's lease"
    )
    first.resume()
    assert not first.wait()
    assert "LeaseLost" in first.log
    facility.publish_stop(run, run.start_ms + STOP)
    second.succeed()
    result = facility.result(instrument, key)
    check_against(recount(run, messages, run.start_ms + STOP), result, facility.product(result))
    (version,) = read_head(facility.store, instrument, key).versions
    assert version.run_id == second.order.run_id


@pytest.mark.real
def test_a_replay_of_data_that_the_broker_has_dropped_does_not_replace_the_result(
    facility: DagsterFacility, instrument: str, broker: Broker
) -> None:
    run = facility.new_run(instrument)
    key = facility.announce(run)
    messages = make_messages(run, range(120), partitions=(0, 1))
    topic = run.instrument.topics.events
    publish(broker.bootstrap_servers, topic, [(m.payload, m.partition) for m in messages], partitions=2)
    facility.publish_stop(run, run.start_ms + STOP)
    facility.work(instrument, key).succeed()
    good = facility.result(instrument, key)
    broker.delete_records(topic, 1, 20)
    replay = facility.work(instrument, key)
    replay.succeed()
    assert "covers less of the data" in replay.log
    head = read_head(facility.store, instrument, key)
    assert len(head.versions) == 2
    assert facility.result(instrument, key) == good
    assert head.versions[1].digest != good.digest
    assert (20, 60) in head.versions[1].read[1]
