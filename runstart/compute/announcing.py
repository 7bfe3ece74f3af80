"""Announces that environments are looked after: when they were seen last by what launches their jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable

from runstart.storage import ObjectMissing, ObjectStore

KEY = "compute/environments.json"


def announce(store: ObjectStore, names: Iterable[str], now: float) -> None:
    """Note that environments were seen.

    Parameters
    ----------
    store : ObjectStore
        Keeps it.
    names : iterable of str
        The environments.
    now : float
        Unix time in seconds.
    """
    store.put(KEY, json.dumps(dict.fromkeys(sorted(names), now)).encode())


def last_seen(store: ObjectStore) -> dict[str, float]:
    """Return when each environment was seen last, Unix time in seconds; one that never was is missing."""
    try:
        return {name: float(at) for name, at in json.loads(store.get(KEY).data).items()}
    except ObjectMissing:
        return {}
