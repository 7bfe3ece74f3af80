"""What of old runs is given up in Dagster, so that it stays within its limits for years.

Results in the object store are never touched. A partition that stays keeps the Dagster run that made its newest
materialization, since without it the partition would look as if it had never been reduced; that run's log is
thinned instead. Every other run is given up by age or number. The newest week, and whatever is not finished, always
stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runstart.upkeep.reduce_again import start_of_key

PROTECTED_DAYS = 7
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A Dagster run.

    Attributes
    ----------
    run_id : str
        Dagster's id.
    instrument : str
        Whose run it reduces; empty for the housekeeping's own.
    partition_key : str or None
        The run that it reduces.
    created_at : float
        Seconds since 1970.
    finished : bool
        Whether it has ended.
    thin : bool
        Whether its log has been thinned.
    """

    run_id: str
    instrument: str
    partition_key: str | None
    created_at: float
    finished: bool = True
    thin: bool = False


@dataclass(frozen=True)
class Limits:
    """How much is kept.

    Attributes
    ----------
    keep_partitions : int
        Partitions of an instrument.
    keep_partition_days : int or None
        Partitions of runs that began longer ago go; None keeps them whatever their age.
    keep_run_days : int
        Dagster runs that hold no partition's newest materialization go when they are older.
    keep_runs : int
        Such Dagster runs of an instrument.
    keep_log_days : int
        Logs of older Dagster runs are thinned.
    """

    keep_partitions: int = 20_000
    keep_partition_days: int | None = None
    keep_run_days: int = 90
    keep_runs: int = 10_000
    keep_log_days: int = 30


@dataclass
class PruningPlan:
    """What goes.

    Attributes
    ----------
    partitions : dict of str to list of str
        Partition keys by instrument, the oldest first.
    delete_runs : list of str
        Dagster runs to delete, the oldest first.
    thin_runs : list of str
        Dagster runs that stay with a thinner log, the oldest first.
    """

    partitions: dict[str, list[str]] = field(default_factory=dict)
    delete_runs: list[str] = field(default_factory=list)
    thin_runs: list[str] = field(default_factory=list)


def plan_pruning(
    partitions: Mapping[str, Iterable[str]],
    runs: Iterable[KnownRun],
    holders: Iterable[str],
    limits: Limits,
    now: float,
    *,
    began: Mapping[str, Mapping[str, float]] | None = None,
) -> PruningPlan:
    """Return what goes.

    Parameters
    ----------
    partitions : mapping of str to iterable of str
        Partition keys of each instrument.
    runs : iterable of KnownRun
        All Dagster runs of these instruments, and the housekeeping's own.
    holders : iterable of str
        Ids of the runs that made the newest materialization of a partition.
    limits : Limits
        How much is kept.
    now : float
        Seconds since 1970.
    began : mapping of str to mapping of str to float, optional
        When the partitions of an instrument began, in seconds since 1970, if their keys do not say it. A partition of which
        it is not known never goes.
    """
    protected_since = now - PROTECTED_DAYS * DAY_SECONDS
    by_instrument: dict[str, list[KnownRun]] = {instrument: [] for instrument in partitions}
    for run in runs:
        by_instrument.setdefault(run.instrument, []).append(run)
    holding = frozenset(holders)
    plan = PruningPlan()
    for instrument, own in by_instrument.items():
        keys = set(partitions.get(instrument, ()))
        busy = {run.partition_key for run in own if not run.finished or run.created_at >= protected_since}
        gone = _partitions_to_go(keys, (began or {}).get(instrument), busy, limits, now)
        if gone:
            plan.partitions[instrument] = gone
        _judge_runs(own, keys.difference(gone), holding, limits, now, plan)
    return plan


def _partitions_to_go(
    keys: set[str], began: Mapping[str, float] | None, busy: set[str | None], limits: Limits, now: float
) -> list[str]:
    """Return the keys beyond number or age, the oldest first; keys that name their start sort by it."""
    ordered = sorted(keys) if began is None else sorted(keys & began.keys(), key=lambda key: (began[key], key))
    start_of = _start_of_key if began is None else began.__getitem__
    too_many = max(0, len(keys) - limits.keep_partitions)
    age_limit = None if limits.keep_partition_days is None else now - limits.keep_partition_days * DAY_SECONDS
    protected_from = now - PROTECTED_DAYS * DAY_SECONDS
    gone = []
    for number, key in enumerate(ordered):
        if number >= too_many and age_limit is None:
            break
        start = start_of(key)
        if start is None:
            continue
        if start >= protected_from or (number >= too_many and age_limit is not None and start >= age_limit):
            break
        if key not in busy:
            gone.append(key)
    return gone


def _start_of_key(key: str) -> float | None:
    start = start_of_key(key)
    return None if start is None else start.timestamp()


def _judge_runs(
    runs: list[KnownRun],
    kept_keys: set[str],
    holding: frozenset[str],
    limits: Limits,
    now: float,
    plan: PruningPlan,
) -> None:
    protected_since = now - PROTECTED_DAYS * DAY_SECONDS
    run_limit = now - limits.keep_run_days * DAY_SECONDS
    log_limit = now - limits.keep_log_days * DAY_SECONDS
    runs.sort(key=lambda run: run.created_at)
    replaced = sum(1 for run in runs if run.run_id not in holding)
    for run in runs:
        if not run.finished or run.created_at >= protected_since:
            continue
        orphaned = run.partition_key is not None and run.partition_key not in kept_keys
        held = run.run_id in holding
        if orphaned or (not held and (run.created_at < run_limit or replaced > limits.keep_runs)):
            plan.delete_runs.append(run.run_id)
            replaced -= not held
        elif run.created_at < log_limit and not run.thin:
            plan.thin_runs.append(run.run_id)
