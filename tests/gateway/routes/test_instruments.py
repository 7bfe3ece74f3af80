from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from facility_gateway import open_facility
from gateway_kit import FakeDagster, bearer, run_gateway
from live_page_kit import ScriptedRun, simulated_instruments

from gateway.tokens import Scope
from runstart.alerts import Condition, Policy, Sighting, judge, show_known
from runstart.storage import FileStore

TOPICS = ("run/SIMSANS", "instrument/SIMSANS", "instrument/SANS2D", "microscope/SIMSTEM", "site/SIMOBS")
SIMSANS = simulated_instruments("SIMSANS")["SIMSANS"]


@pytest.fixture
def live(file_store: FileStore) -> ScriptedRun:
    """A run that has told its figures once."""
    run = ScriptedRun(file_store, SIMSANS, age_s=60)
    run.take()
    run.tell()
    return run


def path_of(run: ScriptedRun, part: str = "") -> str:
    return f"/api/instruments/{run.instrument.name}/runs/{run.key}{part}"


def glance(client: httpx.Client, name: str = "SIMSANS") -> dict[str, Any]:
    answer = client.get("/api/instruments/")
    assert answer.status_code == 200, answer.text
    return {each["name"]: each for each in answer.json()}[name]


def test_all_instruments_are_told_at_a_glance(file_store: FileStore, live: ScriptedRun) -> None:
    with open_facility(file_store) as client:
        running, idle = glance(client), glance(client, "SANS2D")
    assert (running["state"], running["run"], running["run_name"]) == ("running", live.key, live.name)
    assert (running["events"], running["lag_seconds"], running["alerts"]) == (live.events, 0.8, 0)
    assert (idle["state"], idle["run"], idle["alert"]) == ("idle", None, None)


def test_what_is_wrong_is_told_whether_the_run_or_the_alerts_sensor_found_it(
    file_store: FileStore, live: ScriptedRun
) -> None:
    live.changes = {"lag_seconds": 90.0}
    live.tell()
    failed = Condition("failed_run", "SANS2D", "run7", "SANS2D run7: its Dagster run failed.", time.time())
    show_known(file_store, judge({}, Sighting((failed,)), time.time(), Policy())[0])
    with open_facility(file_store) as client:
        assert "90 s behind" in glance(client)["alert"]["text"]
        assert glance(client, "SANS2D")["alert"]["kind"] == "failed_run"


def test_a_run_whose_process_was_killed_is_silent_and_not_running(file_store: FileStore, live: ScriptedRun) -> None:
    live.changes = {"written_at": time.time() - 45}
    live.tell()
    with open_facility(file_store) as client:
        assert glance(client)["state"] == "silent"
        assert client.get("/api/instruments/SIMSANS/current").json()["state"] == "silent"


def test_a_finished_run_is_told_with_its_result(file_store: FileStore, live: ScriptedRun) -> None:
    live.finish()
    with open_facility(file_store) as client:
        told = client.get("/api/instruments/SIMSANS/current").json()
        assert (told["state"], told["run"], told["status"], told["stop_reason"]) == (
            "finished",
            live.key,
            None,
            "RunStop",
        )
        assert told["ledger"] == live.ledger()
        views = client.get(path_of(live, "/views")).json()
        assert views["stop_time"] is not None
        assert client.get(path_of(live, "/ledger")).json() == live.ledger()
        assert client.get("/api/instruments/SIMSANS/runs/").json() == [{"run": live.key, "is_live": False}]


def test_views_are_the_arrays_of_the_run(file_store: FileStore, live: ScriptedRun) -> None:
    with open_facility(file_store) as client:
        answer = client.get(path_of(live, "/views"))
    views = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert sum(views["tof"]["counts"]) == live.events
    assert sum(bank["total"] for bank in views["banks"]) == live.events
    assert [log["name"] for log in views["logs"]] == ["field", "rotation", "shutter", "temperature"]


def test_a_browser_that_has_the_newest_views_is_not_sent_them_again(
    file_store: FileStore, live: ScriptedRun
) -> None:
    with open_facility(file_store) as client:
        etag = client.get(path_of(live, "/views")).headers["etag"]
        same = client.get(path_of(live, "/views"), headers={"If-None-Match": etag})
        assert (same.status_code, same.content) == (304, b"")
        live.take()
        live.tell()
        assert client.get(path_of(live, "/views"), headers={"If-None-Match": etag}).status_code == 200


