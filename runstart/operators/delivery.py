"""Waits until the receivers of an operator have read what it has sent, before it closes its sockets and goes.

ZeroMQ lingers until the system has taken everything, but a receiver that is busy, with its queue full, does not read what
the system still holds of a local socket (ipc) that was closed meanwhile: it would be lost.
"""

from __future__ import annotations

import fcntl
import struct
import termios
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import zmq

_LOOK_S = 0.01
_LOOKS = 3  # between two of them ZeroMQ hands over what it still has


class Delivery:
    """The connections of some sockets that others connect to.

    Parameters
    ----------
    sockets : iterable of zmq.Socket
        Not bound yet.
    """

    def __init__(self, sockets: Iterable[zmq.Socket[bytes]]) -> None:
        import zmq

        self._sockets = list(sockets)
        self._monitors = [socket.get_monitor_socket(zmq.EVENT_ACCEPTED) for socket in self._sockets]
        self._connections: set[int] = set()

    def wait(self, patience_s: float | None, is_over: Callable[[], bool]) -> None:
        """Wait until everything was read; None: however long it takes.

        Parameters
        ----------
        patience_s : float or None
            How long to wait at most, in seconds.
        is_over : callable
            Whether there is no more use in waiting.
        """
        if not self._sockets:
            return
        deadline = None if patience_s is None else time.monotonic() + patience_s
        looks = 0
        while looks < _LOOKS and not is_over() and (deadline is None or time.monotonic() < deadline):
            looks = 0 if self._count_unread() else looks + 1
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """End watching the sockets; before they are closed."""
        for socket in self._sockets:
            socket.disable_monitor()

    def _count_unread(self) -> int:
        """Return how many bytes the system holds for the receivers."""
        for monitor in self._monitors:
            self._connections.update(_accepted(monitor))
        return sum(_unread(connection) for connection in self._connections)


def _accepted(monitor: zmq.Socket[Any]) -> Iterable[int]:
    from zmq.utils.monitor import recv_monitor_message

    while monitor.poll(0):
        yield recv_monitor_message(monitor)["value"]


def _unread(connection: int) -> int:
    try:
        return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0  # it is closed, or the system does not tell
