"""What makes nights happen: each site's morning, what follows from new exposures, and the backfill of what fell short."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from assets import SITE_TAG, Nights
from ops.tags import BATCH, KIND_TAG
from resources import DataOperationsResource, ObjectStoreResource
from runstart.errors import Alert
from sensors.cron import read_cron, read_time_zone

if TYPE_CHECKING:
    from collections.abc import Callable

AGAIN_NAME = "nights_again"
AGAIN_CRON = "0 15 * * *"
AGAIN_VARIABLE = "RUNSTART_NIGHTS_AGAIN_CRON"
FOLLOW_NAME = "nights_follow_exposures"
FOLLOW_VARIABLE = "RUNSTART_FOLLOW_EXPOSURES"
FOLLOW_SECONDS = 15
TICK_SECONDS = 40.0  # a tick may take 60 s, the launch of the backfill included
FUTURE = timedelta(minutes=5)  # clocks of daemon and code server differ by less

_STATUS = {"yes": dg.DefaultSensorStatus.RUNNING, "no": dg.DefaultSensorStatus.STOPPED}


def define_morning_schedule(nights: Nights) -> dg.ScheduleDefinition:
    """Return the schedule that reduces a site's night once, in the morning after it."""
    site = nights.site

    @dg.schedule(
        name=f"morning_{site.name}",
        job=nights.job,
        cron_schedule=site.morning,
        execution_timezone=site.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Reduces the night of {site.title or site.name} that began the evening before.",
    )
    def morning(
        context: dg.ScheduleEvaluationContext, object_store: ObjectStoreResource
    ) -> dg.RunRequest | dg.SkipReason:
        from runstart.nights import has_begun, last_night

        if not has_begun(object_store.open(), site):
            return dg.SkipReason(f"{site.name} has not begun: there is no {site.exposures}.")
        night = last_night(site, context.scheduled_execution_time)
        if night < site.first_night.isoformat():
            return dg.SkipReason(f"The first night of {site.name} is {site.first_night}.")
        return dg.RunRequest(run_key=night, partition_key=night, tags={SITE_TAG: site.name, KIND_TAG: BATCH})

    return morning


def define_following_sensor(
    nights: Sequence[Nights], environ: Mapping[str, str] = os.environ
) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that makes what follows from new exposures.

    Parameters
    ----------
    nights : sequence of Nights
        All sites' nights.
    environ : mapping of str to str, optional
        With `RUNSTART_FOLLOW_EXPOSURES` set to `no` it is off until somebody turns it on in the UI.

    Raises
    ------
    Alert
        If the variable is neither `yes` nor `no`.
    """
    follows = environ.get(FOLLOW_VARIABLE) or "yes"
    if follows not in _STATUS:
        raise Alert(f"{FOLLOW_VARIABLE} is {follows!r}.", "Set it to yes or no.")
    return dg.AutomationConditionSensorDefinition(
        FOLLOW_NAME,
        target=dg.AssetSelection.assets(*(key for each in nights for key in each.assets.keys)),
        run_tags={KIND_TAG: BATCH},
        default_status=_STATUS[follows],
        minimum_interval_seconds=FOLLOW_SECONDS,
        description="Makes masters, calibrated exposures, stacks, colour images and catalogues when exposures are new.",
    )


def define_again_schedule(
    nights: Iterable[Nights], environ: Mapping[str, str] = os.environ
) -> Callable[..., object]:
    """Return the schedule that requests, as one backfill, the nights that a new making can improve.

    Parameters
    ----------
    nights : iterable of Nights
        All sites' nights.
    environ : mapping of str to str, optional
        `RUNSTART_NIGHTS_AGAIN_CRON` says when (15:00 by default), `RUNSTART_TIME_ZONE` in which time zone (UTC).

    Raises
    ------
    Alert
        If the environment names no time or no time zone.
    """
    watched = tuple(nights)

    @dg.schedule(
        name=AGAIN_NAME,
        cron_schedule=read_cron(environ, AGAIN_VARIABLE, AGAIN_CRON),
        execution_timezone=read_time_zone(environ),
        target=dg.AssetSelection.assets(*(key for each in watched for key in each.assets.keys)),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Makes again, as one backfill, the nights that failed, were never made, or whose exposures or code have "
            "changed; a night is tried three times with the same exposures and code."
        ),
    )
    def nights_again(
        context: dg.ScheduleEvaluationContext,
        object_store: ObjectStoreResource,
        data_operations: DataOperationsResource,
    ) -> dg.SkipReason:
        from runstart.errors import Transient
        from sensors.night_backfill import Tick, make_nights_again

        scheduled = context.scheduled_execution_time
        trial = scheduled > datetime.now(UTC) + FUTURE  # a tick that is tested in the UI
        workplace = data_operations.open(object_store.open())
        tick = Tick(f"nights-{scheduled:%Y%m%dT%H%M}", seconds=TICK_SECONDS, dry_run=trial)
        try:
            return dg.SkipReason(make_nights_again(context.instance, workplace, watched, tick))
        except Transient as error:
            return dg.SkipReason(f"Nothing was requested: {error}")

    return nights_again
