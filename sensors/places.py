"""Tells which run or scan a Dagster run is about, and which ones make nights or do other work that beats."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import dagster as dg

from assets import INSTRUMENT_TAG, MICROSCOPE_TAG, SITE_TAG, Nights, Scans, live_reduction_job_name, live_run_key

PARTITION_TAG = "dagster/partition"


def find_place(run: dg.DagsterRun, instruments: Collection[str]) -> tuple[str, str] | None:
    """Return instrument and partition key of a Dagster run; None if it reduces no run of these instruments.

    A run from the asset page or of an asset backfill has no instrument tag: its asset tells.
    """
    partition_key = run.tags.get(PARTITION_TAG)
    if partition_key is None:
        return None
    tagged = run.tags.get(INSTRUMENT_TAG)
    if tagged is not None and tagged in instruments:
        return tagged, partition_key
    for name in instruments:
        selected = run.asset_selection is not None and live_run_key(name) in run.asset_selection
        if selected or run.job_name == live_reduction_job_name(name):
            return name, partition_key
    return None


def find_scan_place(run: dg.DagsterRun, scans: Iterable[Scans]) -> tuple[str, str] | None:
    """Return the microscope, as `scan_place_name` has it, and partition key of a Dagster run that processes a scan of it.

    A run from the asset page or of an asset backfill has no microscope tag: its assets tell.
    """
    partition_key = run.tags.get(PARTITION_TAG)
    if partition_key is None:
        return None
    for each in scans:
        if _is_of_scan(run, each):
            return scan_place_name(each.microscope.name), partition_key
    return None


def scan_place_name(microscope_name: str) -> str:
    """Return what a microscope is called among instruments: no instrument has a name with a space."""
    return f"microscope {microscope_name}"


def find_batch_runs(
    nights: Iterable[Nights], operations: Iterable[str], scans: Iterable[Scans] = ()
) -> Callable[[dg.DagsterRun], bool]:
    """Return what tells whether a Dagster run makes nights of these sites, or is one of these jobs.

    Jobs are those of data operations and sessions. Runs that process scans of these microscopes are such too. A run from
    the asset page or of an asset backfill has no tag of a site or microscope: its assets tell.
    """
    assets = frozenset(key for each in nights for key in each.assets.keys)
    jobs = frozenset(operations)
    scans = tuple(scans)

    def is_batch(run: dg.DagsterRun) -> bool:
        selected = run.asset_selection or frozenset()
        if run.job_name in jobs or SITE_TAG in run.tags or not assets.isdisjoint(selected):
            return True
        return any(_is_of_scan(run, each) for each in scans)

    return is_batch


def _is_of_scan(run: dg.DagsterRun, scans: Scans) -> bool:
    tagged = run.tags.get(MICROSCOPE_TAG)
    if tagged is not None:
        return tagged == scans.microscope.name
    return run.job_name in scans.job_names or not scans.asset_keys.isdisjoint(run.asset_selection or frozenset())
