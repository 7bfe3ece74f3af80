"""The code location in which only the sensors of sessions tick, and a silent run counts as dead after a few seconds."""

from __future__ import annotations

import os

import dagster as dg

import ops.run_beats
import sensors.abandoned_runs
import sensors.session_requests
import sensors.sessions
from definitions import build_definitions

sensors.sessions.INTERVAL_SECONDS = 1
sensors.session_requests.INTERVAL_SECONDS = 1
sensors.abandoned_runs.BATCH_SILENCE_SECONDS = 8.0
ops.run_beats.INTERVAL_SECONDS = 1.0

_TICKING = ("clean_up_sessions", "session_requests", "abandoned_runs")


@dg.sensor(name="run_starts", minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def _quiet() -> dg.SkipReason:
    return dg.SkipReason("Nothing is started by itself here.")


def _define() -> dg.Definitions:
    whole = build_definitions(os.environ)
    return dg.Definitions(
        assets=whole.assets,
        asset_checks=whole.asset_checks,
        jobs=whole.jobs,
        sensors=[_quiet, *(each for each in whole.sensors or () if each.name in _TICKING)],
        resources=whole.resources,
        executor=whole.executor,
    )


defs = _define()

__all__ = ["defs"]
