"""Files from addresses of strangers: fetched from the public Internet, never from inside the facility.

A host's name is looked up once, every address that it has must be a public one, and the connection goes to the address
that was checked: a name that means something else a moment later leads nowhere. Each redirect is looked at like the
first address. Neither proxies nor credentials of this machine are used. What is sent compressed is not unpacked, so a
small answer never becomes a large file. Messages name an address without its query, which may hold a signature.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import ssl
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit

from runstart.compute.addresses import resolve
from runstart.errors import Alert, Transient
from runstart.fits.reference import without_secrets

_MOST_REDIRECTS = 5
_TIMEOUT_S = 30.0
_PIECE_BYTES = 256 * 1024
_PASSING = {408, 425, 429}
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = {301, 302, 303, 307, 308}
_OK = 200


def download(
    url: str,
    path: Path,
    *,
    most_bytes: int,
    internal_hosts: Collection[str] = (),
    check: Callable[[], None] = lambda: None,
) -> str:
    """Write what an address gives to a new file, and return its SHA-256 in hexadecimal digits.

    Parameters
    ----------
    url : str
        `http:` or `https:`.
    path : Path
        The file; removed if the download fails.
    most_bytes : int
        The largest that it may be.
    internal_hosts : collection of str, optional
        Hosts, each as `host` or `host:port`, that may be internal.
    check : callable, optional
        Called between pieces; what it raises ends the download.

    Raises
    ------
    Alert
        The address leads inside, is refused, or gives too much.
    Transient
        The server does not answer, or did not send all of it.
    """
    with path.open("xb") as file:
        try:
            with _answer(url, frozenset(internal_hosts), check) as answer:
                return _write(answer, file, without_secrets(url), most_bytes, check)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _write(
    answer: http.client.HTTPResponse, file: BinaryIO, shown: str, most_bytes: int, check: Callable[[], None]
) -> str:
    declared = answer.headers.get("content-length", "")
    too_large = Alert(
        f"{shown} is larger than the {most_bytes:,} bytes that are left for inputs.",
        "Choose less data, or an environment with more room.",
    )
    if declared.isdecimal() and int(declared) > most_bytes:
        raise too_large
    digest, n_bytes = hashlib.sha256(), 0
    while piece := _read(answer, shown):
        n_bytes += len(piece)
        if n_bytes > most_bytes:
            raise too_large
        file.write(piece)
        digest.update(piece)
        check()
    if declared.isdecimal() and n_bytes != int(declared):
        raise Transient(f"{shown} sent {n_bytes} of {declared} bytes.")
    return digest.hexdigest()


def _read(answer: http.client.HTTPResponse, shown: str) -> bytes:
    try:
        return answer.read1(_PIECE_BYTES)
    except (OSError, http.client.HTTPException) as problem:
        raise Transient(f"{shown} broke off: {type(problem).__name__}.") from problem


@contextmanager
def _answer(url: str, internal: frozenset[str], check: Callable[[], None]) -> Iterator[http.client.HTTPResponse]:
    """Give the answer of the address, or of the one that it redirects to."""
    shown, at = without_secrets(url), url
    for _ in range(_MOST_REDIRECTS + 1):
        check()
        parts = _parse(at, shown)
        with closing(_connect(parts, shown, internal)) as connection:
            answer = _ask(connection, parts, shown)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or location is None:
                _judge(answer, shown)
                yield answer
                return
            at = urljoin(at, location)
    raise Alert(f"{shown} redirects without end.", "Correct the address.")


def _parse(url: str, shown: str) -> SplitResult:
    if not url.isascii() or any(ord(character) <= 32 or ord(character) == 127 for character in url):
        raise Alert(f"{shown} leads to what holds characters that no address has.", "Write them as %XX.")
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_web = False
    if not is_web:
        raise Alert(f"{shown} leads to what is neither http: nor https:.", "Correct the address.")
    if parts.username is not None or parts.password is not None:
        raise Alert(f"{shown} leads to an address with a user or a password in it.", "Give one that needs none.")
    return parts


def _connect(parts: SplitResult, shown: str, internal: frozenset[str]) -> http.client.HTTPConnection:
    """Connect to the first address of a host that answers; all that it has are allowed."""
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    may_be_internal = not internal.isdisjoint({host, f"{host}:{port}"})
    problem: OSError | None = None
    for address in resolve(host, port, shown, may_be_internal=may_be_internal):
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            connection.sock = _open(parts.scheme, host, port, address)
        except ssl.SSLCertVerificationError as refused:
            remedy = "Mend the server's certificate, or give another address."
            raise Alert(f"{shown} shows a certificate that is not trusted.", remedy) from refused
        except OSError as refused:
            problem = refused
        else:
            return connection
    raise Transient(f"{shown} cannot be reached: {type(problem).__name__}.") from problem


def _open(scheme: str, host: str, port: int, address: str) -> socket.socket:
    """Return a connection to an address, which for https: must prove to be the host."""
    plain = socket.create_connection((address, port), _TIMEOUT_S)
    if scheme == "http":
        return plain
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None
    try:
        return ssl.create_default_context(cafile=bundle).wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _ask(connection: http.client.HTTPConnection, parts: SplitResult, shown: str) -> http.client.HTTPResponse:
    target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    host = str(parts.hostname)
    named = f"[{host}]" if ":" in host else host
    headers = {
        "Host": named if parts.port is None else f"{named}:{parts.port}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }
    try:
        connection.request("GET", target if target.startswith("/") else f"/{target}", headers=headers)
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as problem:
        raise Transient(f"{shown} does not answer: {type(problem).__name__}.") from problem


def _judge(answer: http.client.HTTPResponse, shown: str) -> None:
    if answer.status >= 500 or answer.status in _PASSING:
        raise Transient(f"{shown} answers {answer.status}.")
    if answer.status in (401, 403):
        raise Alert(f"{shown} answers {answer.status}: it refuses access.", "Give an address that needs no log-in.")
    if answer.status != _OK:
        raise Alert(f"{shown} answers {answer.status}.", "Correct the address.")
