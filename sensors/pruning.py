"""A schedule that gives up what is old in Dagster, once a day."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from assets import live_run_key, live_run_partitions, scan_partitions
from ops.pruning import NAME, Watched, define_pruning_job
from ops.scan_processing import RAW_SCAN, scan_asset_key
from sensors.cron import read_cron, read_time_zone
from sensors.nightly_reduction import NAME as NIGHTLY_NAME
from sensors.places import find_batch_runs, find_place, find_scan_place, scan_place_name

if TYPE_CHECKING:
    from assets import Nights, Scans
    from runstart.instruments import Instrument

DEFAULT_CRON = "0 4 * * *"
CRON_VARIABLE = "RUNSTART_PRUNING_CRON"


@dataclass(frozen=True)
class Pruning:
    """What Dagster knows of the pruning."""

    schedule: dg.ScheduleDefinition
    job: dg.JobDefinition


def define_pruning(
    instruments: Iterable[Instrument],
    environ: Mapping[str, str] = os.environ,
    *,
    nights: Iterable[Nights] = (),
    operations: Iterable[str] = (),
    scans: Iterable[Scans] = (),
) -> Pruning:
    """Return the schedule that prunes, and its job.

    Parameters
    ----------
    instruments : iterable of Instrument
        Whose runs and partitions are pruned.
    environ : mapping of str to str, optional
        `RUNSTART_PRUNING_CRON` says when (04:00 by default), `RUNSTART_TIME_ZONE` in which time zone (UTC).
    nights : iterable of Nights, optional
        Sites whose Dagster runs are pruned; the newest of each night and asset stays.
    operations : iterable of str, optional
        Jobs of data operations and sessions, whose Dagster runs are pruned.
    scans : iterable of Scans, optional
        Microscopes whose Dagster runs and partitions are pruned.

    Raises
    ------
    Alert
        If the environment names no time or no time zone.
    """
    nights = tuple(nights)
    names = tuple(instrument.name for instrument in instruments)
    watched = [Watched(name, live_run_key(name), live_run_partitions(name).name or "") for name in names]
    scans = tuple(scans)
    watched += [_watch_scans(each) for each in scans]
    held_assets = {key for each in nights for key in each.assets.keys}
    held_assets |= {key for each in scans for key in each.asset_keys}
    is_batch = find_batch_runs(nights, operations)

    def find_any_place(run: dg.DagsterRun) -> tuple[str, str] | None:
        return find_place(run, names) or find_scan_place(run, scans)

    def is_own(run: dg.DagsterRun) -> bool:
        return run.job_name in (NAME, NIGHTLY_NAME) or is_batch(run)

    job = define_pruning_job(watched, find_any_place, is_own, sorted(held_assets))
    schedule = dg.ScheduleDefinition(
        name=NAME,
        job=job,
        cron_schedule=read_cron(environ, CRON_VARIABLE, DEFAULT_CRON),
        execution_timezone=read_time_zone(environ),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Gives up old Dagster runs, their logs, and partitions beyond a number. Results stay.",
    )
    return Pruning(schedule, job)


def _watch_scans(scans: Scans) -> Watched:
    name = scans.microscope.name
    raw_scan = scan_asset_key(scans.microscope, RAW_SCAN)
    return Watched(scan_place_name(name), raw_scan, scan_partitions(name).name or "", has_dated_keys=False)
