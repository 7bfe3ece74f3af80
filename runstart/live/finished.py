"""Which runs of an instrument have a result: a short index, so that a run finds the one before it at once."""

from __future__ import annotations

import bisect
import json

from runstart.errors import Transient
from runstart.storage import ObjectMissing, ObjectStore, PreconditionFailed

MOST_LISTED = 2000
_TRIES = 20


def note_finished(store: ObjectStore, instrument: str, partition_key: str) -> None:
    """Add a run to the index of its instrument; the oldest drop out of a full one.

    Raises
    ------
    Transient
        If the store is away, or others change the index all the time.
    """
    for _ in range(_TRIES):
        keys, etag = _read(store, instrument)
        if partition_key in keys:
            return
        bisect.insort(keys, partition_key)
        data = json.dumps(keys[-MOST_LISTED:]).encode()
        try:
            if etag is None:
                store.put_if_absent(_index_key(instrument), data)
            else:
                store.put_if_match(_index_key(instrument), data, etag)
        except PreconditionFailed:
            continue
        return
    raise Transient(f"The index of finished runs of {instrument} is changed by others all the time.")


def list_finished(store: ObjectStore, instrument: str) -> list[str]:
    """Return the keys of the finished runs of an instrument, the oldest first: the newest `MOST_LISTED` at most."""
    return _read(store, instrument)[0]


def find_previous(store: ObjectStore, instrument: str, partition_key: str) -> str | None:
    """Return the key of the newest finished run before this one, or None.

    Partition keys begin with the start of the run, so that their order is that of the runs.
    """
    keys, _ = _read(store, instrument)
    place = bisect.bisect_left(keys, partition_key)
    return keys[place - 1] if place else None


def _read(store: ObjectStore, instrument: str) -> tuple[list[str], str | None]:
    try:
        found = store.get(_index_key(instrument))
    except ObjectMissing:
        return [], None
    return list(json.loads(found.data)), found.etag


def _index_key(instrument: str) -> str:
    return f"live_index/{instrument}.json"
