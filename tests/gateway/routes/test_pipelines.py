from __future__ import annotations

import json

from facility_gateway import open_facility
from gateway_kit import FakeDagster, bearer

from gateway.tokens import Scope
from runstart.storage import FileStore

SESSION = "0123456789ABCDEF"


def test_pipelines_are_listed_with_their_operators(file_store: FileStore) -> None:
    with open_facility(file_store) as client:
        told = {each["name"]: each for each in client.get("/api/pipelines/").json()}
    assert {"center_of_mass", "virtual_images", "benchmark"} <= set(told)
    assert all(each["operators"] for each in told.values())


def test_a_session_is_started_followed_and_stopped(file_store: FileStore) -> None:
    dagster = FakeDagster()
    path = "/api/pipelines/center_of_mass/sessions"
    with open_facility(file_store, dagster, bearer(file_store, Scope.LAUNCH)) as client:
        order = {"operators": {"reader": {"path": "x"}}, "keep_running": True}
        started = client.post(path, json=order)
        assert started.status_code == 202, started.text
        run_id = started.json()["run_id"]
        (run,) = dagster.runs
        assert (run["jobName"], run["config"]) == ("pipeline_center_of_mass", order)
        run["tags"].append({"key": "runstart/session", "value": SESSION})
        file_store.put(f"sessions/{SESSION}/status.json", json.dumps({"state": "running"}).encode())
        told = client.get(f"{path}/{run_id}").json()
        assert (told["run"]["session_id"], told["status"]) == (SESSION, {"state": "running"})
        assert [each["run_id"] for each in client.get(path).json()] == [run_id]
        assert client.get(f"/api/pipelines/benchmark/sessions/{run_id}").status_code == 404, "it is another's"
        assert client.post(f"{path}/{run_id}/stop").json() == {"run_id": run_id, "is_stopping": True}
        run["status"] = "CANCELED"
        assert client.post(f"{path}/{run_id}/stop").json()["is_stopping"] is False
    assert dagster.stopped == [run_id]


def test_what_dagster_does_not_take_is_refused_with_its_reason(file_store: FileStore) -> None:
    dagster = FakeDagster(refuses="Missing required config entry 'reader'")
    with open_facility(file_store, dagster, bearer(file_store, Scope.LAUNCH)) as client:
        answer = client.post("/api/pipelines/center_of_mass/sessions", json={})
    assert (answer.status_code, "reader" in answer.json()["error"]) == (400, True)


def test_a_pipeline_that_is_none_or_not_to_be_read_is_not_found(file_store: FileStore) -> None:
    headers = bearer(file_store, Scope.LAUNCH, reads=("pipeline/benchmark",))
    with open_facility(file_store, headers=headers) as client:
        assert [each["name"] for each in client.get("/api/pipelines/").json()] == ["benchmark"]
        for name in ("center_of_mass", "nothing", "..%2Fx"):
            assert client.post(f"/api/pipelines/{name}/sessions", json={}).status_code == 404
