"""An operator's end of the control: signs of life and reports to the session, commands from it, in a thread of its own.

The thread goes on while the operator's function works, or hangs: a session can tell one from the other by what it is
told. An operator without a session has nobody to report to.

Where no file outlives the process, its counts go with each sign of life, which then come more often; its last ones are its
last word, for which it waits until the session has heard it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runstart.operators.connections import notice_vanished_peers
from runstart.operators.outbox import Outbox
from runstart.operators.wake import Wake

if TYPE_CHECKING:
    import zmq

    from runstart.operators.messages import BytesLike
    from runstart.operators.order import Order
    from runstart.operators.publishing import Published

_STATUS_S = 0.5
_COUNTS_S = 0.1
_LAST_WORDS_S = 2.0

Command = dict[str, Any]


class Control(ABC):
    """What the thread that runs the operator sees of the control."""

    def __init__(self) -> None:
        self.wake = Wake()
        self.commands: deque[Command] = deque()
        """Those that were not obeyed yet, the oldest first."""
        self.is_stopped = False

    def stop(self) -> None:
        """Have the operator end; may be called in a signal handler."""
        self.is_stopped = True
        self.wake.set()

    @abstractmethod
    def tell(self, content: Mapping[str, Any], blobs: Sequence[BytesLike] = (), key: str | None = None) -> None:
        """Say something to the session; what waits under the same key may be left out."""

    @abstractmethod
    def watch(self, status: Callable[[], Mapping[str, Any]]) -> None:
        """Have the session told how the operator stands, from now on."""

    @abstractmethod
    def close(self) -> None:
        """Say what was not said yet, for a time, and end."""

    def publish(self, published: Published) -> None:
        """Have the session show an output."""
        about = {"media_type": published.media_type, "name": published.name, "keep": published.keep}
        key = None if published.keep else f"publish {published.name}"
        self.tell({"kind": "publish", **about}, [published.data], key)


class NoControl(Control):
    """Stands in for a session: everything may begin at once, and nobody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.commands.append({"kind": "start"})

    def tell(self, content: Mapping[str, Any], blobs: Sequence[BytesLike] = (), key: str | None = None) -> None:
        """Nobody listens; what matters was printed."""

    def watch(self, status: Callable[[], Mapping[str, Any]]) -> None:
        """Nobody watches."""

    def close(self) -> None:
        """Nothing is left to say."""
        self.wake.close()


class SessionControl(Control):
    """The session's control.

    Parameters
    ----------
    context : zmq.Context
        Of this process.
    uri : str
        The session's socket.
    order : Order
        Says who this process is, how it proves that, and whether it has a file to count in.
    """

    def __init__(self, context: zmq.Context[Any], uri: str, order: Order) -> None:
        import zmq

        super().__init__()
        self._tells_counts = order.counters is None
        self._status_s = _COUNTS_S if self._tells_counts else _STATUS_S
        self._awaits_answer = False
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, order.identity.encode())
        if order.control_key is not None:
            notice_vanished_peers(self._socket)
            own_key, own_private_key = zmq.curve_keypair()
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, order.control_key.encode())
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, own_key)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, own_private_key)
        self._socket.connect(uri)
        self._outbox = Outbox()
        self._waiting: Sequence[BytesLike] | None = None
        self._said = Wake()
        self._status: Callable[[], Mapping[str, Any]] = dict
        self._closes_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="operator control", daemon=True)
        self._thread.start()

    def tell(self, content: Mapping[str, Any], blobs: Sequence[BytesLike] = (), key: str | None = None) -> None:
        """Say something to the session, waiting while it has much else to hear."""
        if not self._outbox.put([_encode(content), *blobs], key, lambda: self.is_stopped):
            sys.stderr.write(f"The session was not told: {content['kind']}; it has not heard what came before.\n")
        self._said.set()

    def watch(self, status: Callable[[], Mapping[str, Any]]) -> None:
        """Have the session told how the operator stands."""
        self._status = status

    def close(self) -> None:
        """Say what was not said yet, the last counts too where they are told, for two seconds, and end."""
        if self._tells_counts:
            self._awaits_answer = True
            self.tell({"kind": "ended", **self._status()})
        self._closes_at = time.monotonic() + _LAST_WORDS_S
        self._said.set()
        self._thread.join()
        self._said.close()
        self.wake.close()

    def _run(self) -> None:
        import zmq

        poller = zmq.Poller()
        poller.register(self._said, zmq.POLLIN)
        next_status = 0.0
        is_over = False
        while not is_over:
            poller.register(self._socket, zmq.POLLIN | (zmq.POLLOUT if self._waiting else 0))
            poller.poll(max(0, int((next_status - time.monotonic()) * 1000)))
            self._said.clear()
            closes_at = self._closes_at  # read before the rest is said: what is put before closing is said
            self._hear()
            self._say()
            has_said_all = self._waiting is None and not self._awaits_answer
            is_over = closes_at is not None and (has_said_all or time.monotonic() > closes_at)
            if time.monotonic() >= next_status:
                next_status = time.monotonic() + self._status_s
                self._tell_status()
        # What the socket has taken is sent for a time; the session may be gone.
        self._socket.close(linger=int(_LAST_WORDS_S * 1000))

    def _hear(self) -> None:
        import zmq

        while True:
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            command = _decode(parts)
            if command is None:
                sys.stderr.write("The session has sent something that is no command; it was left out.\n")
            elif command["kind"] == "stop":
                self.stop()
            elif command["kind"] == "heard":
                self._awaits_answer = False
            else:
                self.commands.append(command)
                self.wake.set()

    def _say(self) -> None:
        while (parts := self._waiting or self._outbox.take()) is not None:
            self._waiting = None if self._send(parts) else parts
            if self._waiting is not None:
                return

    def _tell_status(self) -> None:
        # One that finds no room says nothing new: the next one will.
        if self._waiting is None:
            self._send([_encode({"kind": "status", **self._status()})])

    def _send(self, parts: Sequence[BytesLike]) -> bool:
        import zmq

        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True


def _encode(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _decode(parts: Sequence[bytes]) -> Command | None:
    try:
        command = json.loads(parts[0])
    except (ValueError, RecursionError):
        return None
    return command if isinstance(command, dict) and isinstance(command.get("kind"), str) else None
