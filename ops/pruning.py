"""Gives up what is old in Dagster, so that runs, event log and partitions stay within their limits for years.

What goes is decided by `runstart.upkeep.plan_pruning`; this module asks Dagster, carries the plan out a run at a
time, and can be killed at any moment: the next pass goes on. Results in the object store stay.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from ops.operation_notes import find_orphaned_notes
from ops.run_storage import THIN_TAG, delete_run, find_holders, find_partition_times, thin_run
from ops.step_values import find_old_values
from resources import ObjectStoreResource

if TYPE_CHECKING:
    from runstart.storage import ObjectStore
    from runstart.upkeep import KnownRun, PruningPlan

NAME = "pruning"
ORPHAN_AGE_SECONDS = 86_400.0
_BATCH = 100  # what is done between two lines in the log
_PAGE = 500  # Dagster runs read at a time

FindPlace = Callable[[dg.DagsterRun], tuple[str, str] | None]
IsOwn = Callable[[dg.DagsterRun], bool]


@dataclass(frozen=True)
class Watched:
    """An instrument or microscope whose runs are pruned.

    Attributes
    ----------
    instrument : str
        Its name.
    asset_key : AssetKey
        Its asset.
    partitions_name : str
        Of the asset's partitions.
    has_dated_keys : bool
        Whether their keys name the time when they began; else it is the time when they were added.
    """

    instrument: str
    asset_key: dg.AssetKey
    partitions_name: str
    has_dated_keys: bool = True


class PruningConfig(dg.Config):
    """How much is kept."""

    keep_partitions: int = Field(
        default=20_000,
        ge=100,
        le=90_000,
        description="Partitions of each instrument and microscope; Dagster's limit is 100,000.",
    )
    keep_partition_days: int | None = Field(
        default=None,
        ge=7,
        description="Partitions of runs that began, and scans that were found, longer ago go; leave it out to keep them "
        "whatever their age.",
    )
    keep_run_days: int = Field(
        default=90,
        ge=7,
        description="Older Dagster runs go, unless they hold the newest materialization of a partition that stays.",
    )
    keep_runs: int = Field(
        default=10_000,
        ge=100,
        description="Dagster runs of each instrument that hold no partition's newest materialization.",
    )
    keep_log_days: int = Field(
        default=30,
        ge=7,
        description="Older Dagster runs lose observations, log lines and pictures; figures and checks stay.",
    )
    dry_run: bool = Field(default=False, description="Only say what would go.")


@dataclass(frozen=True)
class Pruned:
    """How much went."""

    partitions: int
    runs: int
    thinned: int
    orphans: int
    values: int = 0

    @property
    def text(self) -> str:
        """The figures in words."""
        between = f", and {self.values:,} values between their steps" if self.values else ""
        return (
            f"{self.partitions:,} partitions, {self.runs:,} Dagster runs, the logs of {self.thinned:,} more, and "
            f"{self.orphans:,} status objects of dead runs{between}"
        )


def define_pruning_job(
    watched: Sequence[Watched], find_place: FindPlace, is_own: IsOwn, held_assets: Sequence[dg.AssetKey] = ()
) -> dg.JobDefinition:
    """Return the job that prunes.

    Parameters
    ----------
    watched : sequence of Watched
        The instruments.
    find_place : callable
        Tells which run of which instrument a Dagster run reduces.
    is_own : callable
        Tells whether another Dagster run is one of ours, which are pruned too: housekeeping, data operations, nights.
    held_assets : sequence of AssetKey, optional
        More assets whose newest materializations keep the Dagster runs that made them.
    """

    @dg.op(name="prune", description="Gives up old runs, logs and partitions; results in the object store stay.")
    def prune_now(context: dg.OpExecutionContext, config: PruningConfig, object_store: ObjectStoreResource) -> None:
        store = object_store.open()
        instance = context.instance
        pruned = prune(instance, store, watched, find_place, is_own, held_assets, config, context.log.info)
        context.add_output_metadata(
            {"partitions": pruned.partitions, "runs": pruned.runs, "thinned_runs": pruned.thinned}
        )

    @dg.job(
        name=NAME,
        executor_def=dg.in_process_executor,
        description=(
            "Gives up old Dagster runs, their logs, and partitions beyond a number, so that Dagster stays within its "
            "limits for years. Results in the object store stay; a partition that went can be added again."
        ),
    )
    def job() -> None:
        prune_now()

    return job


def prune(
    instance: dg.DagsterInstance,
    store: "ObjectStore",
    watched: Sequence[Watched],
    find_place: FindPlace,
    is_own: IsOwn,
    held_assets: Sequence[dg.AssetKey],
    config: PruningConfig,
    tell: Callable[[str], object],
) -> Pruned:
    """Prune, and return how much went (or would go).

    Raises
    ------
    Transient
        If the object store does not answer.
    dagster.Failure
        If the Dagster instance keeps its events in no SQL database.
    """
    from runstart.upkeep import Limits, find_orphaned_status, plan_pruning

    now = time.time()
    keys = {w.instrument: list(instance.get_dynamic_partitions(w.partitions_name)) for w in watched}
    # Runs first: of a run that ends meanwhile the materialization is known, and not the other way round.
    runs = list(_known_runs(instance, find_place, is_own))
    held = [*(w.asset_key for w in watched), *held_assets]
    holders = {run_id for asset_key in held for run_id in find_holders(instance, asset_key).values()}
    limits = Limits(**config.model_dump(exclude={"dry_run"}))
    began = {
        w.instrument: find_partition_times(instance, w.partitions_name) for w in watched if not w.has_dated_keys
    }
    plan = plan_pruning(keys, runs, holders, limits, now, began=began)
    orphans = find_orphaned_status(store, ORPHAN_AGE_SECONDS, now) + find_orphaned_notes(instance, store)
    values = find_old_values(instance, store, now)
    pruned = Pruned(
        sum(map(len, plan.partitions.values())),
        len(plan.delete_runs),
        len(plan.thin_runs),
        len(orphans),
        len(values),
    )
    total = sum(map(len, keys.values()))
    tell(f"There are {total:,} partitions and {len(runs):,} Dagster runs.")
    if config.dry_run:
        tell(f"A trial: nothing was taken away. {pruned.text} would go.")
        return pruned
    _carry_out(instance, store, watched, plan, [*orphans, *values], tell)
    tell(f"Gone: {pruned.text}. Results in the object store stay.")
    return pruned


def _carry_out(
    instance: dg.DagsterInstance,
    store: "ObjectStore",
    watched: Sequence[Watched],
    plan: "PruningPlan",
    objects: list[str],
    tell: Callable[[str], object],
) -> None:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for w in watched:
        for key in _told(plan.partitions.get(w.instrument, []), f"partitions of {w.instrument}", tell):
            instance.delete_dynamic_partition(w.partitions_name, key)
    for run_id in _told(plan.delete_runs, "Dagster runs", tell):
        delete_run(instance, run_id)
    for run_id in _told(plan.thin_runs, "logs of Dagster runs", tell):
        thin_run(instance, run_id, today)
    for key in objects:
        store.delete(key)


def _told(items: list[str], what: str, tell: Callable[[str], object]) -> Iterator[str]:
    """Yield items, and tell of each hundred that is done."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _BATCH == 0 or number == len(items):
            tell(f"Took away {number:,} of {len(items):,} {what}.")


def _known_runs(instance: dg.DagsterInstance, find_place: FindPlace, is_own: IsOwn) -> Iterator["KnownRun"]:
    """Yield the runs of these instruments and others of ours; all others are left alone."""
    from runstart.upkeep import KnownRun

    cursor: str | None = None
    while True:
        page = instance.get_run_records(cursor=cursor, limit=_PAGE)
        for record in page:
            run = record.dagster_run
            place = find_place(run)
            if place is None and not is_own(run):
                continue
            instrument, partition_key = place or ("", None)
            yield KnownRun(
                run_id=run.run_id,
                instrument=instrument,
                partition_key=partition_key,
                created_at=record.create_timestamp.timestamp(),
                finished=run.is_finished,
                thin=THIN_TAG in run.tags,
            )
        if len(page) < _PAGE:
            return
        cursor = page[-1].dagster_run.run_id
