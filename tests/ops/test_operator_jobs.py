"""Operators and pipelines as jobs, with real sessions: what is kept, shown, counted, failed, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from toy_sessions import events_of, pipeline, toy_environ, write_pipeline, write_toys
from waiting import wait_until

from definitions import build_definitions
from resources import LauncherResource
from runstart.sessions import read_record, read_records, send_command
from runstart.sessions.folders import find_session_folders
from runstart.sessions.labels import SESSION_LABEL
from runstart.storage import FileStore

MADE, SEEN = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION
ROW = dg.AssetKey(["pipelines", "row"])
SHOWER = dg.AssetKey(["pipelines", "row", "shower"])


class House:
    """A deployment of its own with toy operators, and a Dagster instance."""

    def __init__(self, place: Path, instance: dg.DagsterInstance) -> None:
        folder = write_toys(place / "operators")
        write_pipeline(folder, "row", pipeline([("counter", {}), ("shower", {})]))
        write_pipeline(folder, "endless", pipeline([("idler", {}), ("shower", {})]))
        self.definitions = build_definitions(toy_environ(folder, place))
        self.store = FileStore(place / "store")
        self.instance = instance

    def run(self, job: str, config: Mapping[str, Any]) -> dg.ExecuteInProcessResult:
        """Launch a job as the Launchpad would."""
        resolved = self.definitions.resolve_job_def(job)
        return resolved.execute_in_process(run_config=config, instance=self.instance, raise_on_error=False)

    def told(self, run_id: str, kind: dg.DagsterEventType, key: dg.AssetKey) -> list[Any]:
        """Return what a run has told of an asset."""
        return [event for event in events_of(self.instance, run_id, kind) if event.asset_key == key]

    def lines(self, run_id: str) -> list[str]:
        """Return the run's log."""
        return [entry.user_message for entry in self.instance.all_logs(run_id) if not entry.is_dagster_event]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with dg.instance_for_test() as instance:
        made = House(tmp_path, instance)
        yield made
        sessions = {record.session_id for record in read_records(made.store)}
        launcher = LauncherResource().open()
        assert not [task for task in launcher.list({}) if task.labels.get(SESSION_LABEL) in sessions]
        assert not sessions & {folder.session_id for folder in find_session_folders()}


def test_a_pipeline_is_a_session_whose_end_and_outputs_are_on_its_pages(house: House) -> None:
    result = house.run("pipeline_row", {"operators": {"counter": {"messages": 5}, "shower": {"keep": True}}})
    assert result.success
    session = result.output_for_node("run_pipeline_row")
    found = house.instance.get_run_by_id(result.run_id)
    assert found is not None
    assert found.tags["runstart/session"] == session
    record = read_record(house.store, session)
    assert (record.run_id, record.state) == (result.run_id, "finished")
    *kept, last = house.told(result.run_id, MADE, SHOWER)
    assert [each.metadata["number"].value for each in kept] == [0, 1, 2, 3, 4]
    assert kept[0].metadata["picture"].value.startswith("![")
    assert house.store.get(kept[2].metadata["object"].value).data.startswith(b"\x89PNG")
    assert last.metadata["received"].value == 5
    (whole,) = house.told(result.run_id, MADE, ROW)
    assert (whole.metadata["lost"].value, whole.metadata["dead_letters"].value) == (0, 0)
    assert [row.data["received"] for row in whole.metadata["operators"].records] == ["0", "5"]
    assert "data:image/svg+xml;base64," in whole.metadata["graph"].value
    assert any("shower" in line and "queue" in line for line in house.lines(result.run_id))


def test_a_message_that_breaks_an_operator_is_counted_and_the_session_goes_on(house: House) -> None:
    result = house.run("pipeline_row", {"operators": {"shower": {"breaks_on": 2}}})
    (whole,) = house.told(result.run_id, MADE, ROW)
    assert (whole.metadata["dead_letters"].value, whole.metadata["lost"].value) == (1, 0)
    assert house.store.list(f"sessions/{result.output_for_node('run_pipeline_row')}/dead_letters/shower/")


