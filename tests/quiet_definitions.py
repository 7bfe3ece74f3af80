"""The code location without its sensors: a daemon starts nothing by itself but schedules and backfills."""

from __future__ import annotations

import dagster as dg

import definitions  # Dagster takes one Definitions object in a module: the one below


@dg.sensor(name="run_starts", minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def _quiet() -> dg.SkipReason:
    return dg.SkipReason("Nothing is started by itself here.")


defs = dg.Definitions(
    assets=definitions.defs.assets,
    asset_checks=definitions.defs.asset_checks,
    jobs=definitions.defs.jobs,
    schedules=definitions.defs.schedules,
    sensors=[_quiet],
    resources=definitions.defs.resources,
    executor=definitions.defs.executor,
)

__all__ = ["defs"]