def test_views_are_compressed_for_those_who_take_that(file_store: FileStore, live: ScriptedRun) -> None:
    for _ in range(100):
        live.take()
    live.tell()
    with open_facility(file_store) as client:
        packed, plain, bare = (
            client.get(path_of(live, "/views"), headers={"Accept-Encoding": accepted})
            for accepted in ("br;q=1.0, gzip;q=0.8", "gzip;q=0, identity", "")
        )
    assert [answer.headers.get("content-encoding") for answer in (packed, plain, bare)] == ["gzip", None, None]
    assert packed.json() == plain.json() == bare.json()
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.num_bytes_downloaded < 50_000 < plain.num_bytes_downloaded


def test_pictures_are_png_and_nothing_else_to_a_browser(file_store: FileStore, live: ScriptedRun) -> None:
    live.draw()
    with open_facility(file_store) as client:
        answer = client.get(path_of(live, "/pictures/overview.png"))
    assert answer.content.startswith(b"\x89PNG")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/instruments/NOBODY/runs/",
        "/api/instruments/SIMSANS/current",
        "/api/instruments/SIMSANS/runs/..%2F..%2Fgateway",
        "/api/instruments/SIMSANS/runs/..",
        "/api/instruments/SIMSANS/runs/%2e%2e/views",
        "/api/instruments/..%2Fx/runs/",
        "/api/instruments/SIMSANS/runs/nothing/views",
        "/api/instruments/SIMSANS/runs/nothing/pictures/overview.png",
        "/api/instruments/SIMSANS/runs/nothing/pictures/..%2Fviews.json",
        "/api/instruments/SIMSANS/runs/a%00b",
        "/api/instruments/SIMSANS/runs/" + "a" * 400,
    ],
)
def test_what_is_not_there_is_not_found_whatever_it_is_called(file_store: FileStore, path: str) -> None:
    with open_facility(file_store) as client:
        answer = client.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"error"}


def test_a_picture_that_is_no_png_by_its_name_is_never_given(file_store: FileStore, live: ScriptedRun) -> None:
    with open_facility(file_store) as client:
        for name in ("views.json", "status.json", "..%2Frun_start.json", "overview.png%00", "a/b.png"):
            assert client.get(path_of(live, f"/pictures/{name}")).status_code == 404


def test_a_status_that_cannot_be_understood_hides_no_other_instrument(
    file_store: FileStore, live: ScriptedRun
) -> None:
    file_store.put("live_status/SANS2D/run1.json", b"{")
    with open_facility(file_store) as client:
        assert glance(client)["state"] == "running"
        assert glance(client, "SANS2D")["state"] == "idle"


def test_who_has_no_token_is_told_nothing_where_reading_is_not_open(
    file_store: FileStore, live: ScriptedRun
) -> None:
    with open_facility(file_store, open_reading=False) as client:
        for path in ("/api/instruments/", "/api/events", path_of(live), path_of(live, "/views")):
            assert client.get(path).status_code == 401
        good = client.get("/api/instruments/", headers=bearer(file_store))
        assert good.status_code == 200
        wrong = client.get("/api/instruments/", headers={"Authorization": "Bearer runstart_" + "a" * 43})
        assert wrong.status_code == 401


def test_open_reading_opens_nothing_but_reading(file_store: FileStore, live: ScriptedRun) -> None:
    with open_facility(file_store) as client:
        assert client.post(path_of(live, "/reductions")).status_code == 401


def test_a_page_whose_name_means_this_machine_reads_nothing_without_a_token(
    file_store: FileStore, live: ScriptedRun
) -> None:
    with open_facility(file_store) as client:
        for host in ("127.0.0.1", "localhost:8080", "[::1]:8080"):
            assert client.get(path_of(live), headers={"Host": host}).status_code == 200
        refused = client.get(path_of(live), headers={"Host": "rebound.example.org"})
        assert refused.status_code == 401
        assert "by number" in refused.json()["error"]
        named = {"Host": "rebound.example.org", **bearer(file_store)}
        assert client.get(path_of(live), headers=named).status_code == 200


