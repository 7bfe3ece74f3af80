"""Removes what has been computed: named entries, or all that are older than a time.

The entry goes first, so that a kill leaves nothing that looks complete, and the claim last: who computes the key just
then loses its claim, and its next output ends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runstart.errors import Alert
from runstart.operation_kit.entry import FOLDER, entry_folder
from runstart.operation_kit.keys import is_key
from runstart.storage import ObjectMissing, ObjectStore

_SHORTEST_BEGINNING = 6
_ENTRY, _CLAIM = "entry.json", "claim.json"


@dataclass(frozen=True)
class Kept:
    """A key of which something is kept.

    Attributes
    ----------
    key : str
        The cache key.
    at : datetime or None
        When it was last computed or claimed; None if neither can be read.
    """

    key: str
    at: datetime | None


def find_key(store: ObjectStore, text: str) -> str:
    """Return the key that a text names: a key, an output's basename, or the beginning of one key.

    Raises
    ------
    Alert
        If it names none, or several.
    """
    beginning = text.partition("-")[0]
    if len(beginning) < _SHORTEST_BEGINNING or not set(beginning) <= set("0123456789abcdef"):
        raise Alert(f"{text!r} is no key of a data operation.", "Give a key, or at least its first 6 digits.")
    keys = list(_keys(store, beginning))
    if not keys:
        raise Alert(
            f"No key of a data operation begins with {beginning}.", "Look at the spelling, and at the store."
        )
    if len(keys) > 1:
        raise Alert(f"{len(keys)} keys begin with {beginning}.", "Give more of its digits.")
    return keys[0]


def list_kept(store: ObjectStore) -> Iterator[Kept]:
    """Yield every key of which something is kept, half-made ones too."""
    for key in _keys(store, ""):
        folder = entry_folder(key)
        times = [
            time
            for time in (
                _time(store, f"{folder}/{_ENTRY}", "made_at"),
                _time(store, f"{folder}/{_CLAIM}", "at"),
            )
            if time is not None
        ]
        yield Kept(key, max(times, default=None))


def remove(store: ObjectStore, key: str) -> int:
    """Remove all that is kept of a key, and return the number of objects."""
    folder = entry_folder(key)
    order = {f"{folder}/{_ENTRY}": 0, f"{folder}/{_CLAIM}": 2}
    objects = sorted(store.list(f"{folder}/"), key=lambda name: order.get(name, 1))
    for name in objects:
        store.delete(name)
    return len(objects)


def _keys(store: ObjectStore, beginning: str) -> Iterator[str]:
    found = (name.split("/")[1] for name in store.list(f"{FOLDER}/{beginning}"))
    return (key for key in dict.fromkeys(found) if is_key(key))


def _time(store: ObjectStore, name: str, field: str) -> datetime | None:
    try:
        fields: Any = json.loads(store.get(name).data)
        time = datetime.fromisoformat(fields[field])
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return None
    return time if time.tzinfo is not None else None
