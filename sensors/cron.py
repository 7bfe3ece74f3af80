"""When the schedules tick: a deployment's environment may say it."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping

from runstart.errors import Alert

TIME_ZONE_VARIABLE = "RUNSTART_TIME_ZONE"


def read_cron(environ: Mapping[str, str], variable: str, default: str) -> str:
    """Return the cron expression that a variable of the environment holds.

    Raises
    ------
    Alert
        If it is none.
    """
    from dagster._utils.schedules import is_valid_cron_schedule

    cron = environ.get(variable) or default
    if not is_valid_cron_schedule(cron):
        raise Alert(
            f"{variable} is {cron!r}, which is no cron expression.",
            f"Write five fields, such as {default!r}: minute, hour, day of the month, month, day of the week.",
        )
    return cron


def read_time_zone(environ: Mapping[str, str]) -> str:
    """Return the time zone of all schedules, UTC unless the environment says otherwise.

    Raises
    ------
    Alert
        If there is no such time zone.
    """
    name = environ.get(TIME_ZONE_VARIABLE) or "UTC"
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Alert(
            f"{TIME_ZONE_VARIABLE} is {name!r}, which is no time zone.", "Write one like 'Europe/London'."
        ) from error
    return name
