"""Which store a session belongs to: deployments that share a machine each clean up what is theirs, and nothing else.

The name of a store is an object in it, made at the first need: it is the same from wherever the store is reached, and
no two stores have the same.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from typing import TYPE_CHECKING

from runstart.errors import Alert
from runstart.sessions.records import SESSIONS_PREFIX
from runstart.storage import ObjectMissing, PreconditionFailed

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

STORE_KEY = f"{SESSIONS_PREFIX}store-identity"

_IDENTITY = re.compile(rb"[0-9a-f]{16}")


def store_identity(store: ObjectStore) -> str:
    """Return the name of a store: 16 hexadecimal digits.

    Raises
    ------
    Alert
        What stands in its place is none.
    Transient
        The store does not answer.
    """
    try:
        data = store.get(STORE_KEY).data
    except ObjectMissing:
        # Of several that make it at once the first one wins.
        with contextlib.suppress(PreconditionFailed):
            store.put_if_absent(STORE_KEY, secrets.token_hex(8).encode())
        data = store.get(STORE_KEY).data
    if _IDENTITY.fullmatch(data) is None:
        what = f"The object {STORE_KEY} does not name the store: {data[:50]!r}."
        raise Alert(what, "Remove it when no session runs; the next session makes it anew.")
    return data.decode()
