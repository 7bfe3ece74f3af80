"""The conditions that last, as an object in the store: what pages show beside an instrument, with or without channels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runstart.alerts.judging import Known, Memory
from runstart.storage import ObjectMissing

if TYPE_CHECKING:
    from runstart.storage import ObjectStore

KEY = "alerts/known.json"


def show_known(store: ObjectStore, memory: Memory) -> None:
    """Put the conditions that last where pages find them; what has not changed is not put again.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    told = [known.as_dict() for known in memory.values()]
    data = json.dumps([{"condition": each["condition"], "told_at": each["told_at"]} for each in told]).encode()
    if _read(store) != data:
        store.put(KEY, data)


def read_known(store: ObjectStore) -> list[Known]:
    """Return the conditions that last; none if none was ever put, or another version wrote them.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    data = _read(store)
    if data is None:
        return []
    try:
        return [Known.from_dict({**entry, "seen_at": entry["told_at"]}) for entry in json.loads(data)]
    except (ValueError, TypeError, KeyError):
        return []


def _read(store: ObjectStore) -> bytes | None:
    try:
        return store.get(KEY).data
    except ObjectMissing:
        return None
