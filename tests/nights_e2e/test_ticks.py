"""The schedules of nights under the daemon: the morning, and the backfill of what a new making can improve."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster_kit import DagsterFacility
from facility_view import UNFINISHED
from night_facility import ASSETS, BIASES_ONLY, SITE, NightHouse, NightPlace
from waiting import wait_until

from runstart.nights import last_night

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

EACH_MINUTE = "* * * * *"
AGAIN = "nights_again"


def test_each_minutes_ticks_reduce_the_night_that_ended_and_make_again_exactly_what_is_behind(
    observatory: Callable[..., tuple[NightPlace, DagsterFacility]],
) -> None:
    now = datetime.now(UTC)
    begin = (now - timedelta(days=12)).date()
    place, facility = observatory(
        f"morning_{SITE}",
        AGAIN,
        morning=EACH_MINUTE,
        first_night=begin.isoformat(),
        more={"RUNSTART_NIGHTS_AGAIN_CRON": EACH_MINUTE},
    )
    done, replaced, older, never = ((begin + timedelta(days=days)).isoformat() for days in (1, 3, 4, 6))
    ended = last_night(place.site)
    for of in (done, replaced, older, ended):
        place.take(of, **BIASES_ONLY)
        assert NightHouse(place, facility.instance).reduce(of).success
    place.take(replaced, **{**BIASES_ONLY, "seed": 7})
    place.make_older(older, "master_bias")
    place.take(never)
    facility.start()

    wait_until(facility.instance.get_backfills, "the tick of nights_again", 90, 0.5)
    (backfill,) = facility.instance.get_backfills()
    switch_off(facility, AGAIN)  # the backfill may take longer than a minute
    assert backfill.tags["runstart/nights_again"] == backfill.backfill_id

    def completed() -> bool:
        found = facility.instance.get_backfill(backfill.backfill_id)
        assert found is not None
        return found.status is not BulkActionStatus.REQUESTED

    wait_until(completed, "the end of the backfill", 120, 0.5)
    found = facility.instance.get_backfill(backfill.backfill_id)
    assert found is not None
    assert found.status is BulkActionStatus.COMPLETED_SUCCESS
    followers = set(ASSETS) - {"exposures"}
    assert materialized_by(facility, "dagster/backfill", backfill.backfill_id) == {
        replaced: set(ASSETS),
        older: followers,
        never: set(ASSETS),
    }
    for of in (replaced, older, never):
        assert place.up_to_date(of) == set(ASSETS)

    wait_until(lambda: finished(facility, "dagster/schedule_name", f"morning_{SITE}"), "the morning", 60)
    assert materialized_by(facility, "dagster/schedule_name", f"morning_{SITE}")[ended] == set(ASSETS)

    assert f"Requested backfill {backfill.backfill_id}. {SITE}: 3 nights" in told(facility)
    later = NightHouse(place, facility.instance).tick_schedule(AGAIN, datetime.now(UTC) + timedelta(minutes=2))
    assert (later.skip_message or "").startswith("Nothing to make again.")
    assert len(facility.instance.get_backfills()) == 1


def switch_off(facility: DagsterFacility, schedule: str) -> None:
    (state,) = (each for each in facility.instance.all_instigator_state() if each.instigator_name == schedule)
    facility.instance.update_instigator_state(state.with_status(InstigatorStatus.STOPPED))


def finished(facility: DagsterFacility, tag: str, value: str) -> list[dg.DagsterRun]:
    runs = facility.instance.get_runs(dg.RunsFilter(tags={tag: value}))
    return [] if any(run.status in UNFINISHED for run in runs) else list(runs)


def materialized_by(facility: DagsterFacility, tag: str, value: str) -> dict[str, set[str]]:
    """Return which assets of which nights the runs with a tag have made."""
    made: dict[str, set[str]] = {}
    for run in finished(facility, tag, value):
        for entry in facility.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            assert entry.dagster_event is not None
            assert entry.dagster_event.asset_key is not None
            made.setdefault(entry.dagster_event.partition or "", set()).add(entry.dagster_event.asset_key.path[-1])
    return made


def told(facility: DagsterFacility) -> str:
    """Return what the pages of the schedule's ticks say."""
    return "\n".join(
        tick.skip_reason or ""
        for state in facility.instance.all_instigator_state()
        if state.instigator_name == AGAIN
        for tick in facility.instance.get_ticks(state.instigator_origin_id, state.selector_id)
    )
