"""Tells which run of which instrument a Dagster run reduces, and which ones make nights or compute data operations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import dagster as dg

from assets import INSTRUMENT_TAG, SITE_TAG, Nights, live_reduction_job_name, live_run_key

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


def find_batch_runs(nights: Iterable[Nights], operations: Iterable[str]) -> Callable[[dg.DagsterRun], bool]:
    """Return what tells whether a Dagster run makes nights of these sites or computes one of these data operations.

    A run from the asset page or of an asset backfill has no site tag: its assets tell.
    """
    assets = frozenset(key for each in nights for key in each.assets.keys)
    jobs = frozenset(operations)

    def is_batch(run: dg.DagsterRun) -> bool:
        selected = run.asset_selection or frozenset()
        return run.job_name in jobs or SITE_TAG in run.tags or not assets.isdisjoint(selected)

    return is_batch
