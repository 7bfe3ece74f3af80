"""`runstart demo` as a user runs it: it comes up, a run starts by itself and is seen, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from runstart.demo.graphql import NoAnswer, Webserver

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240)]

_SEEN = """
{ assetOrError(assetKey: {path: ["SIMSANS", "live_run"]}) {
    ... on Asset { assetObservations(limit: 1) { partition runId } } } }
"""

_SCANS = """
{ assetOrError(assetKey: {path: ["SIMSTEM", "center_of_mass"]}) {
    ... on Asset { assetObservations(limit: 1) { partition runId } } } }
"""

_NIGHTS = """
{ assetOrError(assetKey: {path: ["SIMOBS", "exposures"]}) {
    ... on Asset { assetMaterializations(limit: 20) { partition } } } }
"""


class RunningDemo:
    """A demonstration in a session of its own, with its temporary folders under one that is looked at afterwards."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._output = folder / "output.txt"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from runstart.cli import app; app()", "demo"],
                cwd=folder,
                env=os.environ | {"TMPDIR": str(self.temporary), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.session = psutil.Process(self.process.pid)

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, found: Callable[[], Any], what: str, timeout: float = 120.0) -> Any:
        deadline = time.monotonic() + timeout
        while not (answer := found()):
            assert self.process.poll() is None, f"The demonstration ended before {what}:\n{self.output}"
            assert time.monotonic() < deadline, f"No {what} within {timeout:g} s:\n{self.output}"
            time.sleep(0.2)
        return answer

    def wait_for_url(self) -> int:
        """Return the port of the UI once everything is up."""
        found = self.wait_for(lambda: re.search(r"http://127\.0\.0\.1:(\d+)/assets/", self.output), "address")
        return int(found[1])

    def family(self) -> list[psutil.Process]:
        return [self.session, *self.session.children(recursive=True)]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningDemo]:
    demo = RunningDemo(tmp_path)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            family = demo.family()
            for process in family:
                if process.is_running():
                    process.kill()
            demo.process.wait()


def test_run_starts_by_itself_is_seen_and_ctrl_c_leaves_nothing(demo: RunningDemo) -> None:
    webserver = Webserver(demo.wait_for_url())

    seen = demo.wait_for(lambda: _observation(webserver, _SEEN), "observation of a live run")
    scan = demo.wait_for(lambda: _observation(webserver, _SCANS), "observation of a scan that is taken")
    demo.wait_for(lambda: len(_nights(webserver)) == 5, "nights with exposures")
    instruments = demo.wait_for(lambda: _instruments(demo), "answer of the gateway")
    family = demo.family()
    words = [word for process in family for word in process.cmdline()]
    broker_data = Path(words[words.index("--data-dir") + 1])
    status = demo.end(signal.SIGINT)

    assert {each["name"]: each["state"] for each in instruments}["SIMSANS"] in {"running", "idle"}, (
        "between two runs"
    )
    assert re.fullmatch(r"[\w.:-]*SIMSANS\d+[\w.:-]*", seen["partition"])
    assert scan["partition"] == "scan_000001.frames"
    assert any("spawn_main" in word for word in words), "the live run's own process was not among those looked at"
    assert status == 0, demo.output
    assert _alive(family) == []
    assert list(demo.temporary.iterdir()) == []
    assert not broker_data.parent.exists()
    assert "nothing is left" in demo.output


def test_part_that_dies_is_named_with_its_log_and_ends_everything(demo: RunningDemo) -> None:
    demo.wait_for_url()
    family = demo.family()
    daemon = next(process for process in family if "dagster._daemon" in process.cmdline())

    daemon.kill()
    status = demo.process.wait(60)

    assert status == 1
    assert "The daemon has ended by itself" in demo.output
    assert "SensorDaemon" in demo.output
    assert _alive(family) == []
    assert list(demo.temporary.iterdir()) == []


def test_sigterm_while_it_is_coming_up_leaves_nothing(demo: RunningDemo) -> None:
    demo.wait_for(lambda: "embedded-broker" in demo.output, "broker")
    family = demo.family()

    assert demo.end(signal.SIGTERM) == 0, demo.output
    assert _alive(family) == []
    assert list(demo.temporary.iterdir()) == []


def _instruments(demo: RunningDemo) -> list[dict[str, Any]]:
    """Return what the gateway tells without a token; its page is the first that is printed."""
    page = re.search(r"http://127\.0\.0\.1:\d+/", demo.output)
    assert page is not None
    assert "<title>Runstart" in httpx.get(page[0], headers={"Accept": "text/html"}, trust_env=False).text
    told: list[dict[str, Any]] = httpx.get(f"{page[0]}api/instruments/", trust_env=False).json()
    return told


def _observation(webserver: Webserver, query: str) -> dict[str, Any] | None:
    try:
        asset = webserver.ask(query)["assetOrError"]
    except NoAnswer:
        return None
    observations = asset.get("assetObservations")
    return observations[0] if observations else None


def _nights(webserver: Webserver) -> set[str]:
    try:
        asset = webserver.ask(_NIGHTS)["assetOrError"]
    except NoAnswer:
        return set()
    return {materialization["partition"] for materialization in asset.get("assetMaterializations", ())}


def _alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
