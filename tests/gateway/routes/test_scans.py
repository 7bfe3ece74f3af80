from __future__ import annotations

import json
import time
from typing import Any

import pytest
from facility_gateway import open_facility
from gateway_kit import FakeDagster, bearer
from live_page_kit import SCAN, put_scan

from gateway.tokens import Scope
from runstart.scans.model import Accounting, ScanResult
from runstart.storage import FileStore

FOLDER = f"scans/SIMSTEM/{SCAN}"
PNG = b"\x89PNG-of-a-scan"


def put_status(store: FileStore, scan: str = SCAN, **changes: Any) -> None:
    put_scan(store, PNG, scan, **changes)


def put_result(store: FileStore) -> None:
    folder = f"{FOLDER}/results/0123"
    result = ScanResult(
        microscope="SIMSTEM",
        scan=SCAN,
        version="1",
        digest="ab",
        plan="cd",
        folder=folder,
        objects={"scan.nxs": f"{folder}/scan.nxs", "phase.png": f"{folder}/phase.png"},
        thumbnails={},
        figures={"electrons": 12},
        accounting=Accounting(40, 40, 40),
        ended="complete",
        code_version="0",
    )
    store.put(f"{folder}/phase.png", PNG + b"-phase")
    store.put(f"{folder}/result.json", result.to_bytes())
    store.put(f"{FOLDER}/current.json", json.dumps({"folder": folder, "version": "1", "seen": 40}).encode())


def test_a_scan_is_told_while_it_is_taken(file_store: FileStore) -> None:
    put_status(file_store)
    with open_facility(file_store) as client:
        (microscope,) = client.get("/api/scans/").json()
        (scan,) = microscope["scans"]
        told = client.get(f"/api/scans/SIMSTEM/{SCAN}").json()
        assert client.get("/api/scans/SIMSTEM/").json() == [SCAN]
        picture = client.get(f"/api/scans/SIMSTEM/{SCAN}/pictures/overview.png")
    assert (microscope["name"], scan["state"], scan["frames_seen"], scan["frames_expected"]) == (
        "SIMSTEM",
        "taking",
        30,
        40,
    )
    assert (told["state"], told["pictures"], told["figures"]) == ("taking", ["overview.png"], {})
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"ended": "complete"}, "done"),
        ({"ended": "broken off"}, "done"),
        ({"written_at": time.time() - 90}, "silent"),
        ({"written_at": "soon"}, "silent"),
    ],
)
def test_what_a_scan_told_last_says_how_it_stands(
    file_store: FileStore, changes: dict[str, Any], state: str
) -> None:
    put_status(file_store, **changes)
    with open_facility(file_store) as client:
        told = client.get(f"/api/scans/SIMSTEM/{SCAN}").json()
    assert (told["state"], told["ended"]) == (state, changes.get("ended", ""))


def test_a_scan_that_is_done_shows_its_result(file_store: FileStore) -> None:
    file_store.put(f"{FOLDER}/record.json", b"{}")
    put_result(file_store)
    with open_facility(file_store) as client:
        told = client.get(f"/api/scans/SIMSTEM/{SCAN}").json()
        assert client.get(f"/api/scans/SIMSTEM/{SCAN}/pictures/phase.png").content.endswith(b"phase")
    assert (told["state"], told["covered"], told["pictures"], told["figures"]) == (
        "done",
        1.0,
        ["phase.png"],
        {"electrons": 12},
    )


@pytest.mark.parametrize(
    "path",
    [
        "/api/scans/NOBODY/",
        "/api/scans/SIMSTEM/nothing",
        "/api/scans/SIMSTEM/..%2F..%2Fgateway",
        "/api/scans/SIMSTEM/%2e%2e",
        f"/api/scans/SIMSTEM/{SCAN}/pictures/result.json",
        f"/api/scans/SIMSTEM/{SCAN}/pictures/..%2Fstatus.json",
        f"/api/scans/SIMSTEM/{SCAN}/pictures/phase.png",
    ],
)
def test_what_is_not_there_is_not_found(file_store: FileStore, path: str) -> None:
    put_status(file_store)
    with open_facility(file_store) as client:
        assert client.get(path).status_code == 404


def test_a_scan_is_processed_again_by_its_job(file_store: FileStore) -> None:
    put_status(file_store, ended="complete")
    dagster = FakeDagster()
    with open_facility(file_store, dagster, bearer(file_store, Scope.LAUNCH)) as client:
        started = client.post(f"/api/scans/SIMSTEM/{SCAN}/runs")
        listed = client.get(f"/api/scans/SIMSTEM/{SCAN}/runs").json()
        assert client.post("/api/scans/SIMSTEM/nothing/runs").status_code == 404
    assert started.status_code == 202
    (run,) = dagster.runs
    assert (run["jobName"], run["runId"]) == ("scan_SIMSTEM", started.json()["run_id"])
    assert [(each["run_id"], each["partition"], each["status"]) for each in listed] == [
        (run["runId"], SCAN, "QUEUED")
    ]
