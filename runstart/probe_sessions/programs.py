"""The three programs of a probe session: probe, streaming and segmentation, as edgeECHO's images run them.

The probe listens and says hello; streaming answers, at once in the plain form or as soon as segmentation has connected to
it in the segmented one; then the probe sends its numbered messages and a last one, and streaming forwards all that it
gets. Each counts, and says so in lines of JSON: where it listens, how far it is each second, and its end.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from runstart.probe_sessions.peers import Peer, PeerGone, accept, connect, listen
from runstart.probe_sessions.protocol import Message, MessageType, ProtocolError

Program = Literal["probe", "streaming", "segmentation"]

PATIENCE_S = 60.0
"""For how long a program waits for another one."""

_HELLO = Message("probe", MessageType.CONNECTION, "You are connected to probe")
_REPLY = Message("streaming", MessageType.CONNECTION, 1)
_TERMINATE = Message("probe", MessageType.TERMINATE, 1)
_AT_ONCE = 500
_TELL_EVERY_S = 1.0


class Telling:
    """Says how a program stands, a line of JSON each time.

    Parameters
    ----------
    program : str
        Who it is.
    write : callable, optional
        Takes each line; by default it is written to the standard output at once.
    """

    def __init__(self, program: Program, write: Callable[[str], None] | None = None) -> None:
        self._program = program
        self._write = _print if write is None else write
        self._counts: dict[str, int] = {}
        self._told_at = time.monotonic()

    def listening(self, port: int) -> None:
        """Say at which port the program can be reached."""
        self._say("listening", port=port)

    def count(self, **counts: int) -> None:
        """Take the counts as they are now; they are told once a second."""
        self._counts = counts
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self._say("running", **counts)

    def done(self) -> None:
        """Say that the program has come to its end."""
        self._say("done", **self._counts)

    def failed(self, error: str) -> None:
        """Say that the program ends before its time."""
        self._say("failed", **self._counts, error=error)

    def _say(self, state: str, **values: Any) -> None:
        self._told_at = time.monotonic()
        self._write(json.dumps({"program": self._program, "state": state, **values}))


@dataclass(frozen=True)
class Address:
    """Where a program listens.

    Attributes
    ----------
    host : str
        Name or address.
    port : int
        Port of TCP; for the listener itself 0 for any that is free.
    """

    host: str
    port: int


def run_probe(at: Address, count: int, telling: Telling, patience_s: float = PATIENCE_S) -> int:
    """Send numbered messages to streaming as soon as it is ready for them.

    Parameters
    ----------
    at : Address
        Where streaming connects to.
    count : int
        How many messages.
    telling : Telling
        Says how it goes; counted is `sent`.
    patience_s : float, optional
        For how long streaming may not connect, or be silent, in seconds.

    Returns
    -------
    int
        How many messages were sent.

    Raises
    ------
    Alert
        Streaming does not come, is gone, or sends something else.
    """
    telling.count(sent=0)
    with listen(at.host, at.port, patience_s) as server:
        telling.listening(server.getsockname()[1])
        with _greeted(server, patience_s) as stream:
            for first in range(0, count, _AT_ONCE):
                after = min(first + _AT_ONCE, count)
                stream.send(_numbered(first, after))
                telling.count(sent=after)
            stream.send(_TERMINATE.encode())
            stream.finish()
    telling.done()
    return count


def run_streaming(probe: Address, at: Address | None, telling: Telling, patience_s: float = PATIENCE_S) -> int:
    """Take the probe's messages, and forward them to segmentation in the segmented form.

    Parameters
    ----------
    probe : Address
        Where the probe listens.
    at : Address or None
        Where segmentation connects to; None in the plain form.
    telling : Telling
        Says how it goes; counted are `received` and `forwarded`.
    patience_s : float, optional
        For how long the others may not connect, or be silent, in seconds.

    Returns
    -------
    int
        How many messages were received.

    Raises
    ------
    Alert
        One of the others cannot be reached, is gone, or sends something else.
    """
    telling.count(received=0, forwarded=0)
    if at is None:
        with connect(probe.host, probe.port, "The probe", patience_s) as source:
            received = _stream(source, None, telling)
    else:
        with listen(at.host, at.port, patience_s) as server:
            telling.listening(server.getsockname()[1])
            with connect(probe.host, probe.port, "The probe", patience_s) as source:
                deadline = time.monotonic() + patience_s
                with accept(server, "Segmentation", deadline, patience_s) as target:
                    received = _stream(source, target, telling)
                    target.finish()
    telling.done()
    return received


def run_segmentation(stream: Address, telling: Telling, patience_s: float = PATIENCE_S) -> int:
    """Take the messages that streaming forwards.

    Parameters
    ----------
    stream : Address
        Where streaming listens.
    telling : Telling
        Says how it goes; counted is `received`.
    patience_s : float, optional
        For how long streaming may not be reached, or be silent, in seconds.

    Returns
    -------
    int
        How many messages were received.

    Raises
    ------
    Alert
        Streaming cannot be reached, is gone, or sends something else.
    """
    received = 0
    telling.count(received=0)
    with connect(stream.host, stream.port, "Streaming", patience_s) as source:
        for messages in source.messages():
            received = _count(messages, received)
            telling.count(received=received)
            if _is_last(messages):
                break
    telling.done()
    return received


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _greeted(server: socket.socket, patience_s: float) -> Peer:
    """Return the first peer that answers the hello; one that closes without an answer was only looking."""
    deadline = time.monotonic() + patience_s
    while True:
        peer = accept(server, "Streaming", deadline, patience_s)
        try:
            peer.send(_HELLO.encode())
            for messages in peer.messages():
                if any(message.type is MessageType.CONNECTION for message in messages):
                    return peer
        except PeerGone:
            peer.close()
            if time.monotonic() > deadline:
                raise
        except BaseException:
            peer.close()
            raise


def _numbered(first: int, after: int) -> bytes:
    # As `Message.encode` writes it, ten times as fast.
    return b"".join(b'{"sender": "probe", "type": "1", "data": %d};' % number for number in range(first, after))


def _stream(source: Peer, target: Peer | None, telling: Telling) -> int:
    source.send(_REPLY.encode())
    received = forwarded = 0
    for messages in source.messages():
        received = _count(messages, received)
        if target is not None:
            target.send(b"".join(replace(message, sender="streaming").encode() for message in messages))
            forwarded = received
        telling.count(received=received, forwarded=forwarded)
        if _is_last(messages):
            break
    return received


def _count(messages: list[Message], received: int) -> int:
    """Return how many data messages have come with these; they are numbered, so none can be missing unseen."""
    for message in messages:
        if message.type is not MessageType.DATA:
            continue
        if message.data != received:
            raise ProtocolError(f"Message {str(message.data)[:20]} came where {received} was due.")
        received += 1
    return received


def _is_last(messages: list[Message]) -> bool:
    return any(message.type is MessageType.TERMINATE for message in messages)
