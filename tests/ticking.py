"""A code location of which only what a test names ticks by itself."""

from __future__ import annotations

from collections.abc import Container

import dagster as dg


@dg.sensor(name="run_starts", minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def _quiet() -> dg.SkipReason:
    return dg.SkipReason("Nothing is started by itself here.")


def only_ticking(whole: dg.Definitions, names: Container[str]) -> dg.Definitions:
    """Return everything of a code location, but of its schedules and sensors only those of these names.

    A sensor `run_starts` that does nothing is added: by its ticks tests see that the daemon ticks.
    """
    return dg.Definitions(
        assets=whole.assets,
        asset_checks=whole.asset_checks,
        jobs=whole.jobs,
        schedules=[schedule for schedule in whole.schedules or () if schedule.name in names],
        sensors=[_quiet, *(sensor for sensor in whole.sensors or () if sensor.name in names)],
        resources=whole.resources,
        executor=whole.executor,
    )