def test_a_token_reads_the_instruments_of_its_patterns_alone(file_store: FileStore, live: ScriptedRun) -> None:
    headers = bearer(file_store, reads=("instrument/SANS2D",))
    with open_facility(file_store, open_reading=False, headers=headers) as client:
        assert [each["name"] for each in client.get("/api/instruments/").json()] == ["SANS2D"]
        assert client.get(path_of(live)).status_code == 404
        assert client.get("/api/events?instrument=SIMSANS").status_code == 404
        assert client.get("/api/scans/").json() == []
        with client.stream("GET", "/api/events") as stream:
            first = next(event for event in events(stream) if event["event"] != "beat")
        assert (first["event"], first["data"]["name"]) == ("instrument", "SANS2D")


def test_the_stream_tells_a_run_as_it_counts(file_store: FileStore, live: ScriptedRun) -> None:
    with open_facility(file_store) as client, client.stream("GET", "/api/events?instrument=SIMSANS") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = events(stream)
        first = next(event for event in told if event["event"] == "run")
        assert first["data"]["status"]["events_in_views"] == live.events
        live.take()
        live.tell()
        second = next(event for event in told if event["event"] == "run")
        assert second["data"]["status"]["events_in_views"] == live.events
        live.finish()
        assert next(event for event in told if event["event"] == "run")["data"] is None


def test_who_comes_back_to_the_stream_is_told_what_is_new_alone(file_store: FileStore, live: ScriptedRun) -> None:
    path = "/api/events?instrument=SIMSANS"
    with open_facility(file_store) as client:
        with client.stream("GET", path) as stream:
            seen = next(
                event["id"]
                for event in events(stream)
                if all(f"{topic}=" in event.get("id", "") for topic in TOPICS)
            )
        live.take()
        live.tell()
    with open_facility(file_store) as client, client.stream("GET", path, headers={"Last-Event-ID": seen}) as stream:
        told = [event for event in first_seconds(events(stream)) if event["event"] != "beat"]
    assert {event["event"] for event in told} == {"run", "instrument"}
    assert [event["data"]["name"] for event in told if event["event"] == "instrument"] == ["SIMSANS"]


def test_a_gateway_that_is_told_to_end_ends_its_streams(file_store: FileStore, tmp_path: Path) -> None:
    environ = {"RUNSTART_OBJECT_STORE": f"file:{file_store.root}", "RUNSTART_GATEWAY_OPEN_READING": "1"}
    with (
        run_gateway(tmp_path / "gateway", environ) as running,
        httpx.Client(trust_env=False, timeout=60) as client,
        client.stream("GET", f"{running.url}/api/events") as stream,
    ):
        next(events(stream))
        began = time.monotonic()
        running.process.terminate()
        assert running.process.wait(60) in (0, -signal.SIGTERM)
        assert time.monotonic() - began < 8, "it need not wait for who listens"


def test_a_run_is_reduced_again_once_however_often_it_is_asked(file_store: FileStore, live: ScriptedRun) -> None:
    dagster = FakeDagster()
    live.finish()
    headers = {**bearer(file_store, Scope.LAUNCH), "Idempotency-Key": "again-1"}
    with open_facility(file_store, dagster, headers=headers) as client:
        answers = [client.post(path_of(live, "/reductions")) for _ in range(3)]
        listed = client.get(path_of(live, "/reductions")).json()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    (run,) = dagster.runs
    assert run["jobName"] == "live_reduction_SIMSANS"
    assert {"key": "dagster/partition", "value": live.key} in run["tags"]
    assert [(each["run_id"], each["partition"]) for each in listed] == [(run["runId"], live.key)]


def test_dagster_away_is_told_at_once_and_reading_goes_on(file_store: FileStore, live: ScriptedRun) -> None:
    with open_facility(file_store, FakeDagster(is_away=True), headers=bearer(file_store, Scope.LAUNCH)) as client:
        answer = client.post(path_of(live, "/reductions"))
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert glance(client)["state"] == "running"


def events(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream."""
    fields: dict[str, Any] = {}
    for line in stream.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = json.loads(value) if name == "data" else value
        elif fields:
            yield fields
            fields = {}


def first_seconds(told: Iterator[dict[str, Any]], seconds: float = 3.0) -> Iterator[dict[str, Any]]:
    """Yield events until the first beat after some seconds."""
    ends_at = time.monotonic() + seconds
    for event in told:
        yield event
        if event["event"] == "beat" and time.monotonic() > ends_at:
            return
