"""Fetches a script from an HTTP server: text as it is, or a JSON string as some facilities' servers give it."""

from __future__ import annotations

import time
from urllib.parse import urljoin, urlsplit, urlunsplit

from runstart.errors import Alert, Transient
from runstart.scripts.sources import MOST_BYTES

_CONNECT_S, _READ_S, _WHOLE_S = 5.0, 10.0, 30.0
_MOST_REDIRECTS = 5
_PASSING = {408, 425, 429}
_ANSWERS = {401: "refuses the token", 403: "does not allow it", 404: "has no such script", 410: "has it no more"}


def fetch_from_url(url: str, token: str | None) -> tuple[bytes, str]:
    """Return the text and where it came from.

    Parameters
    ----------
    url : str
        http:// or https://.
    token : str or None
        Sent as `Authorization: Bearer` to the server of `url` alone.

    Raises
    ------
    Alert
        The server refuses, or does not have it.
    Transient
        It does not answer, or is in trouble.
    """
    import requests

    shown = _without_secrets(url)
    deadline = time.monotonic() + _WHOLE_S
    try:
        with requests.Session() as session:
            # Neither ~/.netrc nor a proxy's variables may add credentials or send the token elsewhere.
            session.trust_env = False
            at = url
            for _ in range(_MOST_REDIRECTS + 1):
                headers = {"Accept": "text/x-python, text/plain, application/json;q=0.9, */*;q=0.5"}
                if token is not None and _same_server(at, url):
                    headers["Authorization"] = f"Bearer {token}"
                with session.get(
                    at, headers=headers, timeout=(_CONNECT_S, _READ_S), stream=True, allow_redirects=False
                ) as answer:
                    if not answer.is_redirect:
                        return _judge(answer, shown, deadline), shown
                    at = urljoin(at, answer.headers["location"])
                if urlsplit(at).scheme not in ("http", "https"):
                    raise Alert(f"{shown} redirects to something that is not HTTP.", "Mend the address.")
    except requests.RequestException as problem:
        # Their texts hold the address, and with it whatever secret somebody wrote into it.
        raise Transient(f"{shown} does not answer: {type(problem).__name__}") from None
    raise Alert(f"{shown} redirects without end.", "Mend the address.")


def _judge(answer: object, shown: str, deadline: float) -> bytes:
    import requests

    assert isinstance(answer, requests.Response)  # noqa: S101 - for the type checker
    status = answer.status_code
    if status >= 500 or status in _PASSING:
        raise Transient(f"{shown} answers {status}")
    if status != 200:
        raise Alert(f"{shown} answers {status}: it {_ANSWERS.get(status, 'refuses')}.", "Mend address or token.")
    body = bytearray()
    # Small pieces, since a slow server is noticed only between them.
    for piece in answer.iter_content(1024):
        body += piece
        # As JSON a character can be six times as long.
        if len(body) > 6 * MOST_BYTES:
            raise Alert(f"The script at {shown} is longer than {MOST_BYTES:,} bytes.", "Make it shorter.")
        if time.monotonic() > deadline:
            raise Transient(f"{shown} took longer than {_WHOLE_S:g} s")
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return bytes(body)
    import json

    try:
        text = json.loads(body)
    except ValueError:
        text = None
    if not isinstance(text, str):
        raise Alert(
            f"{shown} gives JSON that is not one string.", "Serve the script's text, or a JSON string of it."
        )
    return text.encode("utf-8", "replace")


def _same_server(one: str, other: str) -> bool:
    a, b = urlsplit(one), urlsplit(other)
    return (a.scheme, a.hostname, a.port) == (b.scheme, b.hostname, b.port)


def _without_secrets(url: str) -> str:
    """Return an address without user, password and query, where people put tokens."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path, "", ""))
