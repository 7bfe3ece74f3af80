"""Finds the status of runs whose process is long gone.

A live run renews `live_status/INSTRUMENT/RUN.json` and deletes it when it ends; a process that was killed leaves it.
What is a day old, or cannot be read, belongs to nobody: a run that is live writes it again within seconds.
"""

from __future__ import annotations

import json
import time

from runstart.metrics import LIVE_STATUS_FOLDER
from runstart.storage import ObjectMissing, ObjectStore


def find_orphaned_status(store: ObjectStore, age_seconds: float, now: float | None = None) -> list[str]:
    """Return the keys of status objects that were written longer ago than `age_seconds`, or cannot be read.

    Parameters
    ----------
    store : ObjectStore
        Where they lie.
    age_seconds : float
        Younger ones may be a live run's.
    now : float, optional
        Seconds since 1970.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    limit = (time.time() if now is None else now) - age_seconds
    return [key for key in store.list(f"{LIVE_STATUS_FOLDER}/") if _written_at(store, key) < limit]


def _written_at(store: ObjectStore, key: str) -> float:
    try:
        return float(json.loads(store.get(key).data)["written_at"])
    except ObjectMissing:
        return float("inf")  # its run has just ended
    except (ValueError, KeyError, TypeError):
        return float("-inf")
