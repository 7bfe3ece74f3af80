"""Reads from the object store what the nightly rule has to know of each run.

Runs are looked at by several threads, the newest first, and for a bounded time: a schedule's tick must end. What was
not looked at, or cannot be understood, is counted and told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from runstart.errors import Alert
from runstart.live import load_result, read_head
from runstart.live.head import Head, Version
from runstart.metrics import live_status_key
from runstart.storage import ObjectMissing, ObjectStore
from runstart.upkeep.reduce_again import Made, RunState

FRESH_SECONDS = 300.0  # a live run renews its status every few seconds; a store may be away for minutes
_THREADS = 8


@dataclass(frozen=True)
class Launches:
    """What Dagster knows of a run's launches.

    Attributes
    ----------
    unfinished : bool
        Whether one is queued, works, or waits for Dagster's retry.
    terminated, check_failed : bool
        See `RunState`.
    nights : int
        See `RunState`.
    nightly_run_ids : frozenset of str
        Dagster's ids of all launches of nights.
    """

    unfinished: bool = False
    terminated: bool = False
    check_failed: bool = False
    nights: int = 0
    nightly_run_ids: frozenset[str] = frozenset()


@dataclass
class Examination:
    """What was found.

    Attributes
    ----------
    states : list of RunState
        The runs that were looked at.
    skipped : int
        Runs for which there was no time.
    unreadable : int
        Runs whose head or result is damaged.
    """

    states: list[RunState] = field(default_factory=list)
    skipped: int = 0
    unreadable: int = 0


class _Unknown(Enum):
    SKIPPED = 1
    UNREADABLE = 2


def examine_runs(
    store: ObjectStore,
    runs: Iterable[tuple[str, str]],
    launches: Mapping[tuple[str, str], Launches],
    *,
    seconds: float,
    clock: Callable[[], float] = time.time,
) -> Examination:
    """Return the states of runs.

    Parameters
    ----------
    store : ObjectStore
        Holds heads and results.
    runs : iterable of (str, str)
        Instrument and partition key of each.
    launches : mapping of (str, str) to Launches
        What Dagster knows of them; a run that is not there was never launched, or long ago.
    seconds : float
        No further run is looked at after so long.
    clock : callable, optional
        Seconds since 1970.

    Raises
    ------
    Transient
        If the store does not answer.
    """
    newest_first = sorted(runs, key=lambda run: run[1], reverse=True)
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="examination") as pool:
        examine = partial(_examine, store, launches, deadline, clock())
        found = list(pool.map(examine, newest_first))
    states = [state for state in found if isinstance(state, RunState)]
    return Examination(states, found.count(_Unknown.SKIPPED), found.count(_Unknown.UNREADABLE))


def _examine(
    store: ObjectStore,
    launches: Mapping[tuple[str, str], Launches],
    deadline: float,
    now: float,
    run: tuple[str, str],
) -> RunState | _Unknown:
    if time.monotonic() > deadline:
        return _Unknown.SKIPPED
    known = launches.get(run, Launches())
    if known.unfinished:
        return RunState(*run, live=True)
    try:
        return _read(store, *run, known, now)
    except (Alert, ValueError, TypeError, KeyError, AttributeError):
        return _Unknown.UNREADABLE  # one damaged run must not keep the others from their night


def _read(store: ObjectStore, instrument: str, partition_key: str, known: Launches, now: float) -> RunState:
    head = read_head(store, instrument, partition_key)
    latest = head.versions[-1] if head.versions else None
    made = {
        version.number: _made(store, version, known) for version in (head.current, latest) if version is not None
    }
    return RunState(
        instrument,
        partition_key,
        launched=head.epoch > 0,
        current=None if head.current is None else made[head.current.number],
        latest=None if latest is None else made[latest.number],
        live=not head.released and _is_live(store, head, instrument, partition_key, now),
        terminated=known.terminated,
        check_failed=known.check_failed,
        nights=known.nights,
    )


def _made(store: ObjectStore, version: Version, known: Launches) -> Made | None:
    """Return what is known of a version; None if somebody has removed its files."""
    try:
        result = load_result(store, version)
    except ObjectMissing:
        return None
    return Made(
        code_version=result.code_version,
        script_sha256=getattr(result, "script_sha256", ""),
        complete=not result.shortcomings,
        nightly=version.run_id in known.nightly_run_ids or version.root_run_id in known.nightly_run_ids,
    )


def _is_live(store: ObjectStore, head: Head, instrument: str, partition_key: str, now: float) -> bool:
    """Tell whether somebody else than Dagster's runs holds the lease; a killed process leaves it behind."""
    try:
        status = json.loads(store.get(live_status_key(instrument, partition_key)).data)
        return bool(status["dagster_run_id"] == head.run_id and now - status["written_at"] < FRESH_SECONDS)
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return False
