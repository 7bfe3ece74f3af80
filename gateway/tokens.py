"""Bearer tokens: made once, shown once, kept only as their SHA-256 with a name, a scope and what they may read.

A scope holds those before it: `admin` may launch, `launch` may read. A token that is revoked or past its time is
unknown; every gateway reads it anew at each request, so that this holds at once everywhere. Routes get their callers
by the dependencies `Reader`, `Launcher` and `Administrator` of `gateway.context`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from runstart.errors import Alert
from runstart.storage import ObjectMissing, ObjectStore

__all__ = ["Caller", "Scope", "Token", "TokenBook", "TokenReader"]

_PREFIX = "gateway/tokens/"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_MARK = "runstart_"
_TEXT = re.compile(rf"{_MARK}[A-Za-z0-9_-]{{43}}")
_ID_LENGTH = 12
_DAY_S = 86_400.0
_MOST_DAYS = 36_500


class Scope(StrEnum):
    """What a token is for; each holds those before it."""

    READ = "read"
    LAUNCH = "launch"
    ADMIN = "admin"

    def holds(self, other: Scope) -> bool:
        """Tell whether this scope holds another."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Caller:
    """Who asks, by a bearer token.

    Attributes
    ----------
    name : str
        The user.
    scope : Scope
        What the user may do.
    reads : tuple of str
        Patterns of what the user may read, such as `instrument/*`: see `gateway.access`.
    """

    name: str
    scope: Scope
    reads: tuple[str, ...] = ("*",)

    def may_read(self, thing: str) -> bool:
        """Tell whether the caller may read a thing, such as `instrument/MERLIN`."""
        return any(fnmatchcase(thing, pattern) for pattern in self.reads)


class TokenReader(Protocol):
    """Knows callers by their tokens."""

    def find(self, text: str) -> Caller | None:
        """Return whose token this is, or None."""


class Token(BaseModel):
    """What is kept of a token.

    Attributes
    ----------
    id : str
        The beginning of its SHA-256.
    name : str
        The user's.
    scope : Scope
        What it is for.
    reads : tuple of str
        Patterns of what it may read.
    made_at, ends_at : float
        Epoch seconds; `ends_at` is None for a token without end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    scope: Scope
    reads: tuple[str, ...]
    made_at: float
    ends_at: float | None


class TokenBook:
    """The tokens in an object store.

    Parameters
    ----------
    store : ObjectStore
        Keeps them.
    clock : callable, optional
        Gives epoch seconds.
    """

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def new(
        self, name: str, scope: Scope, reads: Sequence[str] = ("*",), days: float | None = None
    ) -> tuple[str, Token]:
        """Make a token; return its text, which nobody can read again, and what is kept.

        Parameters
        ----------
        name : str
            The user's; several tokens may have it.
        scope : Scope
            What it is for.
        reads : sequence of str, optional
            Patterns of what it may read; everything by default.
        days : float, optional
            Its life; without end by default.

        Raises
        ------
        Alert
            The name, a pattern or the life is not as it should be.
        Transient
            The store does not answer.
        """
        if not _NAME.fullmatch(name):
            raise Alert(f"{name[:100]!r} cannot be a user's name.", "Use letters, digits and . _ @ + -")
        if days is not None and not 0 < days <= _MOST_DAYS:
            raise Alert(f"A token cannot live {days:g} days.", f"Give a number above 0, and at most {_MOST_DAYS}.")
        if not reads or not all(reads):
            raise Alert("A token that may read nothing is of no use.", "Give patterns such as instrument/*.")
        text = _MARK + secrets.token_urlsafe(32)
        digest = _digest(text)
        now = self._clock()
        ends_at = None if days is None else now + days * _DAY_S
        token = Token(
            id=digest[:_ID_LENGTH], name=name, scope=scope, reads=tuple(reads), made_at=now, ends_at=ends_at
        )
        self._store.put_if_absent(_key(digest), token.model_dump_json().encode())
        return text, token

    def find(self, text: str) -> Caller | None:
        """Return whose token this is, or None if it is none, revoked, or past its time.

        Raises
        ------
        Transient
            The store does not answer.
        """
        if not _TEXT.fullmatch(text):
            return None
        token = self._read(_key(_digest(text)))
        if token is None or self._is_over(token):
            return None
        return Caller(token.name, token.scope, token.reads)

    def list(self) -> list[Token]:
        """Return what is kept of all tokens, by name; those past their time too."""
        found = (self._read(key) for key in self._store.list(_PREFIX))
        return sorted(
            (token for token in found if token is not None), key=lambda token: (token.name, token.made_at)
        )

    def revoke(self, token_id: str) -> Token:
        """Remove a token, at once for every gateway; return what was kept of it.

        Raises
        ------
        Alert
            There is none with this id.
        """
        for token in self.list():
            if token.id == token_id:
                for key in self._store.list(_PREFIX + token_id):
                    self._store.delete(key)
                return token
        raise Alert(f"There is no token {token_id[:80]!r}.", "See `runstart gateway token list`.")

    def _read(self, key: str) -> Token | None:
        try:
            return Token.model_validate_json(self._store.get(key).data)
        except ObjectMissing:
            return None
        except ValidationError as error:
            raise Alert(f"The token {key} cannot be read: {error.errors()[0]['msg']}.", "Remove it.") from None

    def _is_over(self, token: Token) -> bool:
        return token.ends_at is not None and token.ends_at <= self._clock()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _key(digest: str) -> str:
    return f"{_PREFIX}{digest}.json"
