"""Limits before any route: how many requests there may be at once, how often a client may ask, and how long a body may be.

Rates are counted in each gateway's memory: with several, a client gets that much of each. A client is its address, or the
/64 of an IPv6 address, of which everybody has a whole one; behind an ingress, uvicorn takes the address from
X-Forwarded-For if the ingress is one that it trusts.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import error_response

__all__ = ["BodyLimit", "CrowdLimit", "RateLimit"]

_MOST_CLIENTS = 10_000


class BodyLimit:
    """Refuses bodies that are too long, 413, or too slow, 408; hands the others on in one piece.

    Parameters
    ----------
    app : ASGI application
        What comes behind.
    longest : int
        Most bytes.
    timeout_s : float
        Longest time from the first byte to the last, in seconds.
    """

    def __init__(self, app: ASGIApp, longest: int, timeout_s: float) -> None:
        self._app = app
        self._longest = longest
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"")
        if not declared and b"transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        if declared.isdigit() and int(declared) > self._longest:
            await self._refuse(413, self._too_long(), scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._read(receive)
        except TimeoutError:
            await self._refuse(408, "The body did not arrive in time.", scope, receive, send)
            return
        if body is None:
            await self._refuse(413, self._too_long(), scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> list[Message] | None:
        """Return the messages of a body, or None if it is too long."""
        parts: list[bytes] = []
        length = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return [message]
            parts.append(message.get("body", b""))
            length += len(parts[-1])
            if length > self._longest:
                return None
            if not message.get("more_body", False):
                return [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    def _too_long(self) -> str:
        return f"The body is longer than {self._longest} bytes."

    @staticmethod
    async def _refuse(status: int, text: str, scope: Scope, receive: Receive, send: Send) -> None:
        # The rest of the body is not read, so that the connection is of no use any more.
        await error_response(status, text, {"Connection": "close"})(scope, receive, send)


class CrowdLimit:
    """Refuses what comes while too many requests are being answered: 503 with Retry-After.

    Parameters
    ----------
    app : ASGI application
        What comes behind.
    most : int
        Requests at once, of all clients.
    exempt : frozenset of str, optional
        Paths that are always answered.
    """

    def __init__(self, app: ASGIApp, most: int, exempt: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._most = most
        self._exempt = exempt
        self._there = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        if self._there >= self._most:
            await error_response(503, "Too many requests at once. Try again.")(scope, receive, send)
            return
        self._there += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._there -= 1


class RateLimit:
    """Refuses clients that ask too often: 429 with Retry-After.

    Parameters
    ----------
    app : ASGI application
        What comes behind.
    rate : float
        Requests a second of each client in the long run.
    burst : float
        Requests at once.
    exempt : frozenset of str, optional
        Paths that are not counted.
    clock : callable, optional
        Gives seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        rate: float,
        burst: float,
        exempt: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._rate = rate
        self._burst = burst
        self._exempt = exempt
        self._clock = clock
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and scope["path"] not in self._exempt:
            wait_s = self._take(_client_of(scope))
            if wait_s > 0:
                text = "Too many requests. Wait as long as Retry-After says."
                response = error_response(429, text, {"Retry-After": str(math.ceil(wait_s))})
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _take(self, client: str) -> float:
        """Count a request; return the seconds to wait if it is one too many, else 0."""
        now = self._clock()
        left, at = self._clients.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        self._clients[client] = (left - 1 if left >= 1 else left, now)
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / self._rate


def _client_of(scope: Scope) -> str:
    client = str(scope["client"][0]) if scope.get("client") else ""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    return address.exploded[:19] if isinstance(address, IPv6Address) and not address.ipv4_mapped else client


def _replay(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def replay() -> Message:
        return next(waiting, None) or await receive()

    return replay
