"""Requests for probe sessions: each launched once, and the wrong ones told once, kept, and in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ops import define_probe_job
from resources import ObjectStoreResource
from runstart.probe_sessions.requests import read_requests, write_request
from runstart.storage import ObjectStore
from sensors import define_session_requests_sensor
from sensors.session_requests import MOST_REQUESTS


class Ticks:
    """The sensor, with its cursor from tick to tick, and runs that come of what it asks for."""

    def __init__(self, instance: dg.DagsterInstance, resource: ObjectStoreResource) -> None:
        self.instance, self._resource = instance, resource
        self._job = define_probe_job()
        self._sensor = define_session_requests_sensor(self._job)
        self._cursor: str | None = None

    def tick(self) -> tuple[list[dg.RunRequest], str]:
        """Return what is asked for, and the skip message."""
        with dg.build_sensor_context(
            instance=self.instance, cursor=self._cursor, resources={"object_store": self._resource}
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self._cursor = data.cursor
        return list(data.run_requests or []), data.skip_message or ""

    def launch(self, request: dg.RunRequest) -> None:
        """Make the run, as the daemon does."""
        dg.validate_run_config(self._job, request.run_config)
        self.instance.add_run(dg.DagsterRun(job_name=str(request.job_name), tags=dict(request.tags)))


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStoreResource(url=f"file:{tmp_path}").open()


@pytest.fixture
def ticks(tmp_path: Path) -> Iterator[Ticks]:
    with dg.instance_for_test() as instance:
        yield Ticks(instance, ObjectStoreResource(url=f"file:{tmp_path}"))


def test_a_request_becomes_a_run_and_goes_when_the_run_is_there(ticks: Ticks, store: ObjectStore) -> None:
    write_request(store, 12, plain_stream=False, name="mine")
    (request,), _ = ticks.tick()
    assert (request.job_name, request.run_config) == ("probe_session", {"count": 12, "plain_stream": False})
    (again,), _ = ticks.tick()
    assert again.run_key == request.run_key, "a tick that died before its run was there loses nothing"
    ticks.launch(request)
    assert ticks.tick() == ([], "There are no new requests.")
    assert read_requests(store) == []


def test_a_request_that_is_written_anew_is_another_one(ticks: Ticks, store: ObjectStore) -> None:
    write_request(store, 12, plain_stream=True, name="mine")
    (first,), _ = ticks.tick()
    ticks.launch(first)
    write_request(store, 13, plain_stream=True, name="mine")
    (second,), _ = ticks.tick()
    assert second.run_key != first.run_key
    assert second.run_config["count"] == 13


def test_a_wrong_request_is_refused_with_the_reason_kept_and_stops_no_other(
    ticks: Ticks, store: ObjectStore
) -> None:
    store.put("session_requests/bad.json", b'{"count": "many"}')
    store.put("session_requests/worse.json", b"{")
    write_request(store, 1, plain_stream=True, name="good")
    (request,), _ = ticks.tick()
    ticks.launch(request)
    requests, said = ticks.tick()
    assert requests == []
    assert "bad: A probe session cannot send" in said
    assert "worse: The request is not JSON" in said
    assert store.list("session_requests/") == ["session_requests/bad.json", "session_requests/worse.json"]


def test_many_requests_are_launched_tick_by_tick(ticks: Ticks, store: ObjectStore) -> None:
    for number in range(MOST_REQUESTS + 5):
        write_request(store, 1, plain_stream=True, name=f"r{number:03d}")
    first, _ = ticks.tick()
    assert len(first) == MOST_REQUESTS
    for request in first:
        ticks.launch(request)
    second, _ = ticks.tick()
    assert len(second) == 5
    assert not {each.run_key for each in first} & {each.run_key for each in second}
