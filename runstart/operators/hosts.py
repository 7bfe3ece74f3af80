"""Waits for the host names of an operator's inputs: ZeroMQ itself would wait for ever, and say nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable

_AGAIN_S = 0.5


class HostUnknown(Exception):
    """A host name that does not resolve.

    Parameters
    ----------
    host : str
        The name.
    patience_s : float
        For how long it was asked for, in seconds.
    """

    def __init__(self, host: str, patience_s: float) -> None:
        super().__init__(f"The host name {host!r}, of an input, has not resolved within {patience_s:g} s.")
        self.host = host


def wait_for_hosts(uris: Iterable[str], patience_s: float, is_over: Callable[[], bool]) -> None:
    """Wait until the host names of sockets resolve.

    Parameters
    ----------
    uris : iterable of str
        Where to connect to; files are left out.
    patience_s : float
        How long to wait for all of them, in seconds.
    is_over : callable
        Whether there is no more use in waiting.

    Raises
    ------
    HostUnknown
        One does not resolve; it has its name.
    """
    deadline = time.monotonic() + patience_s
    for host in dict.fromkeys(_host(uri) for uri in uris if uri.startswith("tcp://")):
        while not _resolves(host) and not is_over():
            if time.monotonic() > deadline:
                raise HostUnknown(host, patience_s)
            time.sleep(_AGAIN_S)


def _host(uri: str) -> str:
    return uri.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True
