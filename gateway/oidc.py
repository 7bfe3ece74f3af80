"""Tokens of an OpenID Connect issuer, beside the gateway's own: signed by the issuer, for this audience, in their time.

What they are for is in the claim `scope`: `runstart:read`, `runstart:launch` or `runstart:admin`; what they may read in
`runstart_reads`, a list of patterns, everything if it is left out. Whose they are is in the claim `sub`, which no issuer
gives to two users; others, such as names, users may choose themselves. The issuer's keys are kept, and asked for anew when
a token names another one, at most twice a minute.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.tokens import Caller, Scope, TokenReader
from runstart.errors import Transient

__all__ = ["EitherTokens", "OidcTokens"]

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
_JWT = re.compile(r"[A-Za-z0-9_-]{1,4000}\.[A-Za-z0-9_-]{1,12000}\.[A-Za-z0-9_-]{1,2000}")
_SCOPE = "runstart:"
_READS = "runstart_reads"
_LONGEST_NAME = 255
_LEEWAY_S = 30
_TIMEOUT_S = 5.0
_KEYS_AGAIN_S = 30.0
_AWAY_AGAIN_S = 5.0
_LARGEST_ANSWER = 1_000_000


class IssuerAway(Transient):
    """The issuer of tokens does not answer."""

    told = "The issuer of tokens does not answer. Try again."


class OidcTokens:
    """Knows callers by tokens of one issuer.

    Parameters
    ----------
    issuer : str
        Its address, which is in its tokens.
    audience : str
        Whom the tokens must be for.
    user : str, optional
        The claim that tells users apart.
    clock : callable, optional
        Gives seconds that only grow.
    """

    def __init__(
        self, issuer: str, audience: str, user: str = "sub", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._user = user
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._again_at = float("-inf")
        self._trouble = ""

    def find(self, text: str) -> Caller | None:
        """Return whose token this is; None if it is no token for this gateway, or says nothing of what it is for.

        Raises
        ------
        Transient
            The issuer's keys are needed, and it does not answer.
        """
        import jwt

        if not _JWT.fullmatch(text):
            return None
        try:
            key = self._find_key(str(jwt.get_unverified_header(text).get("kid", "")))
            if key is None:
                return None
            claims = jwt.decode(
                text,
                key,
                _ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", self._user]},
            )
        except jwt.InvalidTokenError:
            return None
        return _caller(claims, self._user)

    def _find_key(self, name: str) -> Any:
        # Who has a key that is known waits for nobody, nor does anybody while the issuer is known to be away.
        if name not in self._keys and not (self._trouble and self._lock.locked()):
            with self._lock:
                if name not in self._keys and self._clock() >= self._again_at:
                    self._ask()
        if name not in self._keys and self._trouble:
            raise IssuerAway(self._trouble)
        return self._keys.get(name)

    def _ask(self) -> None:
        """Fetch the keys; what is known stays if the issuer does not answer."""
        try:
            self._keys, self._trouble = self._fetch_keys(), ""
            self._again_at = self._clock() + _KEYS_AGAIN_S
        except IssuerAway as error:
            self._trouble = str(error)
            self._again_at = self._clock() + _AWAY_AGAIN_S

    def _fetch_keys(self) -> dict[str, Any]:
        import jwt

        address = _fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration").get("jwks_uri")
        # Keys of an issuer on https are believed over https only.
        if not isinstance(address, str) or not address.startswith(("https://", self._issuer[: len("http://")])):
            raise IssuerAway(f"{self._issuer} names no keys that can be believed.")
        try:
            keys = jwt.PyJWKSet.from_dict(dict(_fetch(address)))
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise IssuerAway(f"{address} has no keys: {error}") from error
        # A shared secret that is published is none.
        return {str(key.key_id or ""): key for key in keys.keys if key.key_type != "oct"}


class EitherTokens:
    """Knows callers by the first of several readers that knows them.

    Parameters
    ----------
    *readers : TokenReader
        In their order.
    """

    def __init__(self, *readers: TokenReader) -> None:
        self._readers = readers

    def find(self, text: str) -> Caller | None:
        """Return whose token this is, or None."""
        return next((caller for reader in self._readers if (caller := reader.find(text)) is not None), None)


def _caller(claims: Mapping[str, Any], user: str) -> Caller | None:
    words = str(claims.get("scope", "")).split()
    scopes = [scope for scope in Scope if f"{_SCOPE}{scope}" in words]
    reads = claims.get(_READS, ["*"])
    name = claims[user]
    if not scopes or not isinstance(reads, list) or not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        return None
    return Caller(name, scopes[-1], tuple(map(str, reads)))


def _fetch(address: str) -> Mapping[str, Any]:
    import requests

    try:
        with requests.get(address, timeout=_TIMEOUT_S, stream=True, allow_redirects=False) as answer:
            answer.raise_for_status()
            data = answer.raw.read(_LARGEST_ANSWER, decode_content=True)
        table = json.loads(data)
    except (requests.RequestException, ValueError, OSError) as error:
        raise IssuerAway(f"{address} does not answer: {error}") from error
    if not isinstance(table, dict):
        raise IssuerAway(f"{address} does not answer with a JSON object.")
    return table
