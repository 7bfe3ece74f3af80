"""A container engine that answers what it is told to: for what a real one does only when a registry fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = {"ApiVersion": "1.41", "Version": "1", "Components": []}


class FakeEngine:
    """What it answers, by the end of a request's path, and what it was asked.

    Attributes
    ----------
    answers : dict of str to (int, list)
        Status, and the lines of JSON of the body.
    asked : list of str
        Methods and paths.
    """

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, list[Any]]] = {"/version": (200, [VERSION])}
        self.asked: list[str] = []
        self.url = ""

    def answer(self, path: str) -> tuple[int, list[Any]]:
        for end, answer in self.answers.items():
            if path.partition("?")[0].endswith(end):
                return answer
        return 404, [{"message": "no such image: it is not here"}]


@contextmanager
def fake_engine() -> Iterator[FakeEngine]:
    """Run one on loopback."""
    engine = FakeEngine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for each answer

        def do_GET(self) -> None:
            self.send_answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_answer()

        def send_answer(self) -> None:
            engine.asked.append(f"{self.command} {self.path}")
            status, lines = engine.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for text in [json.dumps(line).encode() + b"\r\n" for line in lines]:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    engine.url = f"tcp://127.0.0.1:{server.server_port}"
    try:
        yield engine
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
