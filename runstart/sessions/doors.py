"""Where the operators of a session reach it, and how each proves who it is.

On one machine that is a file, and the system says who may open it. Pods come by TCP from a network that others share: the
connection is encrypted, and shows a process that it is the session's (CURVE, with a key pair for each session); a process
shows by a token of its own that it is the one that it says. Keys and tokens are in the orders, and live as long as the
session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient
from runstart.operators.connections import notice_vanished_peers

if TYPE_CHECKING:
    import zmq

_OPEN_TO_ALL = 0o666
_TOKEN_DIGITS = 32


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


class Door(ABC):
    """Where a session's control socket is."""

    @abstractmethod
    def open(self, socket: zmq.Socket[bytes]) -> None:
        """Bind the socket; once, before anything else."""

    @abstractmethod
    def told(self, sender: Sender) -> dict[str, str]:
        """Return what a process is told of it, as fields of its order."""

    def identity(self, sender: Sender) -> bytes:
        """Return the name of a process's socket."""
        return sender.identity

    def sender(self, identity: bytes) -> Sender | None:
        """Return the process whose socket has a name; None if no process has such a one."""
        try:
            operator, replica, incarnation = identity.decode().split("/")
            return Sender(operator, int(replica), int(incarnation))
        except ValueError:
            return None


class FileDoor(Door):
    """A file, for processes and containers of this machine.

    Parameters
    ----------
    path : Path
        The socket's file; short, since systems allow about 100 characters.
    open_to_all : bool
        Whether processes of other users may reach it, such as those in containers.
    seen_at : str, optional
        Where processes see it; by default where it is.
    """

    def __init__(self, path: Path, *, open_to_all: bool, seen_at: str | None = None) -> None:
        self._path = path
        self._open_to_all = open_to_all
        self._seen_at = str(path) if seen_at is None else seen_at

    def open(self, socket: zmq.Socket[bytes]) -> None:
        """Bind the socket, and say who may use it."""
        socket.bind(f"ipc://{self._path}")
        if self._open_to_all:
            self._path.chmod(_OPEN_TO_ALL)

    def told(self, sender: Sender) -> dict[str, str]:  # noqa: ARG002
        """Return where it is."""
        return {"control": f"ipc://{self._seen_at}"}


class NetworkDoor(Door):
    """A port of TCP, for processes of other machines.

    Parameters
    ----------
    address : str
        At which they reach this process.
    ports : range or None, optional
        Ports of which the first free one is taken; None for any.

    Raises
    ------
    Alert
        This machine's ZeroMQ cannot encrypt.
    """

    def __init__(self, address: str, ports: range | None = None) -> None:
        import zmq

        if not zmq.has("curve"):
            raise Alert(
                "This Python's ZeroMQ cannot encrypt, which sessions over a network need.",
                "Install pyzmq from its wheels, which can (pip install --force-reinstall pyzmq).",
            )
        self._address, self._ports = address, ports
        self._public, self._private = zmq.curve_keypair()
        self._secret = secrets.token_bytes(32)
        self._port = 0

    def open(self, socket: zmq.Socket[bytes]) -> None:
        """Bind the socket.

        Raises
        ------
        Transient
            All ports that it may have are taken.
        """
        import zmq

        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._private)
        # Who comes again under a name has its token, and the connection before is dead.
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        notice_vanished_peers(socket)
        if self._ports is None:
            self._port = socket.bind_to_random_port("tcp://*")
            return
        for port in self._ports:
            try:
                socket.bind(f"tcp://*:{port}")
            except zmq.ZMQError as problem:
                if problem.errno != zmq.EADDRINUSE:
                    raise
            else:
                self._port = port
                return
        raise Transient(
            f"All ports from {self._ports[0]} to {self._ports[-1]} are taken, and a session needs one "
            "(RUNSTART_SESSION_PORTS)."
        )

    def told(self, sender: Sender) -> dict[str, str]:
        """Return where it is, the key by which it is known, and the process's own token."""
        return {
            "control": f"tcp://{self._address}:{self._port}",
            "control_key": self._public.decode(),
            "control_token": self._token(sender),
        }

    def identity(self, sender: Sender) -> bytes:
        """Return the name of a process's socket, which ends with its token."""
        return sender.identity + b"/" + self._token(sender).encode()

    def sender(self, identity: bytes) -> Sender | None:
        """Return the process whose socket has a name; None if its token is another."""
        name, _, token = identity.rpartition(b"/")
        sender = super().sender(name)
        if sender is None or not hmac.compare_digest(token, self._token(sender).encode()):
            return None
        return sender

    def _token(self, sender: Sender) -> str:
        return hmac.new(self._secret, sender.identity, hashlib.sha256).hexdigest()[:_TOKEN_DIGITS]
