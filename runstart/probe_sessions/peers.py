"""Connections between the programs of a probe session: every wait has its limit, and every end its name."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from types import TracebackType

from runstart.errors import Alert
from runstart.probe_sessions.protocol import Message, MessageReader, ProtocolError

_AGAIN_S = 0.1
_CHUNK = 65_536


class HostUnknown(Alert):
    """The name of a peer's host does not resolve."""


class PeerUnreachable(Alert):
    """Nothing has taken the connection in time."""


class PeerGone(Alert):
    """A peer has closed the connection too early, or does nothing any more."""


class Peer:
    """The other end of a connection; a context manager.

    Parameters
    ----------
    connection : socket.socket
        Connected.
    name : str
        The other program, for people.
    patience_s : float
        For how long, in seconds, it may neither send nor take anything.
    """

    def __init__(self, connection: socket.socket, name: str, patience_s: float) -> None:
        connection.settimeout(patience_s)
        self._connection = connection
        self._name = name
        self._patience_s = patience_s
        self._reader = MessageReader()

    def send(self, data: bytes) -> None:
        """Send bytes; wait while the peer is slow.

        Raises
        ------
        PeerGone
            It has closed the connection, or takes nothing.
        """
        try:
            self._connection.sendall(data)
        except TimeoutError:
            raise self._silent("takes nothing") from None
        except OSError as error:
            raise self._closed(str(error.strerror)) from None

    def receive(self) -> list[Message] | None:
        """Return the messages that have come, which may be none yet; None if the peer has closed the connection.

        Raises
        ------
        PeerGone
            It sends nothing, or has closed the connection within a message.
        ProtocolError
            It sends something else than messages.
        """
        try:
            data = self._connection.recv(_CHUNK)
        except TimeoutError:
            raise self._silent("sends nothing") from None
        except OSError as error:
            raise self._closed(str(error.strerror)) from None
        if data:
            try:
                return self._reader.feed(data)
            except ProtocolError as error:
                raise ProtocolError(f"From {self._name}: {error.what}") from None
        if not self._reader.is_between:
            raise self._closed("in the middle of a message")
        return None

    def messages(self) -> Iterator[list[Message]]:
        """Give what comes, in pieces, until the caller has enough.

        Raises
        ------
        PeerGone
            As `receive`, or it has closed the connection.
        ProtocolError
            As `receive`.
        """
        while (messages := self.receive()) is not None:
            yield messages
        raise self._closed("before its last message")

    def finish(self) -> None:
        """Say that nothing more comes, and wait until the peer has taken all of it.

        Raises
        ------
        PeerGone
            It has not.
        """
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._closed(str(error.strerror)) from None
        while self.receive() is not None:
            pass

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _closed(self, how: str) -> PeerGone:
        return PeerGone(f"{self._name} has closed the connection: {how}.", "See in its output why it has ended.")

    def _silent(self, what: str) -> PeerGone:
        return PeerGone(f"{self._name} {what} for {self._patience_s:g} s.", "See whether it hangs.")


def connect(host: str, port: int, name: str, patience_s: float) -> Peer:
    """Connect to a program that may not listen yet.

    Parameters
    ----------
    host : str
        Name or address; a name may not be known yet.
    port : int
        Port of TCP.
    name : str
        The other program, for people.
    patience_s : float
        How long to try, and how long the peer may be silent, in seconds.

    Raises
    ------
    HostUnknown
        The name does not resolve in time.
    PeerUnreachable
        Nobody takes the connection in time.
    """
    deadline = time.monotonic() + patience_s
    while True:
        trouble: Alert
        try:
            return Peer(socket.create_connection((host, port), timeout=patience_s), name, patience_s)
        except (socket.gaierror, UnicodeError) as error:
            trouble = _unknown(host, error)
        except OSError as error:
            what = f"{name} at {host}, port {port}, cannot be reached: {error.strerror or error}."
            trouble = PeerUnreachable(what, "See whether it runs, and whether both are in one network.")
        if time.monotonic() > deadline:
            raise trouble
        time.sleep(_AGAIN_S)


def listen(host: str, port: int, patience_s: float) -> socket.socket:
    """Listen for connections; port 0 for any that is free.

    Raises
    ------
    HostUnknown
        The name does not resolve in time.
    Alert
        The address is another machine's, or the port is taken.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]
            return socket.create_server((str(address[0]), port))
        except (socket.gaierror, UnicodeError) as error:
            # In a container the own name is known only once the network is up.
            if time.monotonic() > deadline:
                raise _unknown(host, error) from None
            time.sleep(_AGAIN_S)
        except OSError as error:
            what = f"It is not possible to listen at {host}, port {port}: {error.strerror or error}."
            raise Alert(what, "Choose a free port, and a name or an address of this machine.") from None


def accept(server: socket.socket, name: str, deadline: float, patience_s: float) -> Peer:
    """Return the next peer that connects.

    Parameters
    ----------
    server : socket.socket
        Listens.
    name : str
        Who is expected, for people.
    deadline : float
        Until when, in monotonic seconds.
    patience_s : float
        For how long the peer may be silent, in seconds.

    Raises
    ------
    PeerUnreachable
        Nobody has connected in time.
    """
    server.settimeout(max(deadline - time.monotonic(), _AGAIN_S))
    try:
        connection, _ = server.accept()
    except TimeoutError:
        raise PeerUnreachable(f"{name} has not connected in time.", "See in its output whether it runs.") from None
    return Peer(connection, name, patience_s)


def _unknown(host: str, error: Exception) -> HostUnknown:
    reason = getattr(error, "strerror", None) or error
    return HostUnknown(
        f"The host {host[:200]!a} is not known: {reason}.",
        "Correct the name, or see whether both are in one network.",
    )
