"""Puts the daemon's figures into the object store, where `runstart metrics` reads them: runs, ticks, cursors."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources import ObjectStoreResource

if TYPE_CHECKING:
    from runstart.metrics import DaemonFigures, SensorFigures

TICK_SECONDS = 30


def define_metrics_sensor() -> dg.SensorDefinition:
    """Return the sensor that writes `metrics/daemon.json`."""

    @dg.sensor(
        name="metrics",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Writes figures of runs and sensors to the object store, for `runstart metrics`.",
    )
    def metrics(context: dg.SensorEvaluationContext, object_store: ObjectStoreResource) -> dg.SkipReason:
        from runstart.errors import Transient
        from runstart.metrics import write_daemon_figures

        figures = collect_figures(context.instance, time.time())
        try:
            write_daemon_figures(object_store.open(), figures)
        except Transient as error:
            return dg.SkipReason(f"The figures cannot be written: {error}")
        return dg.SkipReason(f"Wrote {sum(figures.runs.values())} runs and {len(figures.sensors)} sensors.")

    return metrics


def collect_figures(instance: dg.DagsterInstance, now: float) -> DaemonFigures:
    """Return what an instance knows of its runs and of the sensors and schedules that are on.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Keeps runs and ticks.
    now : float
        Time in s since 1970.
    """
    from runstart.metrics import DaemonFigures

    runs = {
        status.value.lower(): instance.get_runs_count(dg.RunsFilter(statuses=[status]))
        for status in dg.DagsterRunStatus
    }
    sensors = {
        state.instigator_name: _figures_of(instance, state)
        for state in instance.all_instigator_state()
        if state.is_running
    }
    return DaemonFigures(written_at=now, runs=runs, sensors=sensors)


def _figures_of(instance: dg.DagsterInstance, state: Any) -> SensorFigures:
    from dagster._core.scheduler.instigation import TickStatus

    from runstart.metrics import SensorFigures

    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    counts = _counts_of(getattr(state.instigator_data, "cursor", None))
    return SensorFigures(
        ticked_at=ticks[0].timestamp if ticks else None,
        failed=bool(ticks) and ticks[0].status == TickStatus.FAILURE,
        **counts,
    )


def _counts_of(cursor: str | None) -> dict[str, int]:
    """Return what a run-start sensor counts in its cursor; nothing for the cursors of others."""
    try:
        fields = json.loads(cursor or "{}")
    except ValueError:
        return {}
    if not isinstance(fields, dict):
        return {}
    return {name: fields[name] for name in ("unreadable", "refused") if isinstance(fields.get(name), int)}
