"""Removes what sessions have left behind whose run has ended, or whose process was killed: tasks, networks, folders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import dagster as dg

from resources import LauncherResource, ObjectStoreResource, SessionsResource

INTERVAL_SECONDS = 15


def define_clean_up_sensor(troubles: Sequence[str] = ()) -> dg.SensorDefinition:
    """Return the sensor that cleans up after sessions.

    Parameters
    ----------
    troubles : sequence of str, optional
        Operators and pipelines that have no job, and why: told at each tick.
    """
    # Alerts list faults line by line; a tick shows one line.
    told = f" Left out when this was loaded: {' '.join(' '.join(troubles).split())}" if troubles else ""

    @dg.sensor(
        name="clean_up_sessions",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Removes processes, containers, networks and folders of sessions whose run has ended, died, or shown "
        "no sign of life for too long; its ticks say what was removed.",
    )
    def clean_up_sessions(
        context: dg.SensorEvaluationContext,
        object_store: ObjectStoreResource,
        launcher: LauncherResource,
        sessions: SessionsResource,
    ) -> dg.SkipReason:
        from runstart.errors import Alert, Transient
        from runstart.sessions import clean_up

        is_over = make_is_over(context.instance)
        try:
            removed = clean_up(launcher.open(), object_store.open(), is_over, sessions.hung_limit(), time.time())
        except (Alert, Transient) as error:
            return dg.SkipReason(f"Nothing could be cleaned up: {error}{told}")
        for text in removed:
            context.log.warning(text)
        return dg.SkipReason((" ".join(removed) or "Nothing was left behind.") + told)

    return clean_up_sessions


def make_is_over(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Return what tells whether a Dagster run has ended; one that Dagster does not know any more has."""

    def is_over(run_id: str) -> bool:
        run = instance.get_run_by_id(run_id)
        return run is None or run.is_finished

    return is_over
