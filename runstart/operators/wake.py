"""Wakes a thread that waits for sockets: something that a poll can wait for, and anybody, signal handlers too, can set."""

from __future__ import annotations

import socket


class Wake:
    """A flag that a poll can wait for."""

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)

    def fileno(self) -> int:
        """Return what a poll waits for: readable while the flag is set."""
        return self._reading.fileno()

    def set(self) -> None:
        """Wake whoever waits, or the next who will."""
        try:
            self._writing.send(b"!")
        except BlockingIOError:
            return  # so many have set it that it is full: it is set

    def clear(self) -> None:
        """Take the flag down."""
        try:
            while self._reading.recv(4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close both ends."""
        self._reading.close()
        self._writing.close()
