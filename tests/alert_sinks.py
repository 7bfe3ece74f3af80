"""Real servers that notices are sent to: an HTTP server in a thread, and an SMTP server with AUTH and TLS."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USERNAME, PASSWORD = "sender", "correct horse"


@dataclass
class HttpSink:
    """What an HTTP server got, and how it answers: with the next of `answers`, or 200; `hang` keeps it silent."""

    port: int = 0
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/secret-path"


@contextmanager
def http_sink(answers: Sequence[int] = ()) -> Iterator[HttpSink]:
    sink = HttpSink(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if sink.hang.is_set():
                sink.resume.wait(30)
                self.close_connection = True
                return
            status = sink.answers.pop(0) if sink.answers else 200
            if status < 300:
                sink.bodies.append(body)
                sink.headers.append(dict(self.headers))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", sink.url + "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = True

    server = Server(("127.0.0.1", 0), Handler)
    sink.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield sink
    finally:
        sink.resume.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class MailSink:
    """What an SMTP server got."""

    port: int
    mails: list[tuple[list[str], Message]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    logins: int = 0


@contextmanager
def mail_sink(security: str = "none", certificate: Path | None = None, login: bool = False) -> Iterator[MailSink]:
    """Run an SMTP server; `certificate` is key and certificate in one file."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult, LoginPassword

    sink = MailSink(free_port())

    class Handler:
        async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 - the library calls it so
            if address in sink.refused:
                return "550 no such person"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
            sink.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
            return "250 OK"

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (
            USERNAME.encode(),
            PASSWORD.encode(),
        )
        sink.logins += good
        return AuthResult(success=good, handled=False)

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    options: dict[str, Any] = {"hostname": "127.0.0.1", "port": sink.port}
    if login:
        # The library knows of TLS by STARTTLS only, and would not offer a login on a port that is TLS from the start.
        options |= {"authenticator": authenticate, "auth_require_tls": security == "starttls"}
    if security == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    if security == "tls":
        options |= {"ssl_context": context}
    controller = Controller(Handler(), **options)
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
