"""Connections that notice when the other end is gone without a word, as a container or a pod may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import zmq

_VANISHED_S = 5  # without an answer of its kernel a peer is gone


def notice_vanished_peers(socket: zmq.Socket[Any]) -> None:
    """Have a socket connect anew when a peer's container is gone; of one that only stands still the kernel answers.

    There is no limit for data without an acknowledgement: it would end connections of peers that are slow, too.
    """
    import zmq

    options = {
        zmq.TCP_KEEPALIVE: 1,
        zmq.TCP_KEEPALIVE_IDLE: 1,
        zmq.TCP_KEEPALIVE_INTVL: 1,
        zmq.TCP_KEEPALIVE_CNT: _VANISHED_S,
        zmq.CONNECT_TIMEOUT: _VANISHED_S * 1000,
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
