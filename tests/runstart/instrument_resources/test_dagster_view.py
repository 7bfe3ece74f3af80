from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from runstart.errors import Transient
from runstart.instrument_resources.dagster_view import DagsterView, RunView, SensorView, ask_dagster


@dg.job
def reduce_sans() -> None:
    """Do nothing."""


@dg.sensor(job=reduce_sans, default_status=dg.DefaultSensorStatus.RUNNING)
def run_starts() -> dg.SkipReason:
    return dg.SkipReason("nothing")


@dg.sensor(job=reduce_sans)
def run_starts_other() -> dg.SkipReason:
    return dg.SkipReason("nothing")


definitions = dg.Definitions(jobs=[reduce_sans], sensors=[run_starts, run_starts_other])


def test_sensors_and_newest_runs_are_understood(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for key in ("old", "new"):
            tags = {"runstart/instrument": "SANS", "runstart/run_name": f"run {key}", "dagster/partition": key}
            newest = reduce_sans.execute_in_process(instance=instance, tags=tags).run_id
        origin = LoadableTargetOrigin(python_file=__file__, attribute="definitions")
        with in_process_test_workspace(instance, origin) as context, serving(context) as url:
            view = ask_dagster(url, ["SANS", "LOQ"])
            assert ask_dagster(url, []).runs == {}
    assert view.sensors == {"run_starts": SensorView(True), "run_starts_other": SensorView(False)}
    assert view.runs == {"SANS": RunView(newest, "SUCCESS", "new", "run new")}
    assert view.load_error == ""


def test_a_failed_tick_and_a_code_location_that_does_not_load_are_told() -> None:
    tick = {"status": "FAILURE", "error": {"message": "no broker"}}
    sensor = {"name": "run_starts", "sensorState": {"status": "RUNNING", "ticks": [tick]}}
    locations = [
        {"locationOrLoadError": {"repositories": [{"sensors": [sensor]}]}},
        {"locationOrLoadError": {"message": "bad"}},
    ]
    with answering({"data": {"workspaceOrError": {"locationEntries": locations}}}) as url:
        assert ask_dagster(url, []) == DagsterView({"run_starts": SensorView(True, "no broker")}, {}, "bad")


@pytest.mark.parametrize(
    "answer", [{"errors": ["no"]}, {"data": None}, [], {"data": {"workspaceOrError": {}}}], ids=str
)
def test_an_answer_that_is_none_passes(answer: Any) -> None:
    with answering(answer) as url, pytest.raises(Transient, match="does not answer"):
        ask_dagster(url, [])


def test_no_webserver_passes() -> None:
    with pytest.raises(Transient, match="does not answer"):
        ask_dagster("http://127.0.0.1:9", [])


def serving(context: Any) -> Any:
    def answer(asked: dict[str, Any]) -> Any:
        found = execute_dagster_graphql(context, asked["query"], asked["variables"])
        return {"data": found.data, "errors": found.errors}

    return answering(answer)


@contextmanager
def answering(answer: Any) -> Iterator[str]:
    """A server that gives to each question the answer, or what it returns."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answer(asked) if callable(answer) else answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
