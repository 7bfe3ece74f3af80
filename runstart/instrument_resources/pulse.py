"""Tells Kubernetes whether the controller is alive: each of its loops beats, and one that stopped shows at `/healthz`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runstart.errors import Alert

LONGEST_SILENCE = 180.0  # seconds: a watch lasts a minute, a wait for a server that is away half of one


class Pulse:
    """When each loop has last come round; safe among threads."""

    def __init__(self) -> None:
        self._beats: dict[str, float] = {}
        self._lock = threading.Lock()

    def beat(self, loop: str) -> None:
        """Note that a loop has come round."""
        with self._lock:
            self._beats[loop] = time.monotonic()

    def silent(self, now: float | None = None) -> list[str]:
        """Return the loops that have not come round for too long.

        Parameters
        ----------
        now : float, optional
            Time of `time.monotonic`.
        """
        instant = time.monotonic() if now is None else now
        with self._lock:
            return sorted(loop for loop, beat in self._beats.items() if instant - beat > LONGEST_SILENCE)


@contextmanager
def serve_health(pulse: Pulse, address: str, port: int) -> Iterator[int]:
    """Serve `/healthz` until the context ends: 200 if all loops come round, else 503 and their names.

    Parameters
    ----------
    pulse : Pulse
        Asked at each request.
    address : str
        Where to listen.
    port : int
        TCP port; 0 takes a free one.

    Yields
    ------
    int
        The port.

    Raises
    ------
    Alert
        If it is not possible to listen there.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/healthz":
                self.send_error(404)
                return
            silent = pulse.silent()
            body = f"no sign of: {', '.join(silent)}\n".encode() if silent else b"ok\n"
            self.send_response(503 if silent else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its parent's name
            """Say nothing of each probe."""

    try:
        server = ThreadingHTTPServer((address, port), Handler)
    except OSError as error:
        raise Alert(f"Cannot listen on {address} port {port}: {error}.", "Choose another with --port.") from error
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="health", daemon=True
    )
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
