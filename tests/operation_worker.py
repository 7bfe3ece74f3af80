"""Computes requests of toy operations in processes of their own, forked from one that has loaded everything.

As a program it reads orders from standard input, forks a process for each, and prints its id.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operation_toys import GATE, LOG, make_workplace, toy
from waiting import wait_until

from runstart.errors import Alert, Transient
from runstart.operation_kit import execute
from runstart.storage import FileStore, ObjectStore, StoredObject, open_store


class KillingStore(ObjectStore):
    """A store whose user gets a signal at one of its puts: just before it, or just after it.

    Puts of other threads, which renew the claim, do not count.
    """

    def __init__(self, store: ObjectStore, number: int, when: str, signal_number: int = signal.SIGKILL) -> None:
        self._store = store
        self._left = number
        self._when = when
        self._signal = signal_number

    def get(self, key: str) -> StoredObject:
        return self._store.get(key)

    def head(self, key: str) -> str | None:
        return self._store.head(key)

    def put(self, key: str, data: bytes) -> str:
        with self._fate():
            return self._store.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> str:
        with self._fate():
            return self._store.put_if_absent(key, data)

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        with self._fate():
            return self._store.put_if_match(key, data, etag)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def list(self, prefix: str = "") -> list[str]:
        return self._store.list(prefix)

    @contextlib.contextmanager
    def _fate(self) -> Iterator[None]:
        counts = threading.current_thread() is threading.main_thread()
        self._left -= counts
        now = counts and self._left == 0
        if now and self._when == "before":
            os.kill(os.getpid(), self._signal)
        yield
        if now and self._when == "after":
            os.kill(os.getpid(), self._signal)


@dataclass
class Running:
    """A process that computes a request."""

    pid: int
    answer_path: Path

    @property
    def alive(self) -> bool:
        return Path(f"/proc/{self.pid}").exists()

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def wait_until_stopped(self) -> None:
        def stopped() -> bool:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

        wait_until(stopped, "the worker's stop", timeout=30, interval=0.01)

    def wait(self) -> None:
        wait_until(lambda: not self.alive, "the worker's end", timeout=30, interval=0.01)

    def answer(self) -> dict[str, Any]:
        """Wait for its end, and return what it got."""
        self.wait()
        return json.loads(self.answer_path.read_text())


class Workers:
    """Starts processes, each of which computes one request."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def start(self, folder: Path, given: dict[str, Any], **order: Any) -> Running:
        """Start a process; `order` may hold `lease_seconds`, `store`, `environ`, `kill_at`, `gate`."""
        answer = Path(tempfile.mkdtemp(dir=folder)) / "answer.json"
        whole = {"folder": str(folder), "given": given, "answer": str(answer), **order}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(whole) + "\n")
        self._process.stdin.flush()
        return Running(int(self._process.stdout.readline()), answer)

    def close(self) -> None:
        self._process.communicate(timeout=10)


def _serve() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    _warm_up()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(_obey(json.loads(line)))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _obey(order: dict[str, Any]) -> int:
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)  # the pipe belongs to the one that forks
    folder = Path(order["folder"])
    os.environ |= {LOG: str(folder / "log"), **order.get("environ", {})}
    if "gate" in order:
        os.environ[GATE] = order["gate"]
    store: ObjectStore = open_store(order["store"]) if "store" in order else FileStore(folder / "store")
    if "kill_at" in order:
        store = KillingStore(store, *order["kill_at"])
    try:
        answer = execute(toy, order["given"], make_workplace(folder, store, order.get("lease_seconds", 15.0)))
        told = {"key": answer.entry.key, "computed": answer.computed, "entry": answer.entry.to_json().decode()}
    except (Alert, Transient) as error:
        told = {"error": type(error).__name__, "text": str(error)}
    Path(order["answer"]).write_text(json.dumps(told))
    return 0


def _warm_up() -> None:
    import boto3  # noqa: F401

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workplace = make_workplace(folder, FileStore(folder / "store"))
        (folder / "night" / "a.fits").write_bytes(b"a")
        execute(toy, {"input_files": ["night/a.fits"]}, workplace)


if __name__ == "__main__":
    _serve()
