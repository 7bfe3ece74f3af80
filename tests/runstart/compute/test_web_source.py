"""Downloads from addresses of strangers: whole or not at all, within a size, and never from inside the facility."""

from __future__ import annotations

import gzip
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runstart.compute.addresses import InternalAddress
from runstart.compute.web_source import download
from runstart.errors import Alert, Transient
from runstart.facility.certificates import make_certificates

CONTENT = b"neutrons" * 1000


class _Site(BaseHTTPRequestHandler):
    """A server of strangers."""

    asked: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        what, _, rest = self.path.partition("?")[0].removeprefix("/").partition("/")
        getattr(self, f"_{what}")(rest)

    def _file(self, _: str) -> None:
        self._send(200, CONTENT)

    def _to(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address.replace("|", "/"))
        self.end_headers()

    def _status(self, number: str) -> None:
        self._send(int(number), b"no")

    def _short(self, _: str) -> None:
        self._send(200, CONTENT, {"Content-Length": str(len(CONTENT) + 1)})

    def _endless(self, _: str) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(CONTENT)
        except OSError:
            return

    def _liar(self, _: str) -> None:
        self._send(200, CONTENT, {"Content-Length": str(10**12)})

    def _bomb(self, _: str) -> None:
        self._send(200, gzip.compress(bytes(10_000_000)), {"Content-Encoding": "gzip"})

    def _garbage(self, _: str) -> None:
        self.wfile.write(b"\0\1\2 nothing of HTTP\r\n\r\n")

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture
def site() -> Iterator[str]:
    """The host and port of a server on this machine."""
    _Site.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def fetch(url: str, path: Path, *hosts: str, **options: Any) -> str:
    return download(url, path, internal_hosts=hosts, **({"most_bytes": 1_000_000} | options))


def test_a_file_comes_whole_with_its_digest_and_without_credentials_or_compression(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    digest = fetch(f"http://{site}/file/a?signature=1#part", tmp_path / "x", site)
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    assert (tmp_path / "x").read_bytes() == CONTENT
    ((path, headers),) = _Site.asked
    assert path == "/file/a?signature=1"
    assert headers["host"] == site
    assert headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie"} & headers.keys()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "2130706433",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "10.0.0.1",
    ],
)
def test_an_internal_address_is_never_connected_to(site: str, tmp_path: Path, address: str) -> None:
    port = site.rpartition(":")[2]
    with pytest.raises(InternalAddress):
        fetch(f"http://{address}:{port}/file/x", tmp_path / "x")
    assert _Site.asked == []
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("target", ["127.0.0.1:9", "169.254.169.254", "localhost:9", "[::1]"])
def test_a_redirect_inside_is_refused_like_the_first_address(site: str, tmp_path: Path, target: str) -> None:
    with pytest.raises(InternalAddress):
        fetch(f"http://{site}/to/http:||{target}|latest", tmp_path / "x", site)


@pytest.mark.parametrize("target", ["file:|||etc|passwd", "ftp:||example.org|x", "gopher:||x", "http:||"])
def test_a_redirect_to_what_is_not_the_web_is_refused(site: str, tmp_path: Path, target: str) -> None:
    with pytest.raises(Alert):
        fetch(f"http://{site}/to/{target}", tmp_path / "x", site)


def test_redirects_end_and_those_to_allowed_hosts_are_followed(site: str, tmp_path: Path) -> None:
    fetch(f"http://{site}/to/|file|x", tmp_path / "x", site)
    assert (tmp_path / "x").read_bytes() == CONTENT
    with pytest.raises(Alert, match="redirects without end"):
        fetch(f"http://{site}/to/http:||{site}|to|http:||{site}|to|{'|to|' * 9}", tmp_path / "y", site)


def test_a_name_is_looked_up_once_so_it_cannot_change_its_meaning(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name means a public address when it is checked, and this machine a moment later."""
    host, _, port = site.partition(":")
    answers = iter(["192.0.2.1", host, host])
    connected: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (next(answers), int(port)))])
    monkeypatch.setattr("runstart.compute.addresses.is_public", lambda address: address == "192.0.2.1")

    def connect(address: Any, *_: object) -> socket.socket:
        connected.append(address)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Transient, match="cannot be reached"):
        fetch(f"http://rebinding.example:{port}/file/x", tmp_path / "x")
    assert connected == [("192.0.2.1", int(port))]
    assert _Site.asked == []


def test_an_allowed_host_is_allowed_at_its_port_only(site: str, tmp_path: Path) -> None:
    fetch(f"http://{site}/file/x", tmp_path / "x", site)
    with pytest.raises(InternalAddress):
        fetch(f"http://{site}/file/x", tmp_path / "y", "127.0.0.1:1")
    fetch(f"http://{site}/file/x", tmp_path / "z", "127.0.0.1")


@pytest.mark.parametrize(("what", "words"), [("endless", "larger than"), ("liar", "larger than")])
def test_what_is_larger_than_the_room_is_refused_and_removed(
    site: str, tmp_path: Path, what: str, words: str
) -> None:
    with pytest.raises(Alert, match=words):
        fetch(f"http://{site}/{what}", tmp_path / "x", site, most_bytes=100_000)
    assert not (tmp_path / "x").exists()


def test_a_compressed_answer_stays_as_small_as_it_was_sent(site: str, tmp_path: Path) -> None:
    fetch(f"http://{site}/bomb", tmp_path / "x", site, most_bytes=50_000)
    assert (tmp_path / "x").stat().st_size < 50_000


@pytest.mark.parametrize("what", ["short", "status/500", "status/429", "garbage"])
def test_what_may_pass_by_itself_may_be_tried_again(site: str, tmp_path: Path, what: str) -> None:
    with pytest.raises(Transient):
        fetch(f"http://{site}/{what}?token=secret", tmp_path / "x", site)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("what", ["status/404", "status/403", "status/204", "status/302"])
def test_what_the_user_must_mend_is_told_without_the_query(site: str, tmp_path: Path, what: str) -> None:
    with pytest.raises(Alert) as caught:
        fetch(f"http://{site}/{what}?token=secret", tmp_path / "x", site)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:word@example.org/",
        "http://example.org/a b",
        "http://example.org/\r\nHost: x",
        "http://exämple.org/",
        "http:///x",
        "http://example.org:0/",
        "http://example.org:99999/",
        "file:///etc/passwd",
    ],
)
def test_an_address_that_is_none_is_refused_unasked(url: str, tmp_path: Path) -> None:
    with pytest.raises(Alert):
        fetch(url, tmp_path / "x", "example.org")


def test_a_file_that_is_there_is_not_written_over(site: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(FileExistsError):
        fetch(f"http://{site}/file/x", tmp_path / "x", site)
    assert (tmp_path / "x").read_text() == "mine"


def test_a_server_must_prove_over_tls_that_it_is_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_certificates(tmp_path / "certificates")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.server_file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://localhost:{server.server_port}/file/x"
        with pytest.raises(Alert, match="not trusted"):
            fetch(url, tmp_path / "x", "localhost")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.ca_file))
        fetch(url, tmp_path / "x", "localhost")
        server.shutdown()
