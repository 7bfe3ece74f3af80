from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from dagster_kit import DagsterFacility, small_instrument
from scripted_stream import ScriptedRun, publish
from waiting import wait_until

import sensors.run_starts
from runstart.facility import Broker
from runstart.live import name_partition

pytestmark = pytest.mark.broker


@pytest.fixture(autouse=True)
def _short_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors.run_starts, "POLL_SECONDS", 1.0)


def _announce(facility: DagsterFacility, *runs: ScriptedRun) -> None:
    for run in runs:
        publish(facility.bootstrap_servers, run.instrument.topics.run_info, [(run.start_payload(), 0)])


def _key(run: ScriptedRun) -> str:
    return name_partition(run.name, run.start_ms)


def test_a_run_start_becomes_a_partition_and_a_live_run_request(facility: DagsterFacility, instrument: str) -> None:
    topic = facility.instruments[instrument].topics.run_info
    publish(facility.bootstrap_servers, topic, [])
    with facility.sensor() as tick:
        assert tick().run_requests == []
        run = facility.new_run(instrument)
        _announce(facility, run)
        (request,) = tick().run_requests or ()
        assert request.job_name == f"live_reduction_{instrument}"
        assert request.partition_key == _key(run)
        assert request.run_key == f"{instrument}:{_key(run)}"
        wanted = {"runstart/kind": "live", "dagster/priority": "100", "runstart/instrument": instrument}
        assert wanted.items() <= request.tags.items()
        assert list(facility.partition_keys(instrument)) == [_key(run)]
        again = tick()
        assert again.run_requests == []
        assert again.skip_message is not None
        assert again.skip_message.startswith("No RunStart to launch among 0 new messages")


def test_of_a_backlog_the_newest_is_launched_and_the_others_are_partitions(
    facility: DagsterFacility, instrument: str
) -> None:
    runs = [ScriptedRun(facility.instruments[instrument], str(n), 1_700_000_000_000 + n) for n in range(5)]
    _announce(facility, *runs)
    with facility.sensor() as tick:
        requests = tick().run_requests or []
        assert [request.partition_key for request in requests] == [_key(runs[-1])]
        assert sorted(facility.partition_keys(instrument)) == sorted(map(_key, runs))


def test_of_two_runs_in_one_tick_the_older_has_no_priority(facility: DagsterFacility, instrument: str) -> None:
    publish(facility.bootstrap_servers, facility.instruments[instrument].topics.run_info, [])
    with facility.sensor() as tick:
        tick()
        runs = [ScriptedRun(facility.instruments[instrument], str(n), 1_700_000_000_000 + n) for n in range(2)]
        payloads = [(run.start_payload(), 0) for run in runs]
        publish(facility.bootstrap_servers, runs[0].instrument.topics.run_info, payloads)
        requests = {}
        while len(requests) < 2:
            found = tick().run_requests or []
            assert found
            requests |= {request.partition_key: request.tags for request in found}
            if len(found) == 1:
                pytest.skip("the broker gave the messages one by one")
        kinds = [requests[_key(run)]["runstart/kind"] for run in runs]
        assert kinds == ["batch", "live"]


def test_what_cannot_be_a_run_is_told_and_stops_nothing(facility: DagsterFacility, instrument: str) -> None:
    declared = facility.instruments[instrument]
    publish(facility.bootstrap_servers, declared.topics.run_info, [])
    with facility.sensor() as tick:
        tick()
        publish(facility.bootstrap_servers, declared.topics.run_info, [(b"rubbish", 0)])
        _announce(
            facility, ScriptedRun(declared, "far future", 4_000_000_000_000), ScriptedRun(declared, "1970", 5)
        )
        data = tick()
        while "unreadable" not in (data.skip_message or "") or "2 refused" not in (data.skip_message or ""):
            assert not data.run_requests
            data = tick()
        assert "1 unreadable messages and 2 refused RunStarts so far" in (data.skip_message or "")
        good = facility.new_run(instrument, "../../etc/passwd")
        _announce(facility, good)
        (request,) = tick().run_requests or ()
        assert request.partition_key == _key(good)
        assert "/" not in request.partition_key
    assert facility.store.list("unreadable/") != []


@pytest.mark.faults
def test_an_absent_broker_is_a_skip_with_the_reason_and_no_run_is_lost(
    own_broker: Broker,
    store_place: Callable[[], tuple[str, Mapping[str, str]]],
    tmp_path: Path,
    new_name: Callable[[], str],
) -> None:
    name = new_name()
    servers = own_broker.bootstrap_servers
    with DagsterFacility(tmp_path / "facility", small_instrument(name), servers, *store_place()) as facility:
        first, second = facility.new_run(name, "first"), facility.new_run(name, "second")
        _announce(facility, first)
        with facility.sensor() as tick:
            before = tick()
            assert len(before.run_requests or ()) == 1
            own_broker.stop()
            for _ in range(2):
                absent = tick()
                assert absent.run_requests == []
                assert "The cursor stays where it is" in (absent.skip_message or "")
                assert absent.cursor == before.cursor
            wait_until(_no_client_lives, "the end of the clients that could not connect", 10)
            own_broker.start()
            _announce(facility, second)
            (request,) = tick().run_requests or ()
            assert request.partition_key == _key(second)


def _no_client_lives() -> bool:
    return not any(thread.name.startswith("kafka-io") for thread in threading.enumerate())
