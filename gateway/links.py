"""Links that expire: an address signed with the gateway's key opens one object until its time is over.

The key is made once, by the first gateway that needs it, and lies in the object store, which holds everything that a link
could open anyway; so any gateway takes the links of any other, and removing the key ends all links.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.errors import Refusal
from runstart.storage import ObjectMissing, PreconditionFailed

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

KEY = "gateway/link_key"
LINK_SECONDS = 24 * 3600
_STEP_SECONDS = 3600  # so that an address stays the same for a while, and a browser keeps what it has
_KEY_BYTES = 32


class Links:
    """Signs and checks addresses.

    Parameters
    ----------
    store : ObjectStore
        Has the key.
    clock : callable, optional
        Time in s since 1970.
    """

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def sign(self, path: str) -> str:
        """Return an address of a path that opens it for a day.

        Raises
        ------
        Transient
            The store does not answer.
        """
        expires = (int(self._clock()) // _STEP_SECONDS + 1) * _STEP_SECONDS + LINK_SECONDS
        return f"{path}?expires={expires}&signature={self._signature(path, expires)}"

    def check(self, path: str, expires: int, signature: str) -> None:
        """Refuse an address that was not signed so, or whose time is over.

        Raises
        ------
        Refusal
            403 in either case.
        """
        if not hmac.compare_digest(self._signature(path, expires).encode(), signature.encode()):
            raise Refusal(403, "This link is not one that was given out. Ask for the operation again.")
        if expires <= self._clock():
            raise Refusal(403, "This link is no longer valid. Ask for the operation again.")

    def _signature(self, path: str, expires: int) -> str:
        return hmac.new(self._key(), f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        try:
            return self._store.get(KEY).data
        except ObjectMissing:
            made = secrets.token_bytes(_KEY_BYTES)
        try:
            self._store.put_if_absent(KEY, made)
        except PreconditionFailed:
            return self._store.get(KEY).data
        return made
