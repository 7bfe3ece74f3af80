"""The audit log: who changed what, when, and how it ended; one object a change, never written over.

Texts, signatures and tokens of callers are not in it, only names and ids.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from runstart.errors import Alert
from runstart.storage import ObjectMissing, ObjectStore

__all__ = ["AuditLog"]

_PREFIX = "gateway/audit/"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LONGEST = 400  # characters of a detail


class AuditLog:
    """The audit log in an object store.

    Parameters
    ----------
    store : ObjectStore
        Keeps it, under `gateway/audit/DAY/`.
    clock : callable, optional
        Gives epoch seconds.
    """

    def __init__(self, store: ObjectStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def write(self, who: str, action: str, subject: str, **details: str | float | None) -> str:
        """Write one change, and return its key.

        Parameters
        ----------
        who : str
            A user's name or a signer's address.
        action : str
            Such as `compute.start`.
        subject : str
            Id or name of what was changed.
        **details : str or float or None
            More, such as the outcome.

        Raises
        ------
        Transient
            The store does not answer; then the change must not be made, or be told as not known.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        entry: dict[str, Any] = {"at": now.isoformat(timespec="microseconds"), "who": who, "action": action}
        entry |= {"subject": subject[:_LONGEST], **{name: _short(value) for name, value in details.items()}}
        key = f"{_PREFIX}{now:%Y-%m-%d}/{now:%H%M%S.%f}-{secrets.token_hex(6)}.json"
        self._store.put_if_absent(key, json.dumps(entry).encode())
        return key

    def list(self, day: str) -> list[dict[str, Any]]:
        """Return the changes of a day, in order of time.

        Parameters
        ----------
        day : str
            Of UTC, such as `2026-01-31`.

        Raises
        ------
        Alert
            This is no day.
        Transient
            The store does not answer.
        """
        if not _DAY.fullmatch(day):
            raise Alert(f"{day[:40]!r} is no day.", "Write it like 2026-01-31.")
        found = []
        for key in self._store.list(f"{_PREFIX}{day}/"):
            try:
                found.append(json.loads(self._store.get(key).data))
            except ObjectMissing:
                continue
        return found


def _short(value: str | float | None) -> str | float | None:
    return value[:_LONGEST] if isinstance(value, str) else value
