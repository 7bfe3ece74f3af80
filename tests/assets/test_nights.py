"""The assets of a site as Dagster is given them: partitions, order, groups, jobs, and what the pages say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from night_facility import ASSETS

from assets import NIGHTS_PER_RUN, Nights, define_nights, night_job_name, night_partitions
from runstart.nights import CHECKS, STEPS, Site, code_version, night_bounds, night_of


def site(**changes: Any) -> Site:
    fields = {"name": "HILL", "first_night": date(2026, 1, 1), "exposures": "file:/data/hill", **changes}
    return Site(**fields)


@pytest.fixture(scope="module")
def nights() -> Nights:
    return define_nights(site(title="One metre on the hill", time_zone="Africa/Johannesburg"))


@pytest.mark.parametrize("time_zone", ["UTC", "Pacific/Auckland", "Pacific/Honolulu", "Europe/Berlin"])
def test_a_partition_is_a_night_from_noon_to_noon_on_the_sites_clock(time_zone: str) -> None:
    here = site(time_zone=time_zone)
    partitions = night_partitions(here)
    # Clocks change in some of them: 23 and 25 hours.
    for night in ("2026-01-01", "2026-03-28", "2026-04-04", "2026-09-26", "2026-10-24"):
        window = partitions.time_window_for_partition_key(night)
        assert (window.start.astimezone(UTC), window.end.astimezone(UTC)) == night_bounds(here, night)


@pytest.mark.parametrize("time_zone", ["UTC", "Pacific/Auckland", "Pacific/Honolulu"])
@pytest.mark.parametrize("hour", [0, 11, 12, 23])
def test_the_night_that_goes_on_is_the_last_partition(time_zone: str, hour: int) -> None:
    here = site(time_zone=time_zone)
    now = datetime(2026, 3, 28, hour, 30, tzinfo=here.zone)
    keys = night_partitions(here).get_partition_keys(current_time=now)
    assert keys[0] == "2026-01-01"
    assert keys[-1] == night_of(now, here)
    assert len(keys) == (date.fromisoformat(keys[-1]) - date(2026, 1, 1)).days + 1


def test_a_site_whose_first_night_is_to_come_has_no_partition() -> None:
    later = datetime.now(UTC).date() + timedelta(days=30)
    assert night_partitions(site(first_night=later)).get_partition_keys() == []


def test_assets_are_the_steps_of_a_night_and_need_what_they_need(nights: Nights) -> None:
    keys = {asset: dg.AssetKey(["HILL", asset]) for asset in ASSETS}
    assert set(nights.assets.keys) == set(keys.values())
    for step in STEPS:
        spec = nights.assets.specs_by_key[keys[step.asset]]
        assert {dep.asset_key for dep in spec.deps} == {keys[needed] for needed in step.needs}
        assert spec.group_name == "nights_HILL"
        assert spec.owners == ["team:observatory-data"]
        assert spec.kinds == set(step.kinds)
        assert spec.description == step.description
        assert spec.code_version == code_version(step.asset)
        assert spec.freshness_policy is not None
        assert (spec.automation_condition is None) == (step.asset == "exposures")


def test_checks_are_of_partitions_and_only_some_block(nights: Nights) -> None:
    specs = {(spec.asset_key.path[-1], spec.name): spec for spec in nights.assets.check_specs}
    assert set(specs) == {(check.asset, check.name) for check in CHECKS}
    for check in CHECKS:
        spec = specs[check.asset, check.name]
        assert (spec.blocking, spec.description) == (check.blocking, check.description)
        assert spec.partitions_def == night_partitions(nights.site)


def test_tables_say_what_their_columns_are(nights: Nights) -> None:
    for asset in ("exposures", "source_catalog"):
        schema = nights.assets.specs_by_key[dg.AssetKey(["HILL", asset])].metadata["dagster/column_schema"]
        columns = getattr(schema, "schema", schema).columns
        assert columns
        assert all(column.description and column.type for column in columns)


def test_a_year_is_thirteen_runs(nights: Nights) -> None:
    policy = nights.assets.backfill_policy
    assert policy == dg.BackfillPolicy.multi_run(max_partitions_per_run=NIGHTS_PER_RUN)
    assert -(-365 // NIGHTS_PER_RUN) == 13


def test_jobs_are_batch_work_of_the_site(nights: Nights) -> None:
    definitions = dg.Definitions(
        assets=[nights.assets],
        jobs=[nights.job, nights.arrivals_job],
        resources={
            "object_store": dg.ResourceDefinition.none_resource(),
            "data_operations": dg.ResourceDefinition.none_resource(),
        },
    )
    job = definitions.resolve_job_def(night_job_name("HILL"))
    arrivals = definitions.resolve_job_def("arrivals_HILL")
    assert job.tags["runstart/kind"] == arrivals.tags["runstart/kind"] == "batch"
    assert job.tags["runstart/site"] == "HILL"
    assert set(job.asset_layer.executable_asset_keys) == set(nights.assets.keys)
    assert set(arrivals.asset_layer.selected_asset_keys) == {dg.AssetKey(["HILL", "exposures"])}


def test_two_sites_do_not_share_a_name() -> None:
    first, second = define_nights(site()), define_nights(site(name="VALE"))
    definitions = dg.Definitions(
        assets=[first.assets, second.assets],
        jobs=[first.job, first.arrivals_job, second.job, second.arrivals_job],
        resources={
            "object_store": dg.ResourceDefinition.none_resource(),
            "data_operations": dg.ResourceDefinition.none_resource(),
        },
    )
    dg.Definitions.validate_loadable(definitions)
    assert first.assets.keys.isdisjoint(second.assets.keys)
