"""One computation of a key at a time, among all processes that share the object store.

Who wants to compute puts `claim.json` if it is absent, and renews it while computing. Others wait for the entry. A
claim that has not changed for its lease, by the waiter's own clock, is taken over by a conditional put: of several who
try, one succeeds. The entry is put only if it is absent, so the first to finish decides, and nobody's clock does. The
time in a claim is for pruning only.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType

from runstart.errors import Alert, Transient
from runstart.operation_kit.entry import Entry, entry_folder, load_entry
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

LEASE_SECONDS = 15.0
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class _Seen:
    """A claim as it was read."""

    etag: str
    attempt: int
    owner: str
    released: bool


class Claim:
    """The right to compute a key; a context manager that renews it, and gives it up at the end.

    Attributes
    ----------
    attempt : int
        Counts the claims of this key, from 1.
    folder : str
        Folder of its outputs, which no other claim has, not even one after this one was deleted.
    """

    def __init__(
        self, store: ObjectStore, key: str, attempt: int, owner: str, etag: str, lease_seconds: float
    ) -> None:
        self.attempt = attempt
        self.folder = f"{entry_folder(key)}/{attempt}-{owner[:12]}"
        self._store = store
        self._key = key
        self._owner = owner
        self._etag = etag
        self._interval = lease_seconds / 4
        self._lost = threading.Event()
        self._done = threading.Event()
        self._failure: Alert | OSError | None = None
        self._beat = 0
        self._thread = threading.Thread(target=self._renew, name=f"claim {key[:8]}", daemon=True)

    def __enter__(self) -> Claim:
        """Begin to renew."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the claim up, so that nobody has to wait for its lease."""
        self._done.set()
        self._thread.join()
        if not self._lost.is_set():
            try:
                self._put(released=True)
            except (PreconditionFailed, Transient):
                return  # its lease ends by itself

    def check(self) -> None:
        """Go on only while the claim is held.

        Raises
        ------
        Alert
            The store refuses to renew it.
        Transient
            Another process has taken over, or the store failed.
        """
        if not self._lost.is_set():
            return
        if isinstance(self._failure, Alert):
            raise self._failure
        if self._failure is not None:
            what = f"The claim to the computation of {self._key[:12]} cannot be renewed: {self._failure}."
            raise Transient(what) from self._failure
        raise Transient(f"Another process has taken over the computation of {self._key[:12]}.")

    def _renew(self) -> None:
        try:
            self._renew_until_done()
        except PreconditionFailed:
            return
        except (Alert, OSError) as error:
            self._failure = error
        finally:
            # However this thread ends: nobody renews the claim any longer.
            if not self._done.is_set():
                self._lost.set()

    def _renew_until_done(self) -> None:
        while not self._done.wait(self._interval):
            try:
                self._put(released=False)
            except Transient:
                continue  # whether it happened is not known: the next put finds out

    def _put(self, *, released: bool) -> None:
        self._beat += 1
        data = _claim_bytes(self.attempt, self._owner, self._beat, released)
        try:
            self._etag = self._store.put_if_match(_place(self._key), data, self._etag)
        except PreconditionFailed:
            seen = _read(self._store, self._key)
            if seen is None or seen.owner != self._owner:
                raise
            # An earlier put of ours, whose answer was lost.
            self._etag = self._store.put_if_match(_place(self._key), data, seen.etag)


def claim_or_wait(
    store: ObjectStore,
    key: str,
    *,
    on_wait: Callable[[float], None] = lambda _seconds: None,
    lease_seconds: float = LEASE_SECONDS,
) -> Claim | Entry:
    """Return the key's entry as soon as there is one, or the right to compute it.

    Parameters
    ----------
    store : ObjectStore
        Shared by all who compute.
    key : str
        The request's cache key.
    on_wait : callable, optional
        Called again and again while another process computes, with the seconds waited so far.
    lease_seconds : float, optional
        Silence after which a claim may be taken over.
    """
    began = time.monotonic()
    unchanged_since, last_etag = began, ""
    while True:
        # In this order: who publishes after this look at the entry has changed the claim after the look at the claim.
        seen = _read(store, key)
        entry = load_entry(store, key)
        if entry is not None:
            return entry
        now = time.monotonic()
        if seen is None or seen.etag != last_etag:
            unchanged_since, last_etag = now, "" if seen is None else seen.etag
        free = seen is None or seen.released or now - unchanged_since > lease_seconds
        claim = _try(store, key, seen, lease_seconds) if free else None
        if claim is not None:
            return claim
        on_wait(now - began)
        time.sleep(POLL_SECONDS)


def publish(store: ObjectStore, entry: Entry) -> Entry:
    """Put an entry, and return the one that counts: the first that was put.

    An entry whose outputs were deleted is replaced.
    """
    place = f"{entry_folder(entry.key)}/entry.json"
    while True:
        etag = store.head(place)
        try:
            if etag is None:
                store.put_if_absent(place, entry.to_json())
            else:
                first = load_entry(store, entry.key)
                if first is not None:
                    return first
                store.put_if_match(place, entry.to_json(), etag)
        except PreconditionFailed:
            continue
        return entry


def _try(store: ObjectStore, key: str, seen: _Seen | None, lease_seconds: float) -> Claim | None:
    attempt, owner = 1 if seen is None else seen.attempt + 1, uuid.uuid4().hex
    data = _claim_bytes(attempt, owner, 0, released=False)
    try:
        etag = (
            store.put_if_absent(_place(key), data)
            if seen is None
            else store.put_if_match(_place(key), data, seen.etag)
        )
    except PreconditionFailed:
        return None
    return Claim(store, key, attempt, owner, etag, lease_seconds)


def _read(store: ObjectStore, key: str) -> _Seen | None:
    try:
        stored = store.get(_place(key))
    except ObjectMissing:
        return None
    try:
        fields = json.loads(stored.data)
        return _Seen(stored.etag, int(fields["attempt"]), str(fields["owner"]), bool(fields["released"]))
    except (ValueError, KeyError, TypeError):
        return _Seen(stored.etag, 0, "", released=False)  # damaged: nobody renews it, so its lease ends


def _place(key: str) -> str:
    return f"{entry_folder(key)}/claim.json"


def _claim_bytes(attempt: int, owner: str, beat: int, released: bool) -> bytes:
    # Owner and beat make every claim another content: etags of folders are digests of it.
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"attempt": attempt, "owner": owner, "beat": beat, "released": released, "at": at}).encode()
