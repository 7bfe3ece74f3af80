from __future__ import annotations

import threading
from typing import Any

import pytest
from facility_gateway import open_facility
from gateway_kit import FakeDagster, bearer
from waiting import wait_until

from gateway.tokens import Scope
from runstart.sessions.records import NodeRecord, SessionRecord, write_record
from runstart.storage import FileStore


def session_of(run: dict[str, Any]) -> str:
    return str(next(tag["value"] for tag in run["tags"] if tag["key"] == "runstart/session"))


def play(
    store: FileStore, dagster: FakeDagster, *programs: str, network: str = "network_0a1b2"
) -> threading.Thread:
    """Begin the session of the next run, as its job does."""

    def begin() -> None:
        run = wait_until(lambda: dagster.runs and dagster.runs[-1], "a run")
        details = {
            "count": run["config"]["count"],
            "stream_type": "plain" if run["config"]["plain_stream"] else "segmented",
        }
        nodes = tuple(NodeRecord(f"id-of-{program}", program, 0, 1.0) for program in programs)
        record = SessionRecord(
            session_of(run),
            "probe",
            "1000 messages",
            network=network,
            state="running",
            nodes=nodes,
            details=details,
        )
        write_record(store, record)

    thread = threading.Thread(target=begin)
    thread.start()
    return thread


def test_edgeecho_clients_get_the_answer_that_they_know(file_store: FileStore) -> None:
    dagster = FakeDagster()
    with open_facility(file_store, dagster, bearer(file_store, Scope.LAUNCH)) as client:
        begun = play(file_store, dagster, "probe", "streaming", "segmentation")
        answer = client.post("/post/", json={"count": 1000, "plain_stream": False})
        begun.join()
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "session_id": session_of(dagster.runs[0]),
        "network": "network_0a1b2",
        "probe": "id-of-probe",
        "stream": "id-of-streaming",
        "segmentation": "id-of-segmentation",
        "message_count": 1000,
        "stream_type": "segmented",
    }
    assert dagster.runs[0]["config"] == {"count": 1000, "plain_stream": False}


def test_a_plain_stream_has_no_segmentation(file_store: FileStore) -> None:
    dagster = FakeDagster()
    with open_facility(file_store, dagster, bearer(file_store, Scope.LAUNCH)) as client:
        begun = play(file_store, dagster, "probe", "streaming", network="")
        told = client.post("/post/", json={"count": 7, "plain_stream": True}).json()
        begun.join()
    assert (told["segmentation"], told["network"], told["stream_type"]) == (None, None, "plain")


def test_what_takes_long_is_null_in_the_answer_and_told_later(
    file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.routes.probe_sessions.PATIENCE_S", 0.1)
    dagster = FakeDagster()
    with open_facility(file_store, dagster, bearer(file_store, Scope.LAUNCH)) as client:
        told = client.post("/post/", json={"count": 7, "plain_stream": True}).json()
        path = f"/api/probe_sessions/{told['session_id']}"
        assert (told["probe"], told["stream"]) == (None, None)
        assert client.get(path).json()["state"] == "queued"
        play(file_store, dagster, "probe", "streaming").join()
        later = client.get(path).json()
        assert (later["state"], later["started"]["probe"]) == ("running", "id-of-probe")
        assert [each["session_id"] for each in client.get("/api/probe_sessions/").json()] == [told["session_id"]]


def test_a_request_that_is_sent_again_starts_no_second_session(
    file_store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.routes.probe_sessions.PATIENCE_S", 0.1)
    dagster = FakeDagster()
    headers = {**bearer(file_store, Scope.LAUNCH), "Idempotency-Key": "k1"}
    with open_facility(file_store, dagster, headers) as client:
        ids = {client.post("/post/", json={"count": 7}).json()["session_id"] for _ in range(3)}
    assert ids == {session_of(dagster.runs[0])}
    assert len(dagster.runs) == 1


def test_a_session_is_stopped_by_its_run(file_store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.routes.probe_sessions.PATIENCE_S", 0.1)
    dagster = FakeDagster()
    with open_facility(file_store, dagster, bearer(file_store, Scope.LAUNCH)) as client:
        session = client.post("/post/", json={"count": 7}).json()["session_id"]
        answer = client.post(f"/api/probe_sessions/{session}/stop")
        assert client.post(f"/api/probe_sessions/{'0' * 16}/stop").status_code == 404
    assert answer.json() == {"session_id": session, "is_stopping": True}
    assert dagster.stopped == [dagster.runs[0]["runId"]]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"count": 0},
        {"count": 10_000_001},
        {"count": "12"},
        {"count": True},
        {"count": 1.5},
        {"count": 7, "plain_stream": "yes"},
        {"count": 7, "more": 1},
        [],
    ],
)
def test_an_order_that_is_none_is_refused_with_the_reason(file_store: FileStore, body: Any) -> None:
    dagster = FakeDagster()
    with open_facility(file_store, dagster, bearer(file_store, Scope.LAUNCH)) as client:
        answer = client.post("/post/", json=body)
    assert answer.status_code == 400
    assert dagster.runs == []


def test_who_may_only_read_starts_and_stops_nothing(file_store: FileStore) -> None:
    dagster = FakeDagster()
    with open_facility(file_store, dagster, bearer(file_store, Scope.READ)) as client:
        assert client.post("/post/", json={"count": 7}).status_code == 403
        assert client.post(f"/api/probe_sessions/{'0' * 16}/stop").status_code == 403
        assert client.get(f"/api/probe_sessions/{'0' * 16}").status_code == 404
        assert client.get("/api/probe_sessions/..%2Fx").status_code in {400, 404}
