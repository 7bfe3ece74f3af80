"""The code location with short intervals, and of what ticks by itself only what a test has named.

`NIGHT_TEST_TICKING` names sensors and schedules, separated by spaces; `NIGHT_TEST_SILENCE` says after how many seconds of
silence a run counts as dead.
"""

from __future__ import annotations

import os

import dagster as dg

import ops.run_beats
import sensors.abandoned_runs
import sensors.exposures
import sensors.night_schedules
from definitions import build_definitions

sensors.exposures.INTERVAL_SECONDS = 1
sensors.night_schedules.FOLLOW_SECONDS = 2
if _silence := os.environ.get("NIGHT_TEST_SILENCE"):
    sensors.abandoned_runs.BATCH_SILENCE_SECONDS = float(_silence)
    ops.run_beats.INTERVAL_SECONDS = 1.0


@dg.sensor(name="run_starts", minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def _quiet() -> dg.SkipReason:
    return dg.SkipReason("Nothing is started by itself here.")


def _define() -> dg.Definitions:
    whole = build_definitions(os.environ)
    ticking = os.environ.get("NIGHT_TEST_TICKING", "").split()
    return dg.Definitions(
        assets=whole.assets,
        asset_checks=whole.asset_checks,
        jobs=whole.jobs,
        schedules=[schedule for schedule in whole.schedules or () if schedule.name in ticking],
        sensors=[_quiet, *(sensor for sensor in whole.sensors or () if sensor.name in ticking)],
        resources=whole.resources,
        executor=whole.executor,
    )


defs = _define()

__all__ = ["defs"]
