"""Who may read what: a result is answered only to those who may read what it was made of.

Things have names of the form `kind/name`: `instrument/MERLIN`, `microscope/NCEM`, `site/ogg`, `exposure/SOURCE/BASENAME`,
`operation/KEY`. A token's patterns say which of them its caller may read. For a result, the inputs are kept in the
object store; equal inputs may be known under several names, and those who may read one set of them may read it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Container, Iterable

from gateway.errors import Refusal
from gateway.tokens import Caller
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

__all__ = ["AccessBook", "check_declared", "check_reads"]

_PREFIX = "gateway/access/"
_MOST_SETS = 100


def check_reads(caller: Caller, *things: str) -> None:
    """Refuse a caller who may not read all of these things, as if they did not exist.

    Parameters
    ----------
    caller : Caller
        Who asks.
    *things : str
        Names such as `instrument/MERLIN`.

    Raises
    ------
    Refusal
        404, naming the first one.
    """
    for thing in things:
        if not caller.may_read(thing):
            raise _not_there(thing.partition("/")[0])


def check_declared(caller: Caller, kind: str, name: str, declared: Container[str]) -> None:
    """Refuse a thing that is not declared, and one that the caller may not read, alike.

    Parameters
    ----------
    caller : Caller
        Who asks.
    kind, name : str
        Such as `instrument` and `MERLIN`.
    declared : container of str
        The names of this kind that there are.

    Raises
    ------
    Refusal
        404.
    """
    check_reads(caller, f"{kind}/{name}")
    if name not in declared:
        raise _not_there(kind)


def _not_there(kind: str) -> Refusal:
    return Refusal(404, f"There is no {kind} of this name, or this token may not read it.")


class AccessBook:
    """What results were made of, in an object store.

    Parameters
    ----------
    store : ObjectStore
        Keeps it.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def note(self, result: str, inputs: Iterable[str]) -> None:
        """Keep what a result is made of; noting the same again changes nothing.

        Parameters
        ----------
        result : str
            Such as `operation/KEY`.
        inputs : iterable of str
            Names of things.

        Raises
        ------
        Transient
            The store does not answer.
        """
        new = sorted(set(inputs))
        while True:
            known, etag = self._read(result)
            if new in known:
                return
            # The newest sets are kept: who made a result just now must be able to read it.
            table = {"result": result, "inputs": [*known, new][-_MOST_SETS:], "by": secrets.token_hex(8)}
            data = json.dumps(table).encode()
            try:
                if etag is None:
                    self._store.put_if_absent(_key(result), data)
                else:
                    self._store.put_if_match(_key(result), data, etag)
            except PreconditionFailed:
                continue
            return

    def may_read(self, caller: Caller, result: str) -> bool:
        """Tell whether a caller may read a result: by its inputs, never if they are not known.

        Parameters
        ----------
        caller : Caller
            Who asks.
        result : str
            Such as `operation/KEY`.

        Raises
        ------
        Transient
            The store does not answer.
        """
        known, _ = self._read(result)
        return any(all(caller.may_read(thing) for thing in inputs) for inputs in known)

    def _read(self, result: str) -> tuple[list[list[str]], str | None]:
        try:
            stored = self._store.get(_key(result))
        except ObjectMissing:
            return [], None
        known: list[list[str]] = json.loads(stored.data)["inputs"]
        return known, stored.etag


def _key(result: str) -> str:
    return f"{_PREFIX}{hashlib.sha256(result.encode()).hexdigest()}.json"
