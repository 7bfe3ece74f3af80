"""An operator's sockets: inputs pull, outputs push, and neither drops anything.

An output that has no room, as those behind it are slow, makes the operator wait, and so whoever is before it. Large data
are not copied on their way from one socket to another, unless their author can still change them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runstart.operators.connections import notice_vanished_peers
from runstart.operators.delivery import Delivery
from runstart.operators.messages import BytesLike, BytesMessage, count_bytes, encode

if TYPE_CHECKING:
    import zmq

    from runstart.operators.counters import Counters
    from runstart.operators.messages import Entries
    from runstart.operators.tracking import Tracker
    from runstart.operators.wake import Wake

_WAIT_MS = 250


class Stopped(Exception):
    """The operator was told to stop while it waited for room in an output."""


class Inputs:
    """The input ports.

    Parameters
    ----------
    context : zmq.Context
        Of this process.
    ports : mapping of str to sequence of str
        Sockets to connect to, by port.
    queue : int
        How many messages wait in each socket at most.
    wake : Wake
        Set when the operator is told something.
    """

    def __init__(
        self, context: zmq.Context[Any], ports: Mapping[str, Sequence[str]], queue: int, wake: Wake
    ) -> None:
        import zmq

        self._sockets: list[tuple[str, zmq.Socket[bytes]]] = []
        self._no_wait, self._more, self._nothing = zmq.NOBLOCK, zmq.RCVMORE, zmq.Again
        self._wake = wake
        self._poller = zmq.Poller()
        self._poller.register(wake, zmq.POLLIN)
        self._turn = 0
        for port, uris in ports.items():
            socket = context.socket(zmq.PULL)
            notice_vanished_peers(socket)
            socket.set_hwm(queue)
            for uri in uris:
                socket.connect(uri)
            self._sockets.append((port, socket))
            self._poller.register(socket, zmq.POLLIN)

    def receive(self) -> tuple[str, list[BytesLike]] | None:
        """Return a port and the parts of a message that has come in by it, or None; all ports have their turns."""
        count = len(self._sockets)
        for _ in range(count):
            self._turn = (self._turn + 1) % count
            port, socket = self._sockets[self._turn]
            try:
                first = socket.recv(self._no_wait)
            except self._nothing:
                continue
            parts: list[BytesLike] = [first]
            more = socket.getsockopt(self._more)
            while more:
                frame = socket.recv(copy=False)
                parts.append(frame.buffer)
                more = frame.more
            return port, parts
        return None

    def wait(self, timeout_s: float) -> None:
        """Wait until there may be a message, or the operator is told something, or the time is over."""
        self._poller.poll(int(timeout_s * 1000))
        self._wake.clear()

    def close(self) -> None:
        """Close the sockets; what waits in them is dropped."""
        for _, socket in self._sockets:
            socket.close(linger=0)


class Outputs:
    """The output ports.

    Parameters
    ----------
    context : zmq.Context
        Of this process.
    ports : mapping of str to sequence of str
        Sockets to bind, by port.
    queue : int
        How many messages wait in each socket at most.
    counters : Counters
        What is sent is counted there.
    tracker : Tracker
        Notes when tracked messages go out.
    wake : Wake
        Set when the operator is told something.
    is_stopped : callable
        Whether it was told to stop.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        ports: Mapping[str, Sequence[str]],
        queue: int,
        counters: Counters,
        tracker: Tracker,
        wake: Wake,
        is_stopped: Callable[[], bool],
    ) -> None:
        import zmq

        self._counters, self._tracker, self._wake, self._is_stopped = counters, tracker, wake, is_stopped
        self._full, self._no_wait = zmq.Again, zmq.NOBLOCK
        self._more_flags = zmq.NOBLOCK | zmq.SNDMORE
        self._ports: dict[str, list[tuple[int, zmq.Socket[bytes]]]] = {port: [] for port in ports}
        self.waiting_ns = 0
        self.is_waiting = False
        wires = [(port, uri, context.socket(zmq.PUSH)) for port, uris in ports.items() for uri in uris]
        self._delivery = Delivery(socket for _, _, socket in wires)
        for index, (port, uri, socket) in enumerate(wires):
            socket.set_hwm(queue)
            socket.setsockopt(zmq.LINGER, -1)
            notice_vanished_peers(socket)
            socket.bind(uri)
            self._ports[port].append((index, socket))

    def check(self, port: str | None) -> None:
        """Raise a TypeError if there is no such port; None is every port."""
        if port is not None and port not in self._ports:
            known = ", ".join(self._ports) or "none"
            raise TypeError(f"There is no output port {port!r}; there are: {known}.")

    def send(self, port: str | None, message: BytesMessage, entries: Entries | None) -> None:
        """Hand a message to a port, or to every port if it is None, waiting until there is room.

        Parameters
        ----------
        port : str or None
            The port.
        message : BytesMessage
            The message.
        entries : list of dict or None
            Its tracking.

        Raises
        ------
        Stopped
            The operator was told to stop meanwhile; the message was not sent.
        TypeError
            It is no message, or there is no such port.
        """
        self.check(port)
        parts = None if entries is not None else encode(message)
        for name in self._ports if port is None else (port,):
            if entries is not None:
                parts = encode(message, self._tracker.sent(entries, name))
            for index, socket in self._ports[name]:
                self._push(index, socket, parts or [])
        self._counters.emit()

    def wait(self, patience_s: float | None, is_over: Callable[[], bool]) -> None:
        """Wait until what was sent was read; None: however long it takes, unless there is no more use in it."""
        self._delivery.wait(patience_s, is_over)

    def close(self, patience_s: float) -> None:
        """Close the sockets; what is not read within a time may be lost."""
        self._delivery.wait(patience_s, lambda: False)
        self._delivery.close()
        for sockets in self._ports.values():
            for _, socket in sockets:
                socket.close(linger=int(patience_s * 1000))

    def _push(self, index: int, socket: zmq.Socket[bytes], parts: list[BytesLike]) -> None:
        size = count_bytes(parts[-1])
        while True:
            # Counted before: a message must not be under way without being counted, whenever this process is killed.
            self._counters.send(index, size)
            try:
                for part in parts[:-1]:
                    socket.send(part, self._more_flags)
                socket.send(parts[-1], self._no_wait, copy=not _is_constant(parts[-1]))
                return
            except self._full:
                self._counters.take_back(index, size)
            self._wait_for_room(socket)

    def _wait_for_room(self, socket: zmq.Socket[bytes]) -> None:
        import zmq

        began = time.monotonic_ns()
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLOUT)
        poller.register(self._wake, zmq.POLLIN)
        self.is_waiting = True
        try:
            while socket not in dict(poller.poll(_WAIT_MS)):
                self._wake.clear()
                if self._is_stopped():
                    raise Stopped
                # Who waits for others does not hang, and is not idle either.
                self._counters.set_busy(time.monotonic_ns())
        finally:
            self.is_waiting = False
            self.waiting_ns += time.monotonic_ns() - began


def _is_constant(data: BytesLike) -> bool:
    """Return whether nobody can change data after they were handed to a socket that has not copied them."""
    return isinstance(data, bytes) or (isinstance(data, memoryview) and data.readonly)
