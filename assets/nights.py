"""Nights: for each site eight assets whose partitions are its nights, from raw exposures to source catalogues.

A partition lasts from noon to noon in the site's own time zone and has the date of its evening. All assets of a site
are made by one step, which takes any number of nights: a backfill of a year is thirteen Dagster runs, not 365. Making
a night again computes only what its inputs or the code have changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.night_metadata import CATALOG_COLUMNS, EXPOSURE_COLUMNS
from ops.night_reduction import NightEvent, night_asset_key, reduce_nights
from ops.run_beats import beating
from ops.tags import BATCH, KIND_TAG
from resources import DataOperationsResource, ObjectStoreResource

if TYPE_CHECKING:
    from runstart.nights import Site, Step

SITE_TAG = "runstart/site"
NIGHTS_PER_RUN = 30
FRESH, STALE = timedelta(hours=30), timedelta(hours=54)  # a night, its morning, and a missed one

_COLUMNS = {"exposures": EXPOSURE_COLUMNS, "source_catalog": CATALOG_COLUMNS}


@dataclass(frozen=True)
class Nights:
    """What Dagster knows of one site's nights."""

    site: "Site"
    assets: dg.AssetsDefinition
    job: Any  # Dagster does not export the type of what define_asset_job returns
    arrivals_job: Any


def night_partitions(site: "Site") -> dg.DailyPartitionsDefinition:
    """Return the partitions of a site: one for each night, the one that goes on included."""
    return dg.DailyPartitionsDefinition(
        start_date=site.first_night.isoformat(), timezone=site.time_zone, hour_offset=12, end_offset=1
    )


def night_job_name(site_name: str) -> str:
    """Return the name of the job that reduces a site's nights."""
    return f"night_{site_name}"


def define_nights(site: "Site") -> Nights:
    """Return assets, checks and jobs of one site."""
    assets = _define_assets(site)
    tags = {KIND_TAG: BATCH, SITE_TAG: site.name}
    job = dg.define_asset_job(
        night_job_name(site.name),
        selection=dg.AssetSelection.assets(assets),
        tags=tags,
        description=f"Reduces nights of {site.title or site.name}: from raw exposures to source catalogues.",
    )
    arrivals_job = dg.define_asset_job(
        f"arrivals_{site.name}",
        selection=dg.AssetSelection.assets(night_asset_key(site.name, "exposures")),
        tags=tags,
        description=f"Takes up exposures of {site.title or site.name} that have arrived; the rest follows by itself.",
    )
    return Nights(site, assets, job, arrivals_job)


def _define_assets(site: "Site") -> dg.AssetsDefinition:
    from runstart.nights import CHECKS, STEPS

    partitions = night_partitions(site)

    @dg.multi_asset(
        name=f"{site.name}_nights",
        specs=[_spec(site, step) for step in STEPS],
        check_specs=[
            dg.AssetCheckSpec(
                check.name,
                asset=night_asset_key(site.name, check.asset),
                description=check.description,
                blocking=check.blocking,
                partitions_def=partitions,
            )
            for check in CHECKS
        ],
        partitions_def=partitions,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=NIGHTS_PER_RUN),
        description=f"Reduces nights of {site.title or site.name}.",
    )
    def nights(
        context: dg.AssetExecutionContext,
        object_store: ObjectStoreResource,
        data_operations: DataOperationsResource,
    ) -> Iterator[NightEvent]:
        store = object_store.open()
        with beating(store, context.run.run_id):
            yield from reduce_nights(context, site, data_operations.open(store), context.partition_keys)

    return nights


def _spec(site: "Site", step: "Step") -> dg.AssetSpec:
    from runstart.nights import code_version

    metadata: dict[str, Any] = {"site": site.title or site.name, "time_zone": site.time_zone}
    if step.asset in _COLUMNS:
        metadata["dagster/column_schema"] = _COLUMNS[step.asset]
    return dg.AssetSpec(
        night_asset_key(site.name, step.asset),
        deps=[night_asset_key(site.name, needed) for needed in step.needs],
        description=step.description,
        metadata=metadata,
        group_name=f"nights_{site.name}",
        code_version=code_version(step.asset),
        owners=["team:observatory-data"],
        kinds=set(step.kinds),
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=STALE, warn_window=FRESH),
        automation_condition=_follow_exposures() if step.needs else None,
    )


def _follow_exposures() -> dg.AutomationCondition[Any]:
    """Return the condition under which an asset follows what it is made of, whichever night that is of."""
    condition = dg.AutomationCondition
    # Not on condition of the blocking checks: Dagster takes one that only warns for failed. The step judges itself.
    return condition.eager().without(condition.in_latest_time_window())
