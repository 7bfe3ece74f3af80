"""Exposures that arrive one by one while the daemon runs: each night is made by itself, up to its catalogue."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster_kit import DagsterFacility
from facility_view import UNFINISHED
from night_facility import ASSETS, SITE, NightPlace, night, put_slowly
from waiting import wait_until

pytestmark = pytest.mark.timeout(240)


def test_exposures_that_arrive_become_a_catalogue_by_themselves_and_each_is_taken_up_once(
    observatory: Callable[..., tuple[NightPlace, DagsterFacility]],
) -> None:
    place, facility = observatory(f"exposures_{SITE}", "nights_follow_exposures")
    *whole, last = place.take_elsewhere(night(5))
    facility.start()
    writing = put_slowly(last, place.exposures / last.name)
    next(writing)
    for path in whole:
        arrive(path, place.exposures)
    wait_for(facility, place, {night(5): set(ASSETS)})
    indexed = place.record(night(5), "exposures")
    assert indexed is not None
    assert {exposure.name for exposure in indexed.exposures} == {path.name for path in whole}
    assert next(writing, None) is None
    wait_until(
        lambda: last.name in {e.name for e in place.record(night(5), "exposures").exposures},  # type: ignore[union-attr]
        "the exposure that was half-written",
        60,
        0.2,
    )
    wait_for(facility, place, {night(5): set(ASSETS)})
    catalog = place.record(night(5), "source_catalog")
    assert catalog is not None
    (product,) = catalog.products
    assert product.figures["sources"] > 5
    assert place.digests(night(5)) == place.undisturbed([night(5)])[night(5)]
    check_once(facility, place)


def check_once(facility: DagsterFacility, place: NightPlace) -> None:
    """Every Dagster run was needed, and no two had the same run key."""
    runs = facility.instance.get_runs()
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}, story(facility)
    arrivals = [run for run in runs if run.job_name == f"arrivals_{SITE}"]
    keys = [run.tags["dagster/run_key"] for run in arrivals]
    assert len(set(keys)) == len(keys)
    assert {run.tags["dagster/partition"] for run in arrivals} == {night(5)}
    # At most one for each file, and one for the file that was half-written.
    assert 2 <= len(arrivals) <= len(list(place.exposures.iterdir()))


def arrive(path: Path, folder: Path) -> None:
    part = folder / f"{path.name}.part"
    shutil.copy(path, part)
    part.rename(folder / path.name)


def wait_for(facility: DagsterFacility, place: NightPlace, made: dict[str, set[str]]) -> None:
    """Wait until these assets are made of what lies there, and Dagster has nothing to do."""

    def done() -> bool:
        if facility.instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED))):
            return False
        return all(place.up_to_date(of) >= assets for of, assets in made.items())

    try:
        wait_until(done, f"the assets of {', '.join(made)}", 90, 0.3)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{story(facility)}") from error


def story(facility: DagsterFacility) -> str:
    lines = []
    for run in facility.instance.get_runs(limit=8):
        lines.append(f"{run.run_id} {run.job_name} {run.status} {dict(run.tags)}")
        lines += [f"  {entry.user_message[:200]}" for entry in facility.instance.all_logs(run.run_id)][-10:]
    return "\n".join([*lines, facility.daemon_log[-3000:]])
