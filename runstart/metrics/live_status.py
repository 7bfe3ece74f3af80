"""Reads the status of every run that is live now from the object store.

A live run renews its object every few seconds and removes it when it ends; the object of a process that was killed
stays, and is judged by its age. An object that cannot be understood is counted and told, and stops nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runstart.storage import ObjectMissing, ObjectStore

LIVE_STATUS_FOLDER = "live_status"
MOST_STATUSES = 500  # a facility has some forty instruments
_READERS = 8  # an object of S3 takes some 10 ms each

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ScriptStatus(_Part):
    """The newest execution of the run's reduction script."""

    sha256: str | None = None
    executed_at: Finite | None = None
    seconds: Finite | None = None
    error: str | None = None
    isolation: str = ""


class CollectorStatus(_Part):
    """One collector of the run."""

    samples: int = 0
    trouble: str | None = None


class Trouble(_Part):
    """One thing that is wrong: its kind, the name of what has it, and a text."""

    kind: str
    name: str = ""
    text: str = ""


class LiveStatus(_Part):
    """The figures of one live run, as `live_status/INSTRUMENT/RUN.json` has them.

    Times are in s since 1970, ages and lag in s, sizes in bytes, the proton charge in microampere hours.
    """

    instrument: str
    partition_key: str
    run_name: str = ""
    dagster_run_id: str = ""
    written_at: Finite
    phase: str = "counting"
    events_in_views: int = 0
    events_per_second: Finite = 0.0
    lag_seconds: Finite = 0.0
    proton_charge_uah: Finite = 0.0
    ledger: dict[str, int] = Field(default_factory=dict)
    snapshots: int = 0
    snapshot_age_seconds: Finite | None = None
    snapshot_bytes: int | None = None
    script: ScriptStatus | None = None
    collectors: dict[str, CollectorStatus] = Field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()

    def age(self, now: float) -> float:
        """Return how many seconds ago it was written; a clock that runs ahead gives 0."""
        return max(0.0, now - self.written_at)


@dataclass(frozen=True)
class LiveStatuses:
    """All that could be read.

    Attributes
    ----------
    statuses : tuple of LiveStatus
        Sorted by instrument and run.
    unreadable : tuple of str
        Keys of objects that could not be understood.
    left_out : int
        Objects that were not read because there were too many.
    """

    statuses: tuple[LiveStatus, ...]
    unreadable: tuple[str, ...] = ()
    left_out: int = 0


def live_status_key(instrument: str, partition_key: str) -> str:
    """Return the key of the object that lists a run as live."""
    return f"{LIVE_STATUS_FOLDER}/{instrument}/{partition_key}.json"


def read_live_statuses(store: ObjectStore) -> LiveStatuses:
    """Return the status of every run that is live, and of those whose process was killed.

    Parameters
    ----------
    store : ObjectStore
        Where `live_status/` lies.

    Returns
    -------
    LiveStatuses

    Raises
    ------
    Transient
        If the store does not answer.
    """
    keys = [key for key in store.list(f"{LIVE_STATUS_FOLDER}/") if key.endswith(".json")]
    taken = keys[:MOST_STATUSES]
    with ThreadPoolExecutor(_READERS) as readers:
        texts = list(readers.map(lambda key: _read(store, key), taken))
    statuses, unreadable = [], []
    for key, text in zip(taken, texts, strict=True):
        if text is None:
            continue
        try:
            status = LiveStatus.model_validate_json(text)
        except ValidationError:
            unreadable.append(key)
            continue
        if key == f"{LIVE_STATUS_FOLDER}/{status.instrument}/{status.partition_key}.json":
            statuses.append(status)
        else:
            unreadable.append(key)
    return LiveStatuses(tuple(statuses), tuple(unreadable), len(keys) - len(taken))


def _read(store: ObjectStore, key: str) -> bytes | None:
    try:
        return store.get(key).data
    except ObjectMissing:
        return None  # its run has just ended
