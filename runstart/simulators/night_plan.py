"""What a simulated night shall be: checked when it is written down, so that a mistake is told before the first file.

A night has the date of its evening and lasts from local noon to local noon.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runstart.errors import Alert
from runstart.simulators._bands import BANDS

__all__ = ["NightPlan", "Scenario", "last_night", "parse_shape"]

_SITE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,23}")
_SHAPE = re.compile(r"(\d{1,6})[xX](\d{1,6})")
_SMALLEST, _LARGEST = 32, 16_384
_YEARS = (1970, 2100)
_MOST_OBJECTS = 99


class Scenario(StrEnum):
    """What goes wrong in a night."""

    GOOD = "good"
    """Nothing."""
    FEW_FLATS = "few-flats"
    """Clouds at dusk: one flat per filter at most."""
    CLOUDS = "clouds"
    """Thick clouds: next to no starlight comes through, and the sky is brighter."""
    NO_WCS = "no-wcs"
    """No exposure of the sky has a celestial WCS."""
    SATURATED = "saturated"
    """Moonlit and overexposed: the sky nearly fills the pixels, and most stars saturate."""
    NOISY_BIAS = "noisy-bias"
    """The electronics pick up an interference; the bias level is off and the noise is ten times as high."""
    NO_SCIENCE = "no-science"
    """The dome stayed shut: calibration frames only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPlan:
    """A night at a site.

    Parameters
    ----------
    date : datetime.date
        Local date of the evening.
    site : str
        Letters, digits and underscores, a letter first. It decides about the camera: its bad columns, noise, flat
        field.
    time_zone : str
        IANA name. The site lies in the middle of its zone, at 30 degrees south.
    shape : (int, int)
        Rows and columns of the light-sensitive area; overscan columns come on top.
    filters : tuple of str
        Keys of `BANDS`.
    objects, exposures : int
        Number of fields; exposures of each in each filter.
    biases, darks, flats : int
        Number of frames; `flats` in each filter.
    exposure_time_s : float
        Of a science exposure; a dark takes twice as long.
    seeing_arcsec : float
        Full width at half maximum of a star.
    seed : int
        The same plan with the same seed gives the same bytes.
    compress : bool
        Write an fpacked SCI extension instead of a plain primary HDU.
    pace_s : float
        Seconds from one file to the next; 0 does not wait.
    scenario : Scenario

    Raises
    ------
    Alert
        A value is out of its range, or unknown.
    """

    date: dt.date
    site: str = "SIMOBS"
    time_zone: str = "UTC"
    shape: tuple[int, int] = (512, 512)
    filters: tuple[str, ...] = ("gp", "rp", "ip")
    objects: int = 2
    exposures: int = 3
    biases: int = 7
    darks: int = 5
    flats: int = 5
    exposure_time_s: float = 60.0
    seeing_arcsec: float = 1.5
    seed: int = 0
    compress: bool = False
    pace_s: float = 0.0
    scenario: Scenario = Scenario.GOOD

    def __post_init__(self) -> None:
        if not _SITE.fullmatch(self.site):
            raise Alert(
                f"Site {self.site!r} is no name for files.",
                "Use up to 24 letters, digits and underscores, a letter first.",
            )
        if not _YEARS[0] <= self.date.year <= _YEARS[1]:
            raise Alert(
                f"The night {self.date} is out of range.", f"Choose a year from {_YEARS[0]} to {_YEARS[1]}."
            )
        _zone(self.time_zone)
        if not all(_SMALLEST <= length <= _LARGEST for length in self.shape):
            rows, columns = self.shape
            what = f"An image of {rows}x{columns} pixels cannot be simulated."
            raise Alert(what, f"Choose {_SMALLEST} to {_LARGEST} rows and columns.")
        _check_filters(self.filters)
        _check_number("objects", self.objects, 1, _MOST_OBJECTS)
        for name in ("exposures", "biases", "darks", "flats"):
            _check_number(name, getattr(self, name), 0, 1000)
        _check_number("seconds of exposure time", self.exposure_time_s, 0.01, 7200)
        _check_number("arcseconds of seeing", self.seeing_arcsec, 0.5, 10)
        _check_number("seconds from file to file", self.pace_s, 0, 3600)
        _check_number("as the seed", self.seed, 0, 2**63 - 1)

    @property
    def day_obs(self) -> str:
        """The date as headers and file names have it."""
        return f"{self.date:%Y%m%d}"

    @property
    def noon(self) -> dt.datetime:
        """The local noon at which the night begins, in UTC."""
        return dt.datetime.combine(self.date, dt.time(12), _zone(self.time_zone)).astimezone(dt.UTC)

    @property
    def longitude_deg(self) -> float:
        """Of the site, to the east: the middle of its time zone."""
        local = self.noon.astimezone(_zone(self.time_zone))
        offset = local.utcoffset() or dt.timedelta()
        summer = local.dst() or dt.timedelta()
        return (offset - summer).total_seconds() / 240


def last_night(now: dt.datetime, time_zone: str = "UTC") -> dt.date:
    """Return the date of the last night that has ended.

    Parameters
    ----------
    now : datetime.datetime
        With a time zone.
    time_zone : str
        The site's.

    Raises
    ------
    Alert
        The time zone is unknown.
    """
    local = now.astimezone(_zone(time_zone))
    night_begun = local.date() if local.hour >= 12 else local.date() - dt.timedelta(days=1)
    return night_begun - dt.timedelta(days=1)


def parse_shape(text: str) -> tuple[int, int]:
    """Return rows and columns from `ROWSxCOLUMNS`.

    Raises
    ------
    Alert
        The text does not have this form.
    """
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        raise Alert(f"{text!r} is no size of an image.", "Write rows and columns like 512x512.")
    return int(found[1]), int(found[2])


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Alert(f"There is no time zone {name!r}.", "Write it like America/Santiago or UTC.") from error


def _check_filters(filters: tuple[str, ...]) -> None:
    if not filters:
        raise Alert("A night needs a filter.", f"Choose from {', '.join(BANDS)}.")
    for name in filters:
        if name not in BANDS:
            raise Alert(f"The simulation does not know the filter {name!r}.", f"Choose from {', '.join(BANDS)}.")
    if len(set(filters)) < len(filters):
        raise Alert(f"A filter is named twice in {','.join(filters)!r}.", "Name each filter once.")


def _check_number(name: str, value: float, smallest: float, largest: float) -> None:
    if not math.isfinite(value) or not smallest <= value <= largest:
        raise Alert(f"A night cannot have {value:g} {name}.", f"Choose from {smallest:g} to {largest:g}.")
