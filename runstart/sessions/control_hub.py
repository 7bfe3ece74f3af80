"""The session's end of its operators' control: hears their signs of life, reports and dead letters, and commands them.

One socket serves all. What cannot be understood is counted and left out: an operator that sends garbage harms
nobody but itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST_AT_ONCE = 1000
_LARGEST = 512 << 20  # a dead letter comes with its message
_OPEN_TO_ALL = 0o666


@dataclass(frozen=True)
class Sender:
    """A process of an operator.

    Attributes
    ----------
    operator : str
        Its stage.
    replica, incarnation : int
        Which of the stage's, and how often it was started before.
    """

    operator: str
    replica: int
    incarnation: int

    @property
    def identity(self) -> bytes:
        """Return the name of its socket."""
        return f"{self.operator}/{self.replica}/{self.incarnation}".encode()


@dataclass(frozen=True)
class Said:
    """What a process of an operator has said.

    Attributes
    ----------
    sender : Sender
        Who.
    kind : str
        Of what it has said.
    content : dict
        All of it.
    blobs : tuple of bytes
        What came with it.
    """

    sender: Sender
    kind: str
    content: dict[str, Any]
    blobs: tuple[bytes, ...]


class ControlHub:
    """The session's control socket.

    Parameters
    ----------
    path : Path
        The socket's file; short, since systems allow about 100 characters.
    replicas : mapping of str to int
        How many each operator of the session has: what comes from anybody else is garbage.
    open_to_all : bool
        Whether processes of other users may reach it, such as those in containers.
    """

    def __init__(self, path: Path, replicas: Mapping[str, int], *, open_to_all: bool) -> None:
        import zmq

        self._replicas = replicas
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST)
        self._socket.bind(f"ipc://{path}")
        if open_to_all:
            path.chmod(_OPEN_TO_ALL)
        self.garbage = 0

    def receive(self, timeout_s: float) -> list[Said]:
        """Return what was said, waiting up to `timeout_s` seconds for the first."""
        import zmq

        heard: list[Said] = []
        if not self._socket.poll(int(timeout_s * 1000)):
            return heard
        for _ in range(_MOST_AT_ONCE):
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            said = _understand(parts)
            if said is None or not 0 <= said.sender.replica < self._replicas.get(said.sender.operator, 0):
                self.garbage += 1
            else:
                heard.append(said)
        return heard

    def send(self, receiver: Sender, content: Mapping[str, Any]) -> bool:
        """Say something to a process; return whether it could be reached."""
        import zmq

        try:
            self._socket.send_multipart([receiver.identity, json.dumps(dict(content)).encode()], zmq.NOBLOCK)
        except zmq.ZMQError as problem:
            if problem.errno in {zmq.EAGAIN, zmq.EHOSTUNREACH}:
                return False
            raise
        return True

    def close(self) -> None:
        """Close the socket; what was not sent yet is dropped."""
        self._socket.close()
        self._context.term()


def _understand(parts: list[bytes]) -> Said | None:
    """Return what the parts say; None if that is garbage."""
    if len(parts) < 2:
        return None
    try:
        operator, replica, incarnation = parts[0].decode().split("/")
        sender = Sender(operator, int(replica), int(incarnation))
        content = json.loads(parts[1])
        kind = content["kind"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(kind, str):
        return None
    return Said(sender, kind, content, tuple(parts[2:]))
