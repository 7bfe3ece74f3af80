"""Backfills of nights as people start them: by Dagster's page, and from the command line; data operations too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_kit import REPOSITORY, DagsterFacility
from facility_view import UNFINISHED
from night_facility import ASSETS, BIASES_ONLY, SITE, NightPlace, night, open_observatory
from waiting import wait_until

from runstart.demo.graphql import NoAnswer, Webserver
from runstart.facility.processes import free_port
from runstart.simulators.night import Scenario

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
LIST = """
{ partitionBackfillsOrError(limit: 5) {
  ... on PartitionBackfills { results { id status numPartitions isAssetBackfill } }
} }
"""


@contextmanager
def webserver(facility: DagsterFacility, folder: Path) -> Iterator[Webserver]:
    """Give Dagster's webserver; it has a code server of its own."""
    port = free_port()
    program = [sys.executable, str(Path(sys.executable).parent / "dagster-webserver")]
    with (folder / "webserver.log").open("ab") as log:
        process = subprocess.Popen(
            [*program, "-m", facility.module, "-h", "127.0.0.1", "-p", str(port)],
            cwd=REPOSITORY,
            env=os.environ | facility.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        server = Webserver(port)
        wait_until(lambda: process.poll() is None and server.has_loaded(facility.module), "the webserver", 90, 0.3)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NightPlace, DagsterFacility]]:
    """A facility whose daemon runs for both tests; each takes nights of its own."""
    with open_observatory(tmp_path_factory.mktemp("running")) as (place, facility):
        facility.start()
        yield place, facility


def test_thirty_nights_from_dagsters_page_are_one_run_and_a_bad_night_fails_alone(
    running: tuple[NightPlace, DagsterFacility], tmp_path: Path
) -> None:
    place, facility = running
    nights = [night(number) for number in range(30)]
    bad, whole = nights[11], {nights[0], nights[29]}
    for of in nights:
        plan: dict[str, Any] = {} if of in whole else dict(BIASES_ONLY)
        place.take(of, **plan, scenario=Scenario.NOISY_BIAS if of == bad else Scenario.GOOD)
    with webserver(facility, tmp_path) as server:
        answer = server.ask(
            LAUNCH,
            params={
                "assetSelection": [{"path": [SITE, asset]} for asset in ASSETS],
                "partitionNames": nights,
                "title": "January",
            },
        )["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer

        def status() -> str:
            try:
                (listed,) = server.ask(LIST)["partitionBackfillsOrError"]["results"]
            except NoAnswer:
                return "REQUESTED"
            assert listed["id"] == answer["backfillId"]
            assert listed["isAssetBackfill"]
            assert listed["numPartitions"] == 30
            return str(listed["status"])

        ended = wait_until(lambda: status() not in ("REQUESTED", "FAILING") and status(), "the backfill", 150, 1)
    assert ended == "COMPLETED_FAILED", "one of its nights failed"
    (run,) = facility.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": answer["backfillId"]}))
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert "1 of 30 nights of HILL fell short; the others are done." in failure_text(facility, run)
    for asset in ASSETS:
        made = facility.instance.get_materialized_partitions(dg.AssetKey([SITE, asset]))
        assert made == set(nights) - ({bad} if asset not in ("exposures", "master_bias") else set())
    assert place.record(nights[29], "source_catalog").products  # type: ignore[union-attr]


def failure_text(facility: DagsterFacility, run: dg.DagsterRun) -> str:
    (entry,) = facility.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert entry.dagster_event is not None
    data = entry.dagster_event.step_failure_data.user_failure_data
    return (data.description or "") if data else ""


def test_the_command_line_launches_and_executes_data_operations_and_backfills_nights(
    running: tuple[NightPlace, DagsterFacility], tmp_path: Path
) -> None:
    place, facility = running
    nights = [night(number) for number in range(40, 42)]
    names = [name for of in nights for name in place.take(of, **BIASES_ONLY)]
    config = tmp_path / "median.json"
    config.write_text(json.dumps({"input_files": [f"hill/{name}" for name in names]}))
    where = ("-m", facility.module, "-j")

    facility.run_cli("job", "launch", *where, "median", "--config", str(config))
    facility.run_cli(
        "job",
        "backfill",
        *where,
        f"night_{SITE}",
        "--from",
        nights[0],
        "--to",
        nights[-1],
        "--noprompt",
        timeout=120,
    )
    runs = wait_until(lambda: ended(facility, f"night_{SITE}", 2), "the nights of the command line", 120, 0.5)
    (launched,) = wait_until(lambda: ended(facility, "median", 1), "the data operation", 60, 0.5)
    assert {run.status for run in (*runs, launched)} == {dg.DagsterRunStatus.SUCCESS}
    assert shown(facility, launched)["from cache"] is False
    for of in nights:
        assert place.up_to_date(of) == set(ASSETS)
    by_night = {run.tags["dagster/partition"]: run.tags for run in runs}
    assert set(by_night) == set(nights)
    assert len({tags["dagster/backfill"] for tags in by_night.values()}) == 1

    facility.run_cli("job", "execute", *where, "median", "--config", str(config))
    (executed,) = (run for run in ended(facility, "median", 2) if run.run_id != launched.run_id)
    assert executed.status is dg.DagsterRunStatus.SUCCESS
    assert shown(facility, executed)["from cache"] is True
    assert shown(facility, executed)["key"] == shown(facility, launched)["key"]


def ended(facility: DagsterFacility, job: str, number: int) -> list[dg.DagsterRun]:
    runs = facility.instance.get_runs(dg.RunsFilter(job_name=job))
    return list(runs) if len(runs) == number and not any(run.status in UNFINISHED for run in runs) else []


def shown(facility: DagsterFacility, run: dg.DagsterRun) -> dict[str, Any]:
    (entry,) = facility.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_OUTPUT)
    assert entry.dagster_event is not None
    return {name: value.value for name, value in entry.dagster_event.step_output_data.metadata.items()}
