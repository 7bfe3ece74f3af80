"""The session's end of its operators' control: hears their signs of life, reports and dead letters, and commands them.

One socket serves all. What cannot be understood is counted and left out, and so is who cannot prove who it is: an operator
that sends garbage harms nobody but itself, and a stranger nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runstart.sessions.doors import Sender

if TYPE_CHECKING:
    from runstart.sessions.doors import Door

_MOST_AT_ONCE = 1000
_LARGEST = 512 << 20  # a dead letter comes with its message


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
    door : Door
        Where it is; opened here.
    replicas : mapping of str to int
        How many each operator of the session has: what comes from anybody else is garbage.

    Attributes
    ----------
    garbage : int
        Messages that were left out, and connections that were refused.
    """

    def __init__(self, door: Door, replicas: Mapping[str, int]) -> None:
        import zmq

        self._door, self._replicas = door, replicas
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST)
        self._refusals = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
            | zmq.EVENT_HANDSHAKE_FAILED_AUTH
            | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        )
        self.garbage = 0
        try:
            door.open(self._socket)
        except BaseException:
            self.close()
            raise

    def receive(self, timeout_s: float) -> list[Said]:
        """Return what was said, waiting up to `timeout_s` seconds for the first."""
        import zmq

        heard: list[Said] = []
        self._count_refusals()
        if not self._socket.poll(int(timeout_s * 1000)):
            return heard
        for _ in range(_MOST_AT_ONCE):
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            said = self._understand(parts)
            if said is None or not 0 <= said.sender.replica < self._replicas.get(said.sender.operator, 0):
                self.garbage += 1
            else:
                heard.append(said)
        return heard

    def send(self, receiver: Sender, content: Mapping[str, Any]) -> bool:
        """Say something to a process; return whether it could be reached."""
        import zmq

        try:
            self._socket.send_multipart(
                [self._door.identity(receiver), json.dumps(dict(content)).encode()], zmq.NOBLOCK
            )
        except zmq.ZMQError as problem:
            if problem.errno in {zmq.EAGAIN, zmq.EHOSTUNREACH}:
                return False
            raise
        return True

    def close(self) -> None:
        """Close the socket; what was not sent yet is dropped."""
        self._socket.disable_monitor()
        self._refusals.close()
        self._socket.close()
        self._context.term()

    def _count_refusals(self) -> None:
        while self._refusals.poll(0):
            self._refusals.recv_multipart()
            self.garbage += 1

    def _understand(self, parts: list[bytes]) -> Said | None:
        """Return what the parts say; None if that is garbage."""
        sender = self._door.sender(parts[0])
        if sender is None or len(parts) < 2:
            return None
        try:
            content = json.loads(parts[1])
            kind = content["kind"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if not isinstance(kind, str):
            return None
        return Said(sender, kind, content, tuple(parts[2:]))
