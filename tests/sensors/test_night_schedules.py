"""What makes nights happen, tick by tick; `nights_e2e` has the daemon tick."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from night_facility import ASSETS, BIASES_ONLY, SITE, NightHouse, night, open_house, remove

from runstart.errors import Alert
from runstart.simulators.night import Scenario
from sensors.night_schedules import AGAIN_NAME, define_again_schedule, define_following_sensor

MORNING, JOB = f"morning_{SITE}", f"night_{SITE}"
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
FOLLOWERS = ASSETS[1:]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[NightHouse]:
    with open_house(tmp_path / "house") as house:
        yield house


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[NightHouse]:
    """A house whose Dagster is on disk: the schedule opens it for itself."""
    with open_house(tmp_path / "house", on_disk=True) as house:
        yield house


def again(house: NightHouse, at: datetime = NOW) -> str:
    data = house.tick_schedule(AGAIN_NAME, at)
    assert not data.run_requests
    return data.skip_message or ""


def targets(backfill: PartitionBackfill) -> dict[str, set[str]]:
    """Return the assets that a backfill makes, by night."""
    assert backfill.asset_backfill_data is not None
    found: dict[str, set[str]] = {}
    for key, subset in backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key.items():
        for of in subset.get_partition_keys():
            found.setdefault(of, set()).add(key.path[-1])
    return found


# The morning


@pytest.mark.parametrize(
    ("time_zone", "at", "expected"),
    [
        ("UTC", "2026-03-29T14:00+00:00", "2026-03-28"),
        ("UTC", "2026-03-29T09:00+00:00", "2026-03-28"),
        ("UTC", "2026-03-29T12:00+00:00", "2026-03-28"),
        # One moment: half past noon of the 29th in New Zealand, half past one of the 28th in Hawaii.
        ("Pacific/Auckland", "2026-03-28T23:30+00:00", "2026-03-28"),
        ("UTC", "2026-03-28T23:30+00:00", "2026-03-27"),
        ("Pacific/Honolulu", "2026-03-28T23:30+00:00", "2026-03-27"),
        # Clocks go forward in this night.
        ("Europe/Berlin", "2026-03-29T10:00+00:00", "2026-03-28"),
        ("Europe/Berlin", "2026-03-29T09:59+00:00", "2026-03-28"),
    ],
)
def test_the_morning_requests_the_night_that_has_ended_on_the_sites_clock(
    tmp_path: Path, time_zone: str, at: str, expected: str
) -> None:
    with open_house(tmp_path / "house", time_zone=time_zone) as house:
        (request,) = house.tick_schedule(MORNING, datetime.fromisoformat(at)).run_requests
        assert (request.partition_key, request.run_key) == (expected, expected)
        partitions = house.definitions.resolve_job_def(JOB).partitions_def
        assert partitions is not None
        assert partitions.has_partition_key(expected)
        schedule = house.definitions.resolve_schedule_def(MORNING)
        assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 14 * * *", time_zone)
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_the_same_morning_again_has_the_same_run_key(house: NightHouse) -> None:
    at = datetime(2026, 3, 29, 14, tzinfo=UTC)
    (first,), (second,) = (house.tick_schedule(MORNING, at).run_requests for _ in range(2))
    assert first.run_key == second.run_key
    (next_day,) = house.tick_schedule(MORNING, at + timedelta(days=1)).run_requests
    assert next_day.run_key != first.run_key


def test_a_morning_before_the_first_night_requests_nothing(house: NightHouse) -> None:
    data = house.tick_schedule(MORNING, datetime(2026, 1, 1, 14, tzinfo=UTC))
    assert not data.run_requests
    assert data.skip_message == f"The first night of {SITE} is 2026-01-01."


def test_its_run_is_batch_work_of_the_site_and_makes_the_night(house: NightHouse) -> None:
    house.place.take(night(3), **BIASES_ONLY)
    at = datetime.fromisoformat(night(4)).replace(hour=14, tzinfo=UTC)
    (request,) = house.tick_schedule(MORNING, at).run_requests
    assert request.tags["runstart/kind"] == "batch"
    assert request.tags["runstart/site"] == SITE
    result = house.launch(request, JOB)
    assert result.success
    assert set(house.place.digests(night(3))) == set(ASSETS)


# What follows from new exposures


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({}, "RUNNING"),
        ({"RUNSTART_FOLLOW_EXPOSURES": "yes"}, "RUNNING"),
        ({"RUNSTART_FOLLOW_EXPOSURES": "no"}, "STOPPED"),
    ],
    ids=str,
)
def test_the_environment_says_whether_anything_follows(environ: dict[str, str], status: str) -> None:
    assert define_following_sensor([], environ).default_status.name == status


def test_anything_else_is_an_alert(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="RUNSTART_FOLLOW_EXPOSURES is 'maybe'"):
        define_following_sensor([], {"RUNSTART_FOLLOW_EXPOSURES": "maybe"})


def follow(house: NightHouse, cursor: object = None) -> tuple[dict[str, set[str]], object]:
    """Evaluate the automation conditions; return what they request by night, and their cursor."""
    result = dg.evaluate_automation_conditions(
        house.definitions,
        house.instance,
        cursor=cursor,
        evaluation_time=NOW,  # type: ignore[arg-type]
    )
    requested: dict[str, set[str]] = {}
    for asset in ASSETS:
        for of in result.get_requested_partitions(dg.AssetKey([SITE, asset])):
            requested.setdefault(str(of), set()).add(asset)
    return requested, result.cursor


def test_new_exposures_of_whichever_night_make_the_rest_and_nothing_is_made_twice(house: NightHouse) -> None:
    for number in (0, 5):
        house.place.take(night(number), **BIASES_ONLY)
    nothing, cursor = follow(house)
    assert nothing == {}
    assert house.reduce(night(0), assets=["exposures"]).success
    requested, cursor = follow(house, cursor)
    assert requested == {night(0): set(FOLLOWERS)}
    assert house.reduce(night(0), assets=FOLLOWERS).success
    requested, cursor = follow(house, cursor)
    assert requested == {}
    assert house.reduce(night(5), assets=["exposures"]).success
    assert house.reduce(night(0), assets=["exposures"]).success
    requested, _ = follow(house, cursor)
    assert requested == {of: set(FOLLOWERS) for of in (night(0), night(5))}


# What is made again


def test_nights_that_a_new_making_can_improve_become_one_backfill(stored: NightHouse) -> None:
    stored.place.take(night(0), **BIASES_ONLY)
    stored.place.take(night(1), scenario=Scenario.NOISY_BIAS)
    stored.place.take(night(2), **BIASES_ONLY)
    stored.place.take(night(3), **BIASES_ONLY)
    stored.reduce(night(0), night(3))
    stored.place.take(night(2), **{**BIASES_ONLY, "seed": 9})  # its exposures are replaced
    stored.place.make_older(night(3), "master_bias")
    stored.place.take(night(6), **BIASES_ONLY)
    said = again(stored)
    assert f"{SITE}: 4 nights (1 failed, 1 never made, 1 inputs changed, 1 code changed)." in said
    (backfill,) = stored.instance.get_backfills()
    assert backfill.backfill_id == f"nights-{NOW:%Y%m%dT%H%M}"
    assert f"Requested backfill {backfill.backfill_id}." in said
    assert backfill.status is BulkActionStatus.REQUESTED
    assert backfill.title == "Nights again: 4"
    assert backfill.description
    assert backfill.tags == {"runstart/kind": "batch", "runstart/nights_again": backfill.backfill_id}
    assert targets(backfill) == {
        night(1): set(ASSETS),
        night(2): set(ASSETS),
        night(3): set(ASSETS) - {"exposures"},
        night(6): set(ASSETS),
    }
    assert again(stored) == f"Backfill {backfill.backfill_id} has been requested before; nothing is added to it."
    assert len(stored.instance.get_backfills()) == 1


def test_nights_that_are_done_are_left_alone(stored: NightHouse) -> None:
    stored.place.take(night(0), **BIASES_ONLY)
    assert stored.reduce(night(0), night(1)).success
    assert again(stored).startswith("Nothing to make again. Looked at ")
    assert stored.instance.get_backfills() == []


def test_a_tick_to_come_only_says_what_it_would_do(stored: NightHouse) -> None:
    stored.place.take(night(0), **BIASES_ONLY)
    said = again(stored, NOW + timedelta(days=1))
    assert said.startswith(f"A trial: nothing was requested. {SITE}: 1 nights (1 never made).")
    assert stored.instance.get_backfills() == []
    assert "Requested backfill" in again(stored), "a trial is no attempt"


def test_a_night_is_tried_three_times_until_its_exposures_change(stored: NightHouse) -> None:
    stored.place.take(night(0), scenario=Scenario.NOISY_BIAS)
    stored.reduce(night(0))
    for minute in range(3):
        assert "1 failed" in again(stored, NOW - timedelta(minutes=minute))
    assert again(stored, NOW - timedelta(minutes=3)).startswith("Nothing to make again.")
    stored.place.take(night(0), seed=3, scenario=Scenario.NOISY_BIAS)
    assert "1 failed" in again(stored, NOW - timedelta(minutes=4))
    assert len(stored.instance.get_backfills()) == 4


def test_a_night_that_waits_or_works_is_left_alone(stored: NightHouse) -> None:
    stored.place.take(night(0), **BIASES_ONLY)
    run = dg.DagsterRun(JOB, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": night(0)})
    stored.instance.add_run(run)
    planned = dg.DagsterEvent.build_asset_materialization_planned_event(
        JOB,
        f"{SITE}_nights",
        AssetMaterializationPlannedData(dg.AssetKey([SITE, "stacks"]), partition=night(0)),
    )
    stored.instance.report_dagster_event(planned, run.run_id)
    assert again(stored).startswith("Nothing to make again.")
    stored.instance.report_run_failed(run)
    assert "1 failed" in again(stored)


def test_while_the_place_of_exposures_is_gone_it_says_so_and_requests_nothing(stored: NightHouse) -> None:
    stored.place.take(night(0), **BIASES_ONLY)
    assert stored.reduce(night(0)).success
    remove(stored.place.exposures)
    said = again(stored)
    assert said.startswith("Nothing to make again.")
    assert f"Nights of {SITE} were not looked at: " in said
    assert "is not there. Mount or make it" in said
    assert stored.instance.get_backfills() == []


def test_a_site_that_is_only_declared_is_left_alone(stored: NightHouse) -> None:
    remove(stored.place.exposures)
    assert again(stored) == "Nothing to make again. Looked at 0 nights."
    data = stored.tick_schedule(MORNING, NOW)
    assert not data.run_requests
    assert "has not begun" in (data.skip_message or "")


def test_the_environment_says_when() -> None:
    environ = {"RUNSTART_NIGHTS_AGAIN_CRON": "30 16 * * 1-5", "RUNSTART_TIME_ZONE": "Europe/London"}
    schedule = define_again_schedule([], environ)
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 16 * * 1-5", "Europe/London")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(
    "environ", [{"RUNSTART_NIGHTS_AGAIN_CRON": "at tea"}, {"RUNSTART_TIME_ZONE": "Mars/Olympus"}], ids=str
)
def test_a_wrong_time_is_an_alert_that_names_it(environ: dict[str, str]) -> None:
    (variable,) = environ
    with pytest.raises(Alert, match=f"{variable} is '{environ[variable]}'"):
        define_again_schedule([], environ)
