"""Times on a way through a pipeline, carried by messages themselves: one a second, the others cost nothing.

A source gives a message a list; each operator behind it adds when the message came in, when work on it began and ended,
and when it went out. On the wire each entry has the `id` of its port or operator and times in ISO 8601; whoever has no
outputs hands the list to the session, with names of operators and Unix seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid5

from runstart.operators.messages import Entries

_EVERY_S = 1.0
_NAMESPACE = UUID("2d3f7c52-8f0e-5a0c-9a3b-6f6b1c6a5f10")
_TIMES = ("time_after_header_validate", "time_before_operate", "time_after_operate", "time_before_send")


class Tracker:
    """Adds the times of one operator.

    Parameters
    ----------
    place : str
        What tells this process from all others.
    operator : str
        Its name, as people know it.
    is_source : bool
        Whether it gives lists to messages, having no inputs.
    """

    def __init__(self, place: str, operator: str, *, is_source: bool) -> None:
        self._operator, self._is_source = operator, is_source
        self._due_at = time.monotonic()
        self._identity = cache(lambda port: str(uuid5(_NAMESPACE, f"{place} {port}")))

    def arrived(self, entries: Entries, port: str) -> None:
        """Note that a message has come in by a port."""
        entries.append(self._entry(f"input {port}", time_after_header_validate=now()))

    def begin(self) -> Entries | None:
        """Return a list for a message that a source is about to make, if it is time for one."""
        if not self._is_source or time.monotonic() < self._due_at:
            return None
        self._due_at = time.monotonic() + _EVERY_S
        return []

    def operated(self, entries: Entries, began: str) -> Entries:
        """Return a list with the times of the operator's work."""
        return [*entries, self._entry("operator", time_before_operate=began, time_after_operate=now())]

    def sent(self, entries: Entries, port: str) -> Entries:
        """Return a list with the time at which its message goes out by a port."""
        return [*entries, self._entry(f"output {port}", time_before_send=now())]

    def _entry(self, port: str, **times: str) -> dict[str, Any]:
        return {"id": self._identity(port), "operator": self._operator, **times}


def now() -> str:
    """Return the time as it is written: ISO 8601, UTC, with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read_time(value: Any) -> float | None:
    """Return a time in Unix seconds; it is read from ISO 8601 or from Unix seconds. None if it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    # One without a zone is in UTC, as all of them are.
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def for_session(entries: Iterable[dict[str, Any]]) -> Entries:
    """Return a list as a session takes it: the operator's name, or else the `id`, as `id`; times in Unix seconds."""
    told = []
    for entry in entries:
        read = {name: read_time(entry.get(name)) for name in _TIMES}
        known = {name: value for name, value in read.items() if value is not None}
        told.append({"id": str(entry.get("operator") or entry.get("id")), **known})
    return told
