"""Nights: from noon to noon on the site's clock, named by the date of their evening.

The wall clock decides, so that a night in which clocks change lasts 23 or 25 hours, every moment belongs to exactly one
night, and no exposure of an evening and the morning after it is parted.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from runstart.errors import Alert
from runstart.nights.site import Site

_NIGHT = re.compile(r"[12]\d{3}-\d{2}-\d{2}", re.ASCII)
_NOON = time(12)
_DAY = timedelta(days=1)


def is_night(text: str) -> bool:
    """Tell whether a text names a night: a date like `2026-03-28`, between the years 1000 and 2999."""
    if not _NIGHT.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def night_of(moment: datetime, site: Site) -> str:
    """Return the night to which a moment belongs.

    Parameters
    ----------
    moment : datetime
        With a time zone.
    site : Site
        Its clock decides; noon itself belongs to the night that begins.

    Returns
    -------
    str
        The date of the evening, `YYYY-MM-DD`.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone.")
    local = moment.astimezone(site.zone)
    evening = local.date() if local.time() >= _NOON else local.date() - _DAY
    return evening.isoformat()


def night_bounds(site: Site, night: str) -> tuple[datetime, datetime]:
    """Return begin and end of a night.

    Parameters
    ----------
    site : Site
        Where.
    night : str
        The date of the evening, `YYYY-MM-DD`.

    Returns
    -------
    start, end : datetime
        In UTC; the end belongs to the next night. They are equal for a day that the site's clocks have skipped.

    Raises
    ------
    Alert
        If the text is no night.
    """
    if not is_night(night):
        raise Alert(f"{night!r} is no night.", "Write the date of its evening, such as 2026-03-28.")
    evening = date.fromisoformat(night)
    return _noon(site, evening), _noon(site, evening + _DAY)


def last_night(site: Site, now: datetime | None = None) -> str:
    """Return the night that began the evening before: in a morning the one that is ending, later the one that has.

    Parameters
    ----------
    site : Site
        Where.
    now : datetime, optional
        With a time zone; by default the present.

    Returns
    -------
    str
        The date of its evening; it may lie before the site's first night.
    """
    now = datetime.now(UTC) if now is None else now
    if now.tzinfo is None:
        raise ValueError(f"{now} has no time zone.")
    return (now.astimezone(site.zone).date() - _DAY).isoformat()


def _noon(site: Site, day: date) -> datetime:
    return datetime.combine(day, _NOON, site.zone).astimezone(UTC)
