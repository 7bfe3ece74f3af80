"""A real HTTP server whose answers a test sets, and an archive of frames on two of them."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "t0ken-of-a-user"  # noqa: S105 - of a server on loopback


@dataclass
class HttpServer:
    """A server whose answers a test sets by path, and which keeps the requests."""

    answers: dict[str, list[Callable[[http.server.BaseHTTPRequestHandler], None]]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, *answers: Callable[[http.server.BaseHTTPRequestHandler], None]) -> None:
        """Answer requests of a path one after the other; the last for ever."""
        self.answers[path] = list(answers)

    def headers(self, path: str) -> list[dict[str, str]]:
        return [headers for _, asked, headers in self.requests if urlsplit(asked).path == path]


def body(
    data: bytes, status: int = 200, *, declared: int | None = None, **headers: str
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """Answer with a body, of which the server may declare another length than it sends."""

    def send(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data) if declared is None else declared))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)
        handler.close_connection = True

    return send


def hang_up(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


@contextmanager
def http_server() -> Iterator[HttpServer]:
    """A server on loopback."""
    server = HttpServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests.append((self.command, self.path, dict(self.headers)))
            left = server.answers.get(urlsplit(self.path).path)
            answer = body(b"none", 404) if not left else left.pop(0) if len(left) > 1 else left[0]
            answer(self)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{listener.server_address[1]}"
    try:
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


@dataclass
class FakeArchive:
    """An archive of frames: an API that wants a token, and a server of files that must not see it."""

    api: HttpServer
    files: HttpServer

    @property
    def url(self) -> str:
        return f"{self.api.url}/api"

    def add(self, basename: str, data: bytes, *, md5: str | None = None) -> None:
        path = f"/bucket/{basename}.fits.fz"
        self.files.answer(path, body(data))
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest() if md5 is None else md5
        version = {"id": 7, "key": "k7", "md5": digest}
        frame = {"basename": basename, "url": f"{self.files.url}{path}?Signature=s3cret", "version_set": [version]}
        self.frames[basename] = [frame]

    frames: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def query(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = parse_qs(urlsplit(handler.path).query).get("basename_exact", [""])[0]
        allowed = handler.headers.get("Authorization") == f"Token {TOKEN}"
        found = self.frames.get(asked, []) if allowed else []
        body(json.dumps({"count": len(found), "results": found}).encode())(handler)
