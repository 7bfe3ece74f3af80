from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from operation_toys import LOG, make_workplace
from operation_worker import Running, Workers

from runstart.operation_kit import Workplace
from runstart.storage import FileStore


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A workplace with three files in the source `night`, and a log of computations."""
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    workplace = make_workplace(tmp_path, FileStore(tmp_path / "store"))
    for name in ("a", "b", "c"):
        (tmp_path / "night" / f"{name}.fits").write_bytes(name.encode())
    return workplace


class Log:
    """What has been computed, by process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self._path.read_text().split()] if self._path.exists() else []


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


@pytest.fixture(scope="session")
def worker_server() -> Iterator[Workers]:
    server = Workers()
    yield server
    server.close()


class Started:
    """Starts workers in a test's folder, and kills those that are left."""

    def __init__(self, server: Workers, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._running: list[Running] = []

    def start(self, given: dict[str, Any], **order: Any) -> Running:
        self._running.append(self._server.start(self._folder, given, **order))
        return self._running[-1]

    def kill_all(self) -> None:
        for worker in self._running:
            with contextlib.suppress(ProcessLookupError):
                worker.kill(signal.SIGKILL)


@pytest.fixture
def workers(worker_server: Workers, place: Workplace, tmp_path: Path) -> Iterator[Started]:
    started = Started(worker_server, tmp_path)
    yield started
    started.kill_all()
