"""Runs of nights that are killed in the middle, with and without the daemon: the nights come out the same."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus
from dagster_kit import DagsterFacility
from night_facility import ASSETS, SITE, NightPlace, night
from waiting import wait_until

from assets import night_partitions
from sensors.backfills import make_backfill

pytestmark = [pytest.mark.real, pytest.mark.faults, pytest.mark.timeout(300)]

BACKFILL = "killed-nights"
NIGHTS = [night(number) for number in range(4)]


def test_a_backfill_whose_processes_are_killed_completes_with_the_same_products(
    observatory: Callable[..., tuple[NightPlace, DagsterFacility]],
) -> None:
    place, facility = observatory("abandoned_runs", more={"NIGHT_TEST_SILENCE": "8"})
    for of in NIGHTS:
        place.take(of)
    subset = night_partitions(place.site).subset_with_partition_keys(NIGHTS)
    backfill = make_backfill(
        facility.instance,
        BACKFILL,
        {dg.AssetKey([SITE, asset]): subset for asset in ASSETS},
        title="Nights",
        description="",
        tags={"runstart/kind": "batch"},
        now=datetime.now(UTC),
    )
    facility.start()
    facility.instance.add_backfill(backfill)

    # The run's process alone: its code server notices.
    first = wait_for_work(facility, 1, 1)
    os.kill(pid_of(facility, first), signal.SIGKILL)
    wait_for(facility, first, dg.DagsterRunStatus.FAILURE)

    # All at once, as a power cut: nobody but the sensor can notice.
    second = wait_for_work(facility, 2, 2)
    assert second.parent_run_id == first.run_id
    facility.kill()
    found = facility.instance.get_run_by_id(second.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.STARTED
    facility.start()
    wait_for(facility, second, dg.DagsterRunStatus.FAILURE)
    wait_until(
        lambda: "its beat has stopped" in told_of(facility, second), "the reason, which comes a moment later"
    )

    def status() -> BulkActionStatus:
        now = facility.instance.get_backfill(BACKFILL)
        assert now is not None
        return now.status

    wait_until(lambda: status() is not BulkActionStatus.REQUESTED, "the end of the backfill", 150, 0.5)
    runs = facility.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": BACKFILL}))
    assert [run.status.name for run in runs] == ["SUCCESS", "FAILURE", "FAILURE"]
    assert status() is BulkActionStatus.COMPLETED_SUCCESS
    assert {of: place.digests(of) for of in NIGHTS} == place.undisturbed(NIGHTS)


def wait_for_work(facility: DagsterFacility, runs: int, nights: int) -> dg.DagsterRun:
    """Wait until the so-manieth run of the backfill is in the middle of its nights, and return it."""

    def working() -> dg.DagsterRun | None:
        found = facility.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": BACKFILL}))
        if len(found) < runs or found[0].status is not dg.DagsterRunStatus.STARTED:
            return None
        events = facility.instance.all_logs(found[0].run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        return found[0] if len(events) > 8 * nights + 2 else None

    run = wait_until(working, f"night {nights} of run {runs}", 90, 0.02)
    assert isinstance(run, dg.DagsterRun)
    return run


def wait_for(facility: DagsterFacility, run: dg.DagsterRun, status: dg.DagsterRunStatus) -> None:
    def reached() -> bool:
        found = facility.instance.get_run_by_id(run.run_id)
        return found is not None and found.status is status

    wait_until(reached, f"{status.name} of run {run.run_id}", 90, 0.2)


def told_of(facility: DagsterFacility, run: dg.DagsterRun) -> str:
    return "\n".join(entry.message for entry in facility.instance.all_logs(run.run_id))


def pid_of(facility: DagsterFacility, run: dg.DagsterRun) -> int:
    text = told_of(facility, run)
    found = re.search(r"Started process for run \(pid: (\d+)\)", text)
    assert found, text
    return int(found[1])
