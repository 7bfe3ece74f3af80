"""What tests of the gateway share: a Dagster made of lists, wallets that sign, and gateways in this process or another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from waiting import wait_until

from gateway import DagsterClient, GatewaySettings, make_app
from gateway.serving import make_server
from gateway.tokens import Scope, TokenBook
from runstart.compute import ComputeEnvironment
from runstart.storage import ObjectStore

ENVIRONMENT = ComputeEnvironment(name="ocean-compute", max_job_s=600.0)
START_TIMEOUT = 60.0


@dataclass
class FakeDagster:
    """A webserver of Dagster's that keeps runs in a list; `is_away`, `hangs` and `refuses` are its faults."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    is_away: bool = False
    hangs: bool = False
    breaks_after_launch: bool = False
    refuses: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data of an answer."""
        with self.lock:
            name = (re.search(r"(?:mutation|query) (\w+)", query) or ["", "Version"])[1]
            self.questions.append(name)
            match name:
                case "Launch":
                    return {"launchRun": self._launch(variables["params"])}
                case "Stop":
                    return {"terminateRun": self._stop(variables["id"])}
                case "Runs":
                    return {"runsOrError": {"__typename": "Runs", "results": self._find(variables)}}
        return {"version": "1.13.27"}

    def transport(self) -> httpx.AsyncBaseTransport:
        """Return what a client uses in place of the network."""

        async def handle(request: httpx.Request) -> httpx.Response:
            if self.is_away:
                raise httpx.ConnectError("refused", request=request)
            if self.hangs:
                await asyncio.sleep(3600)
            question = json.loads(request.content)
            data = await asyncio.to_thread(self.answer, question["query"], question["variables"])
            if self.breaks_after_launch and "launchRun" in data:
                raise httpx.ReadError("broken", request=request)
            return httpx.Response(200, json={"data": data})

        return httpx.MockTransport(handle)

    def client(self, timeout_s: float = 5.0) -> DagsterClient:
        """Return a client of this Dagster."""
        return DagsterClient("http://dagster", "definitions", timeout_s, self.transport())

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve it over HTTP, and yield its address."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps({"data": fake.answer(question["query"], question["variables"])}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Keep quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _launch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if self.refuses:
            return {"__typename": "RunConfigValidationInvalid", "errors": [{"message": self.refuses}]}
        run = {
            "runId": str(uuid.uuid4()),
            "jobName": params["selector"]["jobName"],
            "status": "QUEUED",
            "creationTime": float(len(self.runs)),
            "startTime": None,
            "endTime": None,
            "tags": params["executionMetadata"]["tags"],
            "config": params["runConfigData"],
        }
        self.runs.append(run)
        return {"__typename": "LaunchRunSuccess", "run": {"runId": run["runId"]}}

    def _stop(self, run_id: str) -> dict[str, Any]:
        found = [run for run in self.runs if run["runId"] == run_id]
        if not found:
            return {"__typename": "RunNotFoundError"}
        if found[0]["status"] in {"SUCCESS", "FAILURE", "CANCELED"}:
            return {"__typename": "TerminateRunFailure", "message": "it has ended"}
        found[0]["status"] = "CANCELING"
        self.stopped.append(run_id)
        return {"__typename": "TerminateRunSuccess"}

    def _find(self, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
        wanted = variables["filter"]
        found = [
            run
            for run in reversed(self.runs)
            if run["runId"] in (wanted.get("runIds") or [run["runId"]])
            and all(tag in run["tags"] for tag in wanted.get("tags") or [])
            and run["jobName"] == (wanted.get("pipelineName") or run["jobName"])
            and run["status"] in (wanted.get("statuses") or [run["status"]])
        ]
        return found[: variables["limit"]]


class Wallet:
    """An Ethereum key, a new one unless it is given; its nonces grow."""

    def __init__(self, key: str = "") -> None:
        from eth_account import Account

        self._account = Account.from_key(key) if key else Account.create()
        self.key = bytes(self._account.key).hex()
        self.address: str = self._account.address
        self._nonce = 0

    def next_nonce(self) -> str:
        """Return a nonce above all before, in whatever process."""
        self._nonce = max(self._nonce + 1, time.time_ns() // 1000)
        return str(self._nonce)

    def sign(self, text: str) -> str:
        """Return the signature of a text, as Ocean's providers make it."""
        from eth_account.messages import encode_defunct
        from eth_utils.crypto import keccak

        signed = self._account.sign_message(encode_defunct(primitive=keccak(text=text)))
        return "0x" + bytes(signed.signature).hex()

    def signed(self, owner: str, job_id: str = "", nonce: str | None = None) -> dict[str, str]:
        """Return the arguments by which a request is signed."""
        nonce = self.next_nonce() if nonce is None else nonce
        given = {"owner": owner, "nonce": nonce, "providerSignature": self.sign(f"{owner}{job_id}{nonce}")}
        return given | ({"jobId": job_id} if job_id else {})


