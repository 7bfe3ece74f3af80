"""The loops of the controller, on an API server in memory; a real one is in `tests/k8s`."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from instrument_tables import make_resource, make_table
from waiting import wait_until

from runstart.errors import Alert, Transient
from runstart.instrument_resources import controller as module
from runstart.instrument_resources.api import Change, Rollout
from runstart.instrument_resources.controller import Controller, Surroundings
from runstart.instrument_resources.names import TEXT_KEY
from runstart.instrument_resources.pulse import Pulse
from runstart.instrument_resources.resource import Resource

SURROUNDINGS = Surroundings(None, {"RUNSTART_KAFKA": "localhost:9092"}, None)


class Memory:
    """An API server in memory; `troubles` are raised, one an answer."""

    def __init__(self, *resources: Resource, troubles: Mapping[str, list[Exception]] | None = None) -> None:
        self.resources = list(resources)
        self.troubles = dict(troubles or {})
        self.data: dict[str, str] = {}
        self.rollout = Rollout("", done=True)
        self.writes: list[str] = []
        self.statuses: dict[str, dict[str, Any]] = {}

    def list_resources(self) -> tuple[dict[str, Resource], str]:
        self._fail("list")
        return {resource.uid: resource for resource in self.resources}, "1"

    def watch_resources(self, version: str) -> Iterator[Change]:
        threading.Event().wait(0.05)
        yield Change(version, "BOOKMARK")

    def read_config_map(self) -> tuple[dict[str, str], str]:
        self._fail("config map")
        return dict(self.data), "1"

    def write_config_map(self, data: Mapping[str, str], version: str) -> None:
        self.writes.append("config map")
        self.data = dict(data)

    def read_rollout(self) -> Rollout:
        return self.rollout

    def roll(self, digest: str) -> None:
        self.writes.append("deployment")
        self.rollout = Rollout(digest, done=True)

    def write_status(self, resource: Resource, status: Mapping[str, Any]) -> bool:
        self._fail("status")
        self.statuses[resource.instrument] = dict(status)
        return True

    def reason(self, instrument: str) -> str:
        (condition,) = self.statuses.get(instrument, {"conditions": [{"reason": ""}]})["conditions"]
        return str(condition["reason"])

    def _fail(self, question: str) -> None:
        if self.troubles.get(question):
            raise self.troubles[question].pop(0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SETTLE_SECONDS", "AGAIN_SECONDS", "REPORT_SECONDS", "LONGEST_PAUSE"):
        monkeypatch.setattr(module, name, 0.02)


class Running:
    """A controller in a thread."""

    def __init__(self, memory: Memory) -> None:
        self.stop = threading.Event()
        self.error: Exception | None = None
        self.controller = Controller(memory, SURROUNDINGS, Pulse())  # type: ignore[arg-type]
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def _run(self) -> None:
        try:
            self.controller.run(self.stop)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error


def test_the_text_is_written_and_the_code_location_rolled_once() -> None:
    memory = Memory(make_resource("SANS"), make_resource("LOQ", grace=-1))
    with Running(memory):
        wait_until(lambda: (memory.reason("SANS"), memory.reason("LOQ")) == ("InForce", "Invalid"), "statuses")
    assert memory.writes == ["config map", "deployment"]
    assert tomllib.loads(memory.data[TEXT_KEY])["instruments"] == {"SANS": make_table()}


def test_a_controller_that_died_between_two_writes_goes_on_where_it_was() -> None:
    memory = Memory(make_resource("SANS"))
    with Running(memory):
        wait_until(lambda: memory.reason("SANS") == "InForce", "the status")
    memory.writes.clear()
    memory.rollout = Rollout("", done=True)
    with Running(memory):
        wait_until(lambda: memory.writes, "the code location rolled")
    assert memory.writes == ["deployment"]


def test_servers_that_are_away_are_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    away = [Transient("away")] * 2
    memory = Memory(make_resource("SANS"), troubles={"list": [*away], "config map": [*away], "status": [*away]})
    with Running(memory):
        wait_until(lambda: memory.reason("SANS") == "InForce", "the status")
    assert caplog.messages.count("watch: away") == 1
    assert "watch: works again" in caplog.messages


def test_what_keeps_all_resources_from_coming_into_force_is_in_their_status() -> None:
    memory = Memory(make_resource("SANS"), troubles={"config map": [Alert("No config map.", "Apply it.")] * 10_000})
    with Running(memory):
        wait_until(lambda: memory.reason("SANS") == "Blocked", "the status")
        assert "No config map. Apply it." in memory.statuses["SANS"]["conditions"][0]["message"]
        memory.troubles.clear()
        wait_until(lambda: memory.reason("SANS") == "InForce", "the status")


def test_what_others_change_in_the_config_map_is_undone() -> None:
    memory = Memory(make_resource("SANS"))
    with Running(memory):
        wait_until(lambda: memory.reason("SANS") == "InForce", "the status")
        text = memory.data[TEXT_KEY]
        memory.data = {TEXT_KEY: "", "origins.json": "{}"}
        wait_until(lambda: memory.data.get(TEXT_KEY) == text, "the text")
    assert memory.writes.count("deployment") == 1


def test_a_bug_ends_the_controller() -> None:
    with Running(Memory(troubles={"list": [ZeroDivisionError()]})) as running:
        running.thread.join(20)
        assert isinstance(running.error, ZeroDivisionError)
