"""How soon the gateway tells a compute job's status, with 10,000 jobs in a store in a folder.

A gateway in a process of its own, as `runstart gateway` serves it, is asked by a client that signs each request with a new
nonce: so each answer takes a signature to recover, a nonce to put on condition, and a record to read. First 100 requests a
second are sent at fixed instants, whether or not the answers before have come, and each is timed from its instant; then
as many as eight connections can ask. There is no peer that could be run here: `peer` is the goal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from bench._dagster import percentile
from bench._measure import Row, Scale
from bench._ocean_client import OceanOwner, workflow
from runstart.compute import JobRecord, Status, read_workflow
from runstart.compute.records import owner_key

GOAL_RATE, GOAL_P99_MS = 100.0, 50.0
_CONNECTIONS = 8
_MOST_CONNECTIONS = 64
_OWNERS = 3000  # so that none has two requests under way: nonces must grow
_START_TIMEOUT_S = 60.0
_PACKAGES = ("fastapi", "uvicorn", "eth-account", "coincurve")


def run(scale: Scale) -> Iterator[Row]:
    """Yield the 99th percentile at 100 requests a second, and the most requests a second."""
    jobs, seconds = scale.pick((10_000, 30.0), (200, 1.0))
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        owners = [OceanOwner() for _ in range(min(_OWNERS, jobs))]
        asked = _write_jobs(Path(folder, "store"), owners, jobs)
        requests = round(GOAL_RATE * seconds)
        with _serving(Path(folder)) as url:
            asyncio.run(_ask_at_instants(url, [_sign(asked[n % len(asked)]) for n in range(50)]))
            signed = [_sign(asked[n % len(asked)]) for n in range(2 * requests)]
            latencies_ms = asyncio.run(_ask_at_instants(url, signed[:requests]))
            most = asyncio.run(_ask_at_once(url, signed[requests:]))
    parameters = {
        "jobs": jobs,
        "requests": requests,
        "median_ms": round(statistics.median(latencies_ms), 2),
        "p99_ms": round(percentile(latencies_ms, 99), 2),
        "max_ms": round(max(latencies_ms), 2),
        "load_average_before": round(load_before, 1),
    }
    p99 = percentile(latencies_ms, 99)
    yield Row(
        name="gateway.status_p99_at_100_a_second",
        ours=p99,
        peer=GOAL_P99_MS,
        peer_name="goal",
        unit="ms",
        ratio=GOAL_P99_MS / p99,
        packages=_PACKAGES,
        parameters=parameters,
    )
    yield Row(
        name="gateway.status_rate",
        ours=most,
        peer=GOAL_RATE,
        peer_name="goal",
        unit="requests/s",
        ratio=most / GOAL_RATE,
        packages=_PACKAGES,
        parameters={"jobs": jobs, "requests": requests, "connections": _CONNECTIONS},
    )


def _sign(asked: tuple[OceanOwner, str]) -> dict[str, str]:
    owner, job_id = asked
    return owner.sign(job_id)


def _write_jobs(store: Path, owners: Sequence[OceanOwner], jobs: int) -> list[tuple[OceanOwner, str]]:
    """Write records as they lie in the store, without the flushes of its puts; every 500th has not ended."""
    ordered = read_workflow(workflow("print('the mean')"))
    asked = []
    for number in range(jobs):
        owner, job_id, is_open = owners[number % len(owners)], uuid4().hex, number % 500 == 0
        record = JobRecord(
            job_id=job_id,
            agreement_id=f"0x{number:x}",
            owner=owner.address,
            environment="ocean-compute",
            workflow=ordered,
            status=Status.RUNNING_ALGORITHM if is_open else Status.FINISHED,
            max_s=60.0,
        )
        _write(store / "compute/jobs" / f"{job_id}.json", record.model_dump_json(by_alias=True))
        _write(store / owner_key(record), "{}")
        if is_open:
            _write(store / "compute/open" / job_id, f'{{"at": {time.time()}}}')
        asked.append((owner, job_id))
    return asked


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[str]:
    environ = {
        **os.environ,
        "RUNSTART_OBJECT_STORE": f"file:{folder / 'store'}",
        "RUNSTART_GATEWAY_RATE": "1000000",
        "RUNSTART_GATEWAY_BURST": "1000000",
        "maxJobDuration": "60",
    }
    log = folder / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "gateway", "--port", "0"], env=environ, stderr=output)
    try:
        yield _await_url(log, process)
    finally:
        process.terminate()
        process.wait()


def _await_url(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"running on (http://[0-9.:]+)", log.read_text()):
            return found[1]
        time.sleep(0.1)
    message = f"The gateway does not serve:\n{log.read_text()[-2000:]}"
    raise RuntimeError(message)


async def _ask_at_instants(url: str, signed: Sequence[dict[str, str]]) -> list[float]:
    """Send requests at the goal's rate, and return how long after its instant each was answered, in ms."""
    async with _connections(url, _MOST_CONNECTIONS) as free:
        began = time.perf_counter() + 0.1

        async def ask(number: int, arguments: dict[str, str]) -> float:
            due = began + number / GOAL_RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            connection = await free.get()
            await connection.ask(arguments)
            free.put_nowait(connection)
            return (time.perf_counter() - due) * 1e3

        return list(await asyncio.gather(*(ask(number, each) for number, each in enumerate(signed))))


async def _ask_at_once(url: str, signed: Sequence[dict[str, str]]) -> float:
    """Return the requests a second that some connections get answered."""
    waiting = iter(signed)
    async with _connections(url, _CONNECTIONS) as free:

        async def ask_on() -> None:
            connection = await free.get()
            for arguments in waiting:
                await connection.ask(arguments)

        began = time.perf_counter()
        await asyncio.gather(*(ask_on() for _ in range(_CONNECTIONS)))
        return len(signed) / (time.perf_counter() - began)


class _Connection:
    """One connection that is kept; the pools of HTTP clients cost more than the gateway when many requests wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def ask(self, arguments: dict[str, str]) -> None:
        """Ask for a job's status, and see that it is answered."""
        target = f"/api/v1/operator/compute?{urlencode(arguments)}"
        self.writer.write(f"GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        body = await self._reader.readexactly(int(length.partition(":")[2]))
        assert head.startswith("http/1.1 200"), body
        assert len(json.loads(body)) == 1


@contextlib.asynccontextmanager
async def _connections(url: str, count: int) -> AsyncIterator[asyncio.Queue[_Connection]]:
    place = urlsplit(url)
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    opened = [_Connection(*await asyncio.open_connection(place.hostname, place.port)) for _ in range(count)]
    for connection in opened:
        free.put_nowait(connection)
    try:
        yield free
    finally:
        for connection in opened:
            connection.writer.close()
            await connection.writer.wait_closed()
