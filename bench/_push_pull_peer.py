"""Plain ZeroMQ, PUSH to PULL by an ipc socket between two processes: `python -m bench._push_pull_peer ROLE ...`.

Messages are ready before the first is sent, and what arrives is only counted: nothing but ZeroMQ and the copies of its
Python library is measured. Data are sent and received without a copy in Python, other parts with one, as operators do.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATIENCE_S = 120.0

Parts = Sequence[bytes]


@dataclass(frozen=True)
class Streamed:
    """What came through.

    Attributes
    ----------
    seconds : float
        From the first message's sending to the last one's arrival.
    latencies_us : list of float
        Of each message, if they were sent at a pace.
    """

    seconds: float
    latencies_us: list[float]


def stream(messages: Sequence[Parts], repeats: int, queue: int, pause_s: float = 0.0) -> Streamed:
    """Send messages from one new process to another one.

    Parameters
    ----------
    messages : sequence of sequence of bytes
        The parts of each.
    repeats : int
        How often all of them are sent.
    queue : int
        High-water mark of both sockets, in messages.
    pause_s : float, optional
        Between two messages; then the first part of each becomes the time at which it is sent.
    """
    with tempfile.TemporaryDirectory(prefix="rs-peer-") as folder:
        order = Path(folder) / "order"
        uri = f"ipc://{folder}/socket"
        order.write_bytes(pickle.dumps((uri, [list(parts) for parts in messages], repeats, queue, pause_s)))
        receiver, sender = (_start(role, order) for role in ("receive", "send"))
        try:
            printed, _ = receiver.communicate(timeout=_PATIENCE_S)
            sender.wait(_PATIENCE_S)
        finally:
            for process in (receiver, sender):
                process.kill()
                process.wait()
    if receiver.returncode or sender.returncode:
        raise RuntimeError(f"the plain stream has failed: {receiver.returncode}, {sender.returncode}")
    return Streamed(**json.loads(printed))


def _start(role: str, order: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench._push_pull_peer", role, str(order)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])


def _send(socket: Any, uri: str, messages: Sequence[Parts], repeats: int, queue: int, pause_s: float) -> None:
    import zmq

    socket.set_hwm(queue)
    socket.bind(uri)
    socket.send(b"")  # waits until the receiver is there
    socket.send(_now())
    for parts in [*messages] * repeats:
        if pause_s:
            time.sleep(pause_s)
        for part in (_now(), *parts[1:-1]) if pause_s else parts[:-1]:
            socket.send(part, zmq.SNDMORE)
        socket.send(parts[-1], copy=False)


def _receive(socket: Any, uri: str, messages: Sequence[Parts], repeats: int, queue: int, pause_s: float) -> None:
    socket.set_hwm(queue)
    socket.connect(uri)
    socket.recv()
    began = _read(socket.recv())
    latencies_us = []
    for _ in range(len(messages) * repeats):
        first = socket.recv()
        more = True
        while more:
            more = socket.recv(copy=False).more
        if pause_s:
            latencies_us.append((_read(_now()) - _read(first)) / 1e3)
    print(json.dumps({"seconds": (_read(_now()) - began) / 1e9, "latencies_us": latencies_us}))


def _now() -> bytes:
    return time.monotonic_ns().to_bytes(8, "little")


def _read(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _main(role: str, order: str) -> None:
    import zmq

    told = pickle.loads(Path(order).read_bytes())  # noqa: S301 - written by `stream`
    with zmq.Context() as context, context.socket(zmq.PUSH if role == "send" else zmq.PULL) as socket:
        (_send if role == "send" else _receive)(socket, *told)


if __name__ == "__main__":
    _main(*sys.argv[1:])
