"""A gateway of a small facility in which something has happened already, so that every route finds what it tells of."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import numpy as np
from data_operation_kit import SOURCE, Bench
from facility_gateway import make_facility
from gateway_kit import ENVIRONMENT, FakeDagster, Wallet, bearer, make_order, make_settings, serve_app
from live_page_kit import ScriptedRun

import gateway.routes.probe_sessions
from gateway import make_app
from gateway.tokens import Scope
from runstart.compute import JobBook, Result, Status
from runstart.nights import Exposure, Product, Record, save_record
from runstart.operation_kit import Entry, Silent, execute, find_operation
from runstart.operation_kit.following import following
from runstart.sessions.records import SessionRecord, write_record
from runstart.storage import FileStore

COMPUTE = "/api/v1/operator/compute"
NIGHT, SCAN = "2026-03-28", "scan_0001.frames"
IMAGES = ("a.fits", "b.fits")


@dataclass(frozen=True)
class LivedIn:
    """The gateway.

    Attributes
    ----------
    client : httpx.Client
        Of an administrator.
    store : FileStore
        Its store.
    dagster : FakeDagster
        Its Dagster.
    wallet : Wallet
        Of the owner of its compute jobs.
    known : dict
        Parameters of routes by which something is found, by what their paths begin with.
    """

    client: httpx.Client
    store: FileStore
    dagster: FakeDagster
    wallet: Wallet
    known: dict[str, dict[str, str]]

    def known_of(self, path: str) -> dict[str, str]:
        """Return the parameters of one route."""
        return next((known for begin, known in self.known.items() if path.startswith(begin)), {})


@contextlib.contextmanager
def open_lived_in(root: Path, timeout_s: float = 5.0) -> Iterator[LivedIn]:
    """Yield a gateway that a thread of this process serves; probe sessions are not waited for meanwhile."""
    bench, dagster, wallet = Bench.make(root), FakeDagster(), Wallet()
    for number, name in enumerate(IMAGES):
        bench.put(name, np.full((8, 9), float(number), np.float32))
    environ = {
        "RUNSTART_FITS_FOLDERS": f"{SOURCE}={bench.folder}",
        "RUNSTART_FILE_CACHE": str(root / "cache-of-gateway"),
    }
    app = make_app(
        make_settings(),
        bench.store,
        dagster.client(timeout_s),
        {ENVIRONMENT.name: ENVIRONMENT},
        facility=replace(make_facility(), environ=environ),
    )
    patience, gateway.routes.probe_sessions.PATIENCE_S = gateway.routes.probe_sessions.PATIENCE_S, 0.0
    try:
        with (
            serve_app(app) as url,
            httpx.Client(
                base_url=url, headers=bearer(bench.store, Scope.ADMIN), timeout=60, trust_env=False
            ) as client,
        ):
            known = {
                "/api/instruments/": _live_run(bench.store),
                "/api/scans/": _scan(bench.store),
                "/api/nights/": _night(bench.store),
                "/api/pipelines/": _pipeline(client),
                "/api/probe_sessions/": _probe_session(client, bench.store, dagster),
                **_operation(client, bench, dagster),
                "/api/analysis/": {"action": "raw-data", "source": SOURCE, "basename": IMAGES[0]},
                "/api/v1/operator/": _compute_job(client, bench.store, wallet),
                "/page/": {"name": "main.js"},
            }
            yield LivedIn(client, bench.store, dagster, wallet, known)
    finally:
        gateway.routes.probe_sessions.PATIENCE_S = patience


def _live_run(store: FileStore) -> dict[str, str]:
    run = ScriptedRun(store, make_facility().instruments["SIMSANS"], age_s=60)
    run.take()
    run.tell()
    run.draw()
    return {"instrument": "SIMSANS", "run": run.key, "name": "overview.png"}


def _scan(store: FileStore) -> dict[str, str]:
    folder = f"scans/SIMSTEM/{SCAN}"
    told = {"written_at": time.time(), "seen": 30, "expected": 40, "covered": 0.75, "frames_per_second": 50.0}
    store.put(f"{folder}/record.json", b"{}")
    store.put(f"{folder}/display/status.json", json.dumps({**told, "ended": ""}).encode())
    store.put(f"{folder}/display/overview.png", b"\x89PNG-of-a-scan")
    return {"microscope": "SIMSTEM", "scan": SCAN, "name": "overview.png"}


def _night(store: FileStore) -> dict[str, str]:
    key = "ab" * 32
    objects = {name: f"operations/{key}/1-x/{key}-{name}" for name in ("fits", "large", "small")}
    for place in objects.values():
        store.put(place, b"a picture")
    output = _output(key, objects)
    entry = Entry(key, {}, {}, (output,), 1.0, "2026-03-29T00:00:00+00:00")
    store.put(f"operations/{key}/entry.json", entry.to_json())
    site = make_facility().sites["SIMOBS"]
    stack = Product("M51 gp", key, key, "M51", "gp", NIGHT, figures={"frames": 3})
    exposures = (Exposure("a.fits", "1"),)
    save_record(store, site, Record("SIMOBS", NIGHT, "exposures", "0", "ab", exposures=exposures))
    save_record(store, site, Record("SIMOBS", NIGHT, "stacks", "0", "ab", products=(stack,)))
    return {"site": "SIMOBS", "night": NIGHT, "asset": "stacks", "number": "0", "size": "large"}


def _output(key: str, objects: dict[str, str]) -> Any:
    from runstart.operation_kit import OutputFile

    return OutputFile(key, "fits", "M51 gp", objects, {})


def _pipeline(client: httpx.Client) -> dict[str, str]:
    started = client.post("/api/pipelines/center_of_mass/sessions", json={})
    assert started.status_code == 202, started.text
    return {"pipeline": "center_of_mass", "run_id": started.json()["run_id"]}


def _probe_session(client: httpx.Client, store: FileStore, dagster: FakeDagster) -> dict[str, str]:
    started = client.post("/post/", json={"count": 5, "plain_stream": True})
    assert started.status_code == 200, started.text
    session_id = started.json()["session_id"]
    details = {"count": 5, "stream_type": "plain"}
    write_record(store, SessionRecord(session_id, "probe", "5 messages", state="running", details=details))
    return {"session_id": session_id}


def _operation(client: httpx.Client, bench: Bench, dagster: FakeDagster) -> dict[str, dict[str, str]]:
    session_id = client.post("/api/datasessions/", json={"name": "M51"}).json()["id"]
    files = [{"source": SOURCE, "basename": name} for name in IMAGES]
    path = f"/api/datasessions/{session_id}/operations/"
    asked = client.post(path, json={"name": "Median", "input_data": {"input_files": files}})
    assert asked.status_code == 201, asked.text
    run = dagster.runs[-1]
    with following(bench.store, run["runId"]) as follower:
        answer = execute(find_operation(run["jobName"]), run["config"], bench.workplace, Silent())
        follower.complete(answer.entry.key)
    run["status"] = "SUCCESS"
    told = client.get(f"{path}{asked.json()['id']}/").json()
    link = urlsplit(told["output"]["output_files"][0]["fits_url"])
    key, number, what = link.path.split("/")[-3:]
    return {
        "/api/datasessions/": {"session_id": str(session_id), "operation_id": str(told["id"])},
        "/api/outputs/": {"key": key, "number": number, "what": what, **dict(parse_qsl(link.query))},
    }


def _compute_job(client: httpx.Client, store: FileStore, wallet: Wallet) -> dict[str, str]:
    job_id = client.post(COMPUTE, json=make_order(wallet)).json()[0]["jobId"]
    results = []
    for index, (name, kind) in enumerate((("spectrum.dat", "output"), ("algorithm.log", "algorithmLog"))):
        key = f"compute/results/{job_id}/{index}/{name}"
        store.put(key, b"the mean")
        digest = f"sha256:{index:064x}"
        results.append(Result(index=index, filename=name, filesize=8, type=kind, checksum=digest, key=key))
    JobBook(store).advance(job_id, Status.FINISHED, results=tuple(results))
    return {"jobId": job_id, "index": "0", "component": "algorithm"}