def make_workflow(**changes: Any) -> dict[str, Any]:
    """Return a workflow that every environment takes."""
    stage: dict[str, Any] = {
        "index": 0,
        "input": [{"id": "did:op:data", "url": ["https://data.example.org/run.nxs"], "index": 0}],
        "compute": {"Instances": 1, "namespace": ENVIRONMENT.name, "maxtime": 60},
        "algorithm": {
            "id": "did:op:mean",
            "rawcode": "print('the mean spectrum')",
            "container": {"image": "python", "tag": "3.11", "entrypoint": "python $ALGO"},
        },
        "output": {},
    }
    return {"stages": [stage | changes]}


def make_order(wallet: Wallet, owner: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return the body of a POST that is right."""
    body: dict[str, Any] = {
        "workflow": make_workflow(),
        "agreementId": f"0x{uuid.uuid4().hex}",
        "environment": ENVIRONMENT.name,
        **wallet.signed(wallet.address if owner is None else owner),
    }
    return body | changes


def make_settings(**changes: Any) -> GatewaySettings:
    """Return settings by which owners may start jobs themselves."""
    return GatewaySettings(**{"providers_only": False, "rate": 1e6, "burst": 1e6, **changes})


@contextlib.contextmanager
def open_gateway(
    store: ObjectStore, dagster: FakeDagster | None = None, timeout_s: float = 5.0, **settings: Any
) -> Iterator[httpx.Client]:
    """Yield a client of a gateway that a thread of this process serves."""
    fake = FakeDagster() if dagster is None else dagster
    app = make_app(make_settings(**settings), store, fake.client(timeout_s), {ENVIRONMENT.name: ENVIRONMENT})
    with serve_app(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@contextlib.contextmanager
def serve_app(app: FastAPI) -> Iterator[str]:
    """Serve an app in a thread, and yield its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = make_server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        wait_until(lambda: server.started, "the gateway to serve", START_TIMEOUT, 0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def bearer(store: ObjectStore, scope: Scope = Scope.READ, **details: Any) -> dict[str, str]:
    """Make a token, and return the header that shows it."""
    text, _ = TokenBook(store).new("somebody", scope, **details)
    return {"Authorization": f"Bearer {text}"}


@dataclass(frozen=True)
class RunningGateway:
    """A gateway in a process of its own."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextlib.contextmanager
def run_gateway(folder: Path, environ: Mapping[str, str]) -> Iterator[RunningGateway]:
    """Yield a gateway that `runstart gateway` serves; `environ` says where its store and Dagster are."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"gateway-{uuid.uuid4().hex[:8]}.log"
    command = [sys.executable, "-m", "gateway", "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ},
            stderr=output,
        )
    try:
        found = wait_until(lambda: _find_url(log, process), "the gateway to serve", START_TIMEOUT)
        yield RunningGateway(found, process, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _find_url(log: Path, process: subprocess.Popen[bytes]) -> str:
    assert process.poll() is None, log.read_text()
    found = re.search(r"running on (http://[0-9.:]+)", log.read_text())
    return found[1] if found else ""
