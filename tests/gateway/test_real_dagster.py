"""The client's questions, put to Dagster's own webserver: it understands them, and answers as the fake one does."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from waiting import wait_until

from gateway.dagster_client import DagsterClient
from gateway.launches import Launches
from runstart.errors import Alert
from runstart.facility.processes import free_port
from runstart.storage import FileStore

LOCATION = "toys"
TOYS = '''
import dagster as dg

@dg.op(config_schema={"name": str})
def toy_op(context):
    """Do nothing."""

@dg.job
def toy():
    toy_op()

defs = dg.Definitions(jobs=[toy])
'''
CONFIG = {"ops": {"toy_op": {"config": {"name": "x"}}}}
START_TIMEOUT = 120.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A webserver without a daemon: what is launched stays in the queue."""
    folder = tmp_path_factory.mktemp("dagster")
    (folder / "toys.py").write_text(TOYS)
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    (folder / "workspace.yaml").write_text(
        f"load_from:\n  - python_module: {{module_name: toys, location_name: {LOCATION}}}\n"
    )
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "dagster_webserver",
        "-w",
        "workspace.yaml",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    environ = {**os.environ, "DAGSTER_HOME": str(folder), "PYTHONPATH": str(folder)}
    with (folder / "webserver.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert process.poll() is None, (folder / "webserver.log").read_text()
        try:
            return httpx.get(f"{address}/server_info", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_until(is_up, "Dagster's webserver", START_TIMEOUT)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def ask(url: str, work: Callable[[DagsterClient], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        client = DagsterClient(url, LOCATION, 60.0)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.alone
def test_a_run_is_launched_found_and_stopped(url: str) -> None:
    key = uuid.uuid4().hex

    async def work(client: DagsterClient) -> None:
        await client.check()
        run_id = await client.launch("toy", CONFIG, {"runstart/toy": key})
        (found,) = await client.runs(
            {"runstart/toy": key}, job="toy", statuses=["QUEUED", "NOT_STARTED"], cached=False
        )
        assert (found.run_id, found.job, found.tags["runstart/toy"]) == (run_id, "toy", key)
        assert found.created_at is not None
        assert await client.run(run_id) == found
        assert await client.stop(run_id)
        ended = await client.run(run_id)
        assert ended is not None
        assert ended.status in {"CANCELING", "CANCELED"}
        assert not await client.stop(str(uuid.uuid4()))

    ask(url, work)


@pytest.mark.alone
def test_mistakes_are_told_as_the_users(url: str) -> None:
    wrong = {"ops": {"toy_op": {"config": {"name": 5}}}}
    with pytest.raises(Alert, match="cannot be started so"):
        ask(url, lambda client: client.launch("toy", wrong, {}))
    with pytest.raises(Alert, match="There is no job"):
        ask(url, lambda client: client.launch("nothing", {}, {}))


@pytest.mark.alone
def test_a_key_is_one_run(url: str, file_store: FileStore) -> None:
    async def work(client: DagsterClient) -> set[str]:
        launches = [Launches(file_store, client) for _ in range(4)]
        return set(await asyncio.gather(*(each.launch("toy", "toy/one", CONFIG, {}) for each in launches)))

    assert len(ask(url, work)) == 1


@pytest.mark.alone
def test_a_query_that_is_wrong_is_loud(url: str) -> None:
    with pytest.raises(RuntimeError, match="Cannot query field"):
        ask(url, lambda client: client.ask("{ nothing }"))
