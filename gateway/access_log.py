"""One line a request in the log: method, path, status and time; no query, header or body, where secrets may be."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AccessLog"]

_log = logging.getLogger("gateway.requests")


class AccessLog:
    """Logs every request, and adds the headers that every answer has.

    Parameters
    ----------
    app : ASGI application
        What comes behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            client = scope["client"][0] if scope.get("client") else "-"
            took_ms = (time.monotonic() - began) * 1000
            # A path may hold line breaks once it is decoded.
            _log.info("%s %s %r %d %.0f ms", client, scope["method"], scope["path"][:200], status, took_ms)


def _add_headers(message: Message) -> None:
    known = {name.lower() for name, _ in message["headers"]}
    usual = (
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
    )
    message["headers"] = [*message["headers"], *(pair for pair in usual if pair[0] not in known)]
