"""Files over HTTP: whole or not at all, tried again while the server is in trouble.

Every redirect is looked at before it is followed. A token goes to its own server alone. Messages name an address
without its query, which may hold a signature, and the texts of the HTTP library, which hold it, are left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from runstart.errors import Alert, Transient
from runstart.fits.reference import without_secrets

if TYPE_CHECKING:
    import requests

__all__ = ["HttpClient"]

_T = TypeVar("_T")
_MOST_REDIRECTS = 5
_PASSING = {408, 425, 429}
_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True)
class HttpClient:
    """Asks HTTP servers, patiently.

    Attributes
    ----------
    tries : int
        How often a request is made before the server is given up.
    pause_s : float
        Seconds between tries.
    timeout_s : float
        Seconds without any answer, or without any byte of it, after which a try has failed.
    token : str
        Sent as `Authorization: Token` to the server of `token_url` alone; empty for none.
    token_url : str
        An address of that server.
    allowed : callable or None
        Raises `Alert` for an address that may not be asked.
    """

    tries: int = 12
    pause_s: float = 5.0
    timeout_s: float = 60.0
    token: str = field(default="", repr=False)
    token_url: str = ""
    allowed: Callable[[str], None] | None = field(default=None, repr=False)

    def get_json(self, url: str, parameters: dict[str, str]) -> object:
        """Return the JSON that an address gives; an error's text says what to do about it.

        Parameters
        ----------
        url : str
            The address.
        parameters : dict
            Its query.

        Returns
        -------
        object
            As parsed; None if the answer is not JSON.
        """

        def ask() -> object:
            with self._answer("GET", url, parameters) as answer:
                try:
                    return answer.json()
                except ValueError:
                    return None

        return self._patiently(ask, without_secrets(url))

    def head(self, url: str) -> dict[str, str]:
        """Return an address's headers with names in lower case.

        Parameters
        ----------
        url : str
            The address.

        Returns
        -------
        dict
            The headers.
        """

        def ask() -> dict[str, str]:
            with self._answer("HEAD", url, {}) as answer:
                return {name.lower(): value for name, value in answer.headers.items()}

        return self._patiently(ask, without_secrets(url))

    def download(self, url: str, path: Path, md5: str = "") -> None:
        """Write what an address gives to a file.

        Parameters
        ----------
        url : str
            The address.
        path : Path
            The file; each try begins it anew.
        md5 : str, optional
            Digest of the content, if it is known.

        Raises
        ------
        Alert
            The server does not have it, or refuses.
        Transient
            The server does not answer, or never sent all of it.
        """
        shown = without_secrets(url)

        def fetch() -> None:
            with path.open("wb") as file, self._answer("GET", url, {}) as answer:
                digest, n_bytes = hashlib.md5(usedforsecurity=False), 0
                for piece in answer.iter_content(_PIECE_BYTES):
                    file.write(piece)
                    digest.update(piece)
                    n_bytes += len(piece)
            declared = answer.headers.get("content-length", "")
            encoded = answer.headers.get("content-encoding", "identity") != "identity"
            if declared.isdecimal() and not encoded and n_bytes != int(declared):
                raise Transient(f"{shown} sent {n_bytes} of {declared} bytes")
            if md5 and digest.hexdigest() != md5:
                raise Transient(f"{shown} sent something whose MD5 is {digest.hexdigest()} instead of {md5}")

        self._patiently(fetch, shown)

    def _patiently(self, action: Callable[[], _T], shown: str) -> _T:
        import requests

        for left in range(self.tries - 1, -1, -1):
            try:
                return action()
            except requests.RequestException as error:
                problem = f"{shown} does not answer: {type(error).__name__}"
            except Transient as error:
                problem = str(error)
            if left:
                time.sleep(self.pause_s)
        raise Transient(f"{problem} (tried {self.tries} times).")

    @contextlib.contextmanager
    def _answer(self, method: str, url: str, parameters: dict[str, str]) -> Iterator[requests.Response]:
        """Give the answer of the address, or of the one that it redirects to."""
        import requests

        shown, at, query = without_secrets(url), url, parameters
        with requests.Session() as session:
            # Neither ~/.netrc nor another variable may add credentials.
            session.trust_env = False
            session.proxies = requests.utils.get_environ_proxies(url)
            session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
            for _ in range(_MOST_REDIRECTS + 1):
                if self.allowed is not None:
                    self.allowed(at)
                with session.request(
                    method,
                    at,
                    params=query,
                    headers=self._headers(at),
                    timeout=self.timeout_s,
                    stream=True,
                    allow_redirects=False,
                ) as answer:
                    if not answer.is_redirect:
                        _judge(answer.status_code, shown)
                        yield answer
                        return
                    # The target holds the query already, if it wants it.
                    at, query = urljoin(at, answer.headers["location"]), {}
                if urlsplit(at).scheme not in ("http", "https"):
                    break
        raise Alert(f"{shown} redirects without end, or to something that is not HTTP.", "Mend the address.")

    def _headers(self, url: str) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if self.token and _server(url) == _server(self.token_url):
            headers["Authorization"] = f"Token {self.token}"
        return headers


def _judge(status: int, shown: str) -> None:
    if status >= 500 or status in _PASSING:
        raise Transient(f"{shown} answers {status}")
    if status in (401, 403):
        raise Alert(
            f"{shown} answers {status}: it refuses access.", "Mend the token, or ask for the right to read."
        )
    if status in (404, 410):
        raise Alert(f"{shown} answers {status}: there is no such file.", "Look at the spelling.")
    if status != 200:
        raise Alert(f"{shown} answers {status}.", "Look at the address.")


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