def test_a_wrong_value_is_an_alert_that_names_operator_and_parameter_and_is_not_retried(house: House) -> None:
    result = house.run("pipeline_row", {"operators": {"counter": {"messages": -1}}})
    assert not result.success
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    said = failure.step_failure_data.user_failure_data.description
    assert "counter" in said
    assert "messages" in said
    assert not result.filter_events(lambda event: event.is_step_up_for_retry)


def test_a_session_that_runs_is_observed_and_ends_when_it_is_told_to(house: House) -> None:
    ended: list[dg.ExecuteInProcessResult] = []
    thread = threading.Thread(target=lambda: ended.append(house.run("pipeline_endless", {})))
    thread.start()
    key = dg.AssetKey(["pipelines", "endless"])
    wait_until(lambda: house.instance.fetch_observations(key, limit=1).records, "an observation", 30)
    (record,) = read_records(house.store)
    assert send_command(house.store, record.session_id, {"command": "stop"})["status"] == "ok"
    thread.join(30)
    (result,) = ended
    assert result.success
    (seen, *_) = house.told(result.run_id, SEEN, key)
    assert [row.data["operator"] for row in seen.metadata["operators"].records] == ["idler", "shower"]
    (whole,) = house.told(result.run_id, MADE, key)
    assert whole.metadata["outcome"].value == "stopped"


def test_a_session_over_its_time_limit_fails_and_leaves_nothing(house: House) -> None:
    result = house.run("pipeline_endless", {"time_limit_s": 0.5})
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    assert "time limit" in failure.step_failure_data.user_failure_data.description
    (record,) = read_records(house.store)
    assert record.state == "failed"


def test_terminating_the_run_stops_the_session_and_leaves_nothing(house: House) -> None:
    def terminate() -> None:
        wait_until(
            lambda: [r for r in read_records(house.store) if r.state == "running"], "a session that runs", 30
        )
        os.kill(os.getpid(), signal.SIGINT)  # what Dagster's launcher sends to a run's process

    thread = threading.Thread(target=terminate)
    thread.start()
    result = house.run("pipeline_endless", {})
    thread.join()
    assert not result.success
    (record,) = read_records(house.store)
    assert record.state == "stopped"


@pytest.mark.faults
def test_after_kill_9_of_the_run_one_tick_removes_what_it_left(house: House, tmp_path: Path) -> None:
    code = f"from toy_sessions import run_job; run_job({str(tmp_path)!r}, 'pipeline_endless')"
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environ, stderr=subprocess.DEVNULL) as worker:
        try:
            wait_until(
                lambda: [r for r in read_records(house.store) if r.state == "running"], "a session that runs", 40
            )
        finally:
            worker.kill()
    (record,) = read_records(house.store)
    assert record.session_id in {folder.session_id for folder in find_session_folders()}, "nobody removed it"
    sensor = house.definitions.get_repository_def().get_sensor_def("clean_up_sessions")
    with dg.build_sensor_context(
        instance=house.instance, resources=dict(house.definitions.resources or {})
    ) as context:
        told = sensor.evaluate_tick(context).skip_message or ""
    assert record.session_id in told
    assert "the process that ran it has died" in told
    assert read_record(house.store, record.session_id).state == "failed"


def test_an_operator_alone_gets_files_and_what_it_puts_out_is_kept(house: House, tmp_path: Path) -> None:
    paths = []
    for name in ("a.txt", "b.txt"):
        path = tmp_path / name
        path.write_text(name)
        paths.append(str(path))
    result = house.run("operator_shower", {"files": paths, "keep": True})
    assert result.success
    key = dg.AssetKey(["operators", "shower"])
    *kept, last = house.told(result.run_id, MADE, key)
    assert len(kept) == 2
    assert last.metadata["picture"].value.startswith("![")
    result = house.run("operator_counter", {"messages": 2})
    assert result.success
    *kept, _ = house.told(result.run_id, MADE, dg.AssetKey(["operators", "counter"]))
    assert [house.store.get(each.metadata["object"].value).data for each in kept] == [b"1", b"2"]


def test_an_operator_alone_that_needs_files_asks_for_them(house: House) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="files"):
        house.run("operator_shower", {})
