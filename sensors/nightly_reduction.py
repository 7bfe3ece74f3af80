"""A schedule that reduces runs again at night, as one backfill of Dagster's own.

The tick looks at every recent run, and what can be improved becomes a backfill over all instruments: it is on the
Backfills page, its runs are launched, limited and cancelled there. Its id is made of the night, so a repeated tick
makes no second one. The job of the same name does the same by hand.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from resources import ObjectStoreResource
from sensors.cron import read_cron, read_time_zone

if TYPE_CHECKING:
    from runstart.instruments import Instrument

NAME = "nightly_reduction"
DEFAULT_CRON = "0 2 * * *"
CRON_VARIABLE = "RUNSTART_NIGHTLY_CRON"
TICK_SECONDS = 40.0  # a tick may take 60 s, the launch of the backfill included
BY_HAND_SECONDS = 3600.0
FUTURE = timedelta(minutes=5)  # clocks of daemon and code server differ by less


@dataclass(frozen=True)
class NightlyReduction:
    """What Dagster knows of the nightly reduction."""

    schedule: dg.ScheduleDefinition
    job: dg.JobDefinition


class NightlyConfig(dg.Config):
    """What a reduction by hand looks at."""

    days: int = Field(default=30, ge=1, description="Runs that began longer ago are left as they are.")
    most_runs: int = Field(
        default=500, ge=1, description="Runs that are reduced again, over all instruments; the rest waits."
    )
    dry_run: bool = Field(default=False, description="Only say what would be reduced again, and why.")


def define_nightly_reduction(
    instruments: Iterable["Instrument"], environ: Mapping[str, str] = os.environ
) -> NightlyReduction:
    """Return the schedule, and the job that does the same by hand.

    Parameters
    ----------
    instruments : iterable of Instrument
        Whose runs are looked at.
    environ : mapping of str to str, optional
        `RUNSTART_NIGHTLY_CRON` says when (02:00 by default), `RUNSTART_TIME_ZONE` in which time zone (UTC).

    Raises
    ------
    Alert
        If the environment names no time or no time zone.
    """
    watched = tuple(instruments)
    job = _define_job(watched)

    @dg.schedule(
        name=NAME,
        job=job,
        cron_schedule=read_cron(environ, CRON_VARIABLE, DEFAULT_CRON),
        execution_timezone=read_time_zone(environ),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Reduces again, as one backfill, the runs of the last 30 days that have no result, failed their check, are "
            "incomplete, or were made with an older code version or script. A result is only replaced by one that "
            "covers its data."
        ),
    )
    def nightly_reduction(
        context: dg.ScheduleEvaluationContext, object_store: ObjectStoreResource
    ) -> dg.SkipReason:
        from runstart.errors import Transient
        from runstart.upkeep import Rules
        from sensors.nightly_backfill import Night, reduce_again

        scheduled = context.scheduled_execution_time
        trial = scheduled > datetime.now(UTC) + FUTURE  # a tick that is tested in the UI, not a night that has come
        try:
            text = reduce_again(
                context.instance,
                object_store.open(),
                watched,
                Night(f"{scheduled:%Y-%m-%d}"),
                Rules(),
                seconds=TICK_SECONDS,
                dry_run=trial,
            )
        except Transient as error:
            return dg.SkipReason(f"Nothing was reduced again, since the object store does not answer: {error}")
        context.log.info(text)
        return dg.SkipReason(text)

    return NightlyReduction(nightly_reduction, job)


def _define_job(instruments: tuple["Instrument", ...]) -> dg.JobDefinition:
    @dg.op(name="reduce_again", description="Looks for runs to reduce again, and requests a backfill of them.")
    def reduce_again_now(
        context: dg.OpExecutionContext, config: NightlyConfig, object_store: ObjectStoreResource
    ) -> None:
        from runstart.upkeep import Rules
        from sensors.nightly_backfill import Night, reduce_again

        night = Night(f"{datetime.now(UTC):%Y-%m-%d}", f"by-hand-{context.run.root_run_id or context.run_id}"[:20])
        rules = Rules(days=config.days, most_runs=config.most_runs)
        store = object_store.open()
        text = reduce_again(
            context.instance, store, instruments, night, rules, seconds=BY_HAND_SECONDS, dry_run=config.dry_run
        )
        context.log.info(text)

    @dg.job(
        name=NAME,
        executor_def=dg.in_process_executor,
        description="Does by hand what the schedule of the same name does at night.",
    )
    def job() -> None:
        reduce_again_now()

    return job
