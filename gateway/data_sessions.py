"""Data sessions and their operations as records in the object store: each user's under a folder of their own.

Whose a session is, is in its key, so that no filter has to be remembered: another user's is not found. The id of an
operation is made of the request, so that the same request in a session is the same operation, whoever of two comes first.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gateway.errors import Refusal
from runstart.errors import Transient
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

__all__ = ["DataSession", "SessionShelf", "StoredOperation", "operation_id", "tell_now"]

MOST_INPUTS = 20_000
MOST_OPERATIONS = 5_000
_PREFIX = "gateway/data_sessions"
_ID_DIGITS = 13  # hexadecimal: 52 bits, which JavaScript's numbers hold
_TRIES = 20
_READERS = 8


@dataclass(frozen=True)
class DataSession:
    """A user's session.

    Attributes
    ----------
    id : int
        Its number.
    user : str
        Whose it is.
    name : str
        For people.
    input_data : tuple
        References to files, as the user gave them.
    created, modified : str
        ISO 8601, UTC.
    """

    id: int
    user: str
    name: str
    input_data: tuple[Any, ...]
    created: str
    modified: str

    @classmethod
    def from_json(cls, data: bytes) -> DataSession:
        """Return the session that was stored."""
        fields = json.loads(data)
        return cls(**{**fields, "input_data": tuple(fields["input_data"])})


@dataclass(frozen=True)
class StoredOperation:
    """An operation of a session.

    Attributes
    ----------
    id : int
        Made of the request.
    name, slug : str
        Of the data operation, for people and in Dagster.
    input_data : dict
        As the user gave it.
    things : tuple of str
        What it reads, as `gateway.access` names it.
    request_key : str
        What makes two requests the same, in whatever session.
    created : str
        ISO 8601, UTC.
    attempt : int
        Rises when one that failed is asked for again.
    run_id : str
        Its Dagster run; empty until it is launched.
    """

    id: int
    name: str
    slug: str
    input_data: dict[str, Any]
    things: tuple[str, ...]
    request_key: str
    created: str
    attempt: int = 1
    run_id: str = ""

    def to_json(self) -> bytes:
        """Return it as JSON, different for each writer."""
        return json.dumps({**asdict(self), "by": secrets.token_hex(8)}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> StoredOperation:
        """Return the operation that was stored."""
        fields = json.loads(data)
        fields.pop("by")
        return cls(**{**fields, "things": tuple(fields["things"])})


class SessionShelf:
    """The sessions of one user.

    Parameters
    ----------
    store : ObjectStore
        Keeps them.
    user : str
        Whose.
    """

    def __init__(self, store: ObjectStore, user: str) -> None:
        self._store = store
        self._user = user
        self._folder = f"{_PREFIX}/{hashlib.sha256(user.encode()).hexdigest()[:32]}"

    def sessions(self) -> list[DataSession]:
        """Return all sessions, the oldest first.

        Raises
        ------
        Transient
            The store does not answer.
        """
        keys = [key for key in self._store.list(f"{self._folder}/") if key.endswith("/session.json")]
        found = [DataSession.from_json(data) for data in self._read_all(keys)]
        return sorted(found, key=lambda session: (session.created, session.id))

    def create(self, name: str, input_data: Sequence[Any]) -> DataSession:
        """Make a session, and return it."""
        now = tell_now()
        session = DataSession(secrets.randbits(48), self._user, name, tuple(input_data), now, now)
        self._store.put_if_absent(self._session_key(session.id), json.dumps(asdict(session)).encode())
        return session

    def session(self, session_id: int) -> DataSession:
        """Return a session.

        Raises
        ------
        Refusal
            404, if this user has none of this number.
        """
        return self._read(session_id)[0]

    def change(self, session_id: int, name: str | None = None, more: Sequence[Any] = ()) -> DataSession:
        """Rename a session, or add inputs that it does not have yet; return what it is then.

        Raises
        ------
        Refusal
            404, if this user has none of this number; 400, if it would have too many inputs.
        """
        for _ in range(_TRIES):
            session, etag = self._read(session_id)
            new = [
                item
                for place, item in enumerate(more)
                if item not in session.input_data and item not in more[:place]
            ]
            inputs = (*session.input_data, *new)
            if len(inputs) > MOST_INPUTS:
                raise Refusal(400, f"A session has at most {MOST_INPUTS} inputs.")
            changed = replace(
                session,
                name=session.name if name is None else name,
                input_data=inputs,
                modified=tell_now(),
            )
            try:
                self._store.put_if_match(self._session_key(session_id), json.dumps(asdict(changed)).encode(), etag)
            except PreconditionFailed:
                continue
            return changed
        raise Transient(f"The session {session_id} is changed by others all the time.")

    def delete(self, session_id: int) -> None:
        """Remove a session with its operations; what they have made stays.

        Raises
        ------
        Refusal
            404, if this user has none of this number.
        """
        self.session(session_id)
        for key in self._store.list(f"{self._folder}/{session_id}/operations/"):
            self._store.delete(key)
        self._store.delete(self._session_key(session_id))

    def operations(self, session_id: int) -> list[StoredOperation]:
        """Return the operations of a session, the oldest first.

        Raises
        ------
        Refusal
            404, if this user has no session of this number.
        """
        self.session(session_id)
        keys = self._store.list(f"{self._folder}/{session_id}/operations/")
        found = [StoredOperation.from_json(data) for data in self._read_all(keys)]
        return sorted(found, key=lambda operation: (operation.created, operation.id))

    def operation(self, session_id: int, number: int) -> StoredOperation:
        """Return an operation of a session.

        Raises
        ------
        Refusal
            404, if this user has no such session, or it no such operation.
        """
        self.session(session_id)
        try:
            return StoredOperation.from_json(self._store.get(self._operation_key(session_id, number)).data)
        except ObjectMissing:
            raise Refusal(404, "This session has no operation of this number.") from None

    def add(self, session_id: int, operation: StoredOperation) -> StoredOperation:
        """Add an operation to a session, and return the one that counts: the first of this id.

        Raises
        ------
        Refusal
            404, if this user has no such session; 400, if it has too many operations.
        """
        if len(self.operations(session_id)) >= MOST_OPERATIONS:
            raise Refusal(400, f"A session has at most {MOST_OPERATIONS} operations.")
        try:
            self._store.put_if_absent(self._operation_key(session_id, operation.id), operation.to_json())
        except PreconditionFailed:
            return self.operation(session_id, operation.id)
        return operation

    def update(self, session_id: int, number: int, **changes: Any) -> StoredOperation:
        """Change fields of an operation, and return what it is then.

        Raises
        ------
        Refusal
            404, if it is gone.
        """
        key = self._operation_key(session_id, number)
        for _ in range(_TRIES):
            try:
                stored = self._store.get(key)
            except ObjectMissing:
                raise Refusal(404, "This session has no operation of this number.") from None
            changed = replace(StoredOperation.from_json(stored.data), **changes)
            try:
                self._store.put_if_match(key, changed.to_json(), stored.etag)
            except PreconditionFailed:
                continue
            return changed
        raise Transient(f"The operation {number} is changed by others all the time.")

    def remove(self, session_id: int, number: int) -> bool:
        """Remove an operation; return whether it was there. What it has made stays.

        Raises
        ------
        Refusal
            404, if this user has no such session.
        """
        self.session(session_id)
        key = self._operation_key(session_id, number)
        if self._store.head(key) is None:
            return False
        self._store.delete(key)
        return True

    def _read(self, session_id: int) -> tuple[DataSession, str]:
        try:
            stored = self._store.get(self._session_key(session_id))
        except ObjectMissing:
            raise Refusal(404, "There is no session of this number, or it is another user's.") from None
        return DataSession.from_json(stored.data), stored.etag

    def _read_all(self, keys: Sequence[str]) -> Iterator[bytes]:
        with ThreadPoolExecutor(_READERS) as readers:
            yield from (data for data in readers.map(self._get, keys) if data is not None)

    def _get(self, key: str) -> bytes | None:
        try:
            return self._store.get(key).data
        except ObjectMissing:
            return None  # removed meanwhile

    def _session_key(self, session_id: int) -> str:
        return f"{self._folder}/{session_id}/session.json"

    def _operation_key(self, session_id: int, number: int) -> str:
        return f"{self._folder}/{session_id}/operations/{number}.json"


def operation_id(session_id: int, request_key: str) -> int:
    """Return the number that a request has in a session."""
    digest = hashlib.sha256(f"{session_id}/{request_key}".encode()).hexdigest()
    return int(digest[:_ID_DIGITS], 16)


def tell_now() -> str:
    """Return the time in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
