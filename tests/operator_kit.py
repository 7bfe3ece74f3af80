"""Real operator processes, and a session in miniature that tells them what to do and hears what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from runstart.operators.counters import Counters, CounterValues, make_counters
from runstart.operators.messages import BytesLike, BytesMessage, MessageHeader, decode, encode

_HEAD = """
import os, signal, sys, time
from pathlib import Path
from runstart.operators import *

def message(text, **meta):
    return BytesMessage(MessageHeader(meta=meta), str(text).encode())

def note(text):
    with (DATA_DIRECTORY / "notes").open("a") as file:
        file.write(f"{text}\\n")
"""
PATIENCE_S = 30.0


@dataclass
class Said:
    """What an operator has said."""

    content: dict[str, Any]
    blobs: list[bytes]

    @property
    def kind(self) -> str:
        return str(self.content["kind"])


@dataclass
class Process:
    """A process of an operator.

    Attributes
    ----------
    identity : str
        As the session knows it.
    popen : Popen
        The process.
    folder : Path
        Where its run.py, counters and notes are.
    """

    identity: str
    popen: subprocess.Popen[bytes]
    folder: Path
    said: list[Said] = field(default_factory=list)

    @property
    def counters(self) -> CounterValues:
        return Counters.read(self.folder / "counters")

    @property
    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def all_said(self, kind: str) -> list[Said]:
        return [said for said in self.said if said.kind == kind]

    def printed(self) -> str:
        """Return what it has printed, when it has ended."""
        return (self.folder / "printed").read_text()


class SmallSession:
    """Starts operators and plays the session's end of their control.

    Parameters
    ----------
    folder : Path
        Empty, with a short path: sockets are in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, Process] = {}
        self._context = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._hub = self._context.socket(zmq.ROUTER)
        self._hub.setsockopt(zmq.LINGER, 0)
        self._hub.bind(self.uri("hub"))

    def uri(self, name: str) -> str:
        return f"ipc://{self.folder}/{name}"

    def start(
        self,
        name: str,
        code: str,
        *,
        inputs: Mapping[str, Sequence[str]] | None = None,
        outputs: Mapping[str, Sequence[str]] | None = None,
        parameters: Mapping[str, Any] | None = None,
        triggers: Mapping[str, str] | None = None,
        uris: Mapping[str, Sequence[str]] | None = None,
        ready: bool = True,
        **order: Any,
    ) -> Process:
        """Start an operator, and wait until it is ready, unless told otherwise; `uris` are inputs elsewhere."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "run.py").write_text(_HEAD + textwrap.dedent(code))
        make_counters(folder / "counters")
        told = {
            "session": "0123456789ABCDEF",
            "operator": name,
            "replica": 0,
            "incarnation": 0,
            "parameters": dict(parameters or {}),
            "triggers": dict(triggers or {}),
            "inputs": self._uris(inputs) | dict(uris or {}),
            "outputs": self._uris(outputs),
            "control": self.uri("hub"),
            "counters": str(folder / "counters"),
            "data_directory": str(folder),
            "queue": 100,
        }
        environment = {**os.environ, "RUNSTART_OPERATOR_ORDER": json.dumps(told | order)}
        with (folder / "printed").open("wb") as printed:
            popen = subprocess.Popen(
                [sys.executable, "-m", "runstart.operators", str(folder / "run.py")],
                env=environment,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
        process = Process(f"{name}/0/0", popen, folder)
        self.processes[process.identity] = process
        if ready:
            self.wait_for(process, "ready")
        return process

    def send(self, process: Process, kind: str, **content: Any) -> None:
        self.send_raw(process, json.dumps({"kind": kind, **content}).encode())

    def send_raw(self, process: Process, content: bytes) -> None:
        self._hub.send_multipart([process.identity.encode(), content])

    def hear(self, timeout_s: float = 0.05) -> None:
        """Take what operators have said."""
        while self._hub.poll(int(timeout_s * 1000)):
            identity, content, *blobs = self._hub.recv_multipart()
            self.processes[identity.decode()].said.append(Said(json.loads(content), blobs))
            timeout_s = 0.0

    def wait_for(self, process: Process, kind: str, count: int = 1, **content: Any) -> Said:
        """Return the first thing of a kind, and with this content, that an operator says; or its `count`th."""

        def found() -> list[Said]:
            return [one for one in process.all_said(kind) if content.items() <= one.content.items()]

        self.wait_until(lambda: len(found()) >= count, f"{process.identity} saying {kind} {content}", process)
        return found()[count - 1]

    def wait_until(self, condition: Any, what: str, process: Process | None = None) -> None:
        """Hear the operators until a condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            self.hear()
            printed = "" if process is None else process.printed()
            assert time.monotonic() < deadline, f"Waited in vain for: {what}\n{printed}"

    def ended(self, process: Process) -> int:
        """Return the exit code of an operator when it has ended."""
        self.wait_until(lambda: process.popen.poll() is not None, f"the end of {process.identity}", process)
        self.hear()
        return int(process.popen.returncode)

    def stop(self, process: Process) -> int:
        self.send(process, "stop")
        return self.ended(process)

    def feeder(self, name: str, queue: int = 1000) -> zmq.Socket[bytes]:
        """Return a socket that an input connects to."""
        return self._socket(zmq.PUSH, name, queue)

    def taker(self, name: str, queue: int = 1000) -> zmq.Socket[bytes]:
        """Return a socket that connects to an output."""
        return self._socket(zmq.PULL, name, queue)

    def close(self) -> None:
        for process in self.processes.values():
            process.popen.kill()
            process.popen.wait()
        self._context.destroy(linger=0)

    def _uris(self, ports: Mapping[str, Sequence[str]] | None) -> dict[str, Sequence[str]]:
        return {port: [self.uri(name) for name in names] for port, names in (ports or {}).items()}

    def _socket(self, kind: int, name: str, queue: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        self._sockets.append(socket)
        socket.set_hwm(queue)
        socket.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        socket.setsockopt(zmq.SNDTIMEO, int(PATIENCE_S * 1000))
        if kind == zmq.PUSH:
            socket.bind(self.uri(name))
        else:
            socket.connect(self.uri(name))
        return socket


@contextmanager
def small_session() -> Iterator[SmallSession]:
    """Play a session for a while; afterwards nothing of it runs."""
    with tempfile.TemporaryDirectory(prefix="kit-") as folder:
        session = SmallSession(Path(folder))
        try:
            yield session
        finally:
            session.close()


def put(socket: zmq.Socket[bytes], *texts: object) -> None:
    """Send each text as a message."""
    for text in texts:
        socket.send_multipart(encode(BytesMessage(MessageHeader(), str(text).encode())))


def take(socket: zmq.Socket[bytes]) -> BytesMessage:
    """Return the next message."""
    parts: list[BytesLike] = list(socket.recv_multipart())
    return decode(parts)


def take_texts(socket: zmq.Socket[bytes], count: int) -> list[str]:
    """Return the data of the next messages."""
    return [bytes(take(socket).data).decode() for _ in range(count)]
