"""Which exposures a night consists of, when they begin, and where the telescope points.

Biases and darks are taken in the afternoon, flats at dusk, science exposures around midnight. The fields are those
that culminate nearest to midnight, so that the same ones come night after night and change with the season.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from enum import StrEnum

from runstart.errors import Alert
from runstart.simulators._randomness import generator
from runstart.simulators.night_plan import NightPlan, Scenario

_READOUT_S = 12.0
_HOUR_S = 3600.0
# Hours after noon: begin and end of what daylight allows.
_AFTERNOON, _DUSK, _DARKNESS = (0.5, 6.0), (6.25, 7.25), (7.5, 16.5)
_MIDNIGHT = 12.0
_HOURS_BETWEEN_FIELDS = 2
_LATITUDE_DEG = -30.0
_MJD_EPOCH = dt.datetime(1858, 11, 17, tzinfo=dt.UTC)
_MOST_EXPOSURES = 9999


class Kind(StrEnum):
    """What an exposure is, as OBSTYPE says it."""

    BIAS = "BIAS"
    DARK = "DARK"
    SKYFLAT = "SKYFLAT"
    EXPOSE = "EXPOSE"


@dataclass(frozen=True, slots=True)
class Field:
    """A part of the sky, named after its position."""

    name: str
    ra_deg: float
    dec_deg: float


@dataclass(frozen=True, slots=True)
class PlannedExposure:
    """An exposure that will be taken.

    Parameters
    ----------
    name : str
        The file's name without its suffix.
    kind : Kind
    start : datetime.datetime
        In UTC, whole milliseconds.
    exposure_time_s : float
    filter_name : str
        Empty for a bias or a dark.
    field : Field or None
        Of a science exposure.
    index : int
        Number within its kind, filter and field, from 0.
    """

    name: str
    kind: Kind
    start: dt.datetime
    exposure_time_s: float
    filter_name: str
    field: Field | None
    index: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    kind: Kind
    exposure_time_s: float
    index: int
    filter_name: str = ""
    field: Field | None = None


def plan_exposures(plan: NightPlan) -> tuple[PlannedExposure, ...]:
    """Return the exposures of a night in the order of their times.

    Raises
    ------
    Alert
        They do not fit into a night.
    """
    afternoon = [_Wanted(Kind.BIAS, 0.0, i) for i in range(plan.biases)]
    afternoon += [_Wanted(Kind.DARK, 2 * plan.exposure_time_s, i) for i in range(plan.darks)]
    n_flats = min(plan.flats, 1) if plan.scenario is Scenario.FEW_FLATS else plan.flats
    dusk = [
        # The sky grows darker, and the exposures longer.
        _Wanted(Kind.SKYFLAT, round(min(2.0 * 1.2**i, 20.0), 1), i, name)
        for name in plan.filters
        for i in range(n_flats)
    ]
    fields = () if plan.scenario is Scenario.NO_SCIENCE else night_fields(plan)
    darkness = [
        _Wanted(Kind.EXPOSE, plan.exposure_time_s, i, name, field)
        for field in fields
        for name in plan.filters
        for i in range(plan.exposures)
    ]
    n_exposures = len(afternoon) + len(dusk) + len(darkness)
    if n_exposures > _MOST_EXPOSURES:
        raise Alert(f"A night cannot have {n_exposures} exposures.", f"Ask for {_MOST_EXPOSURES} at most.")
    _check_duration("biases and darks", afternoon, _AFTERNOON)
    _check_duration("flats", dusk, _DUSK)
    _check_duration("science exposures", darkness, _DARKNESS)
    half_h = _duration_s(darkness) / 2 / _HOUR_S
    begin_h = min(max(_MIDNIGHT - half_h, _DARKNESS[0]), _DARKNESS[1] - 2 * half_h)
    return (
        *_timed(plan, afternoon, 1, _AFTERNOON[0]),
        *_timed(plan, dusk, 1 + len(afternoon), _DUSK[0]),
        *_timed(plan, darkness, 1 + len(afternoon) + len(dusk), begin_h),
    )


def night_fields(plan: NightPlan) -> tuple[Field, ...]:
    """Return the fields of a night, which culminate within a few hours of midnight, from west to east."""
    sidereal_h = _sidereal_hours(plan.noon + dt.timedelta(hours=_MIDNIGHT), plan.longitude_deg)
    nearest = round(sidereal_h / _HOURS_BETWEEN_FIELDS)
    after = sidereal_h / _HOURS_BETWEEN_FIELDS >= nearest
    neighbours = (0, 1, -1) if after else (0, -1, 1)
    places = [(steps, layer) for layer in range(-(-plan.objects // 3)) for steps in neighbours]
    return tuple(_field(nearest + steps, layer) for steps, layer in sorted(places[: plan.objects]))


def airmass(field: Field, when: dt.datetime, longitude_deg: float) -> float:
    """Return the airmass of a field, as the secant of its distance from the zenith."""
    hour_angle = math.radians(15 * _sidereal_hours(when, longitude_deg) - field.ra_deg)
    dec, latitude = math.radians(field.dec_deg), math.radians(_LATITUDE_DEG)
    height = math.sin(latitude) * math.sin(dec) + math.cos(latitude) * math.cos(dec) * math.cos(hour_angle)
    return 1 / max(height, 0.1)


def modified_julian_date(when: dt.datetime) -> float:
    """Return the MJD of a time, in UTC."""
    return (when - _MJD_EPOCH) / dt.timedelta(days=1)


def _sidereal_hours(when: dt.datetime, longitude_deg: float) -> float:
    """Return the local mean sidereal time; Greenwich's from the Astronomical Almanac, good to a second here."""
    days = modified_julian_date(when) - 51_544.5
    return (18.697_374_558 + 24.065_709_824_419_08 * days + longitude_deg / 15) % 24


def _field(slot: int, layer: int) -> Field:
    hour = slot * _HOURS_BETWEEN_FIELDS % 24
    rng = generator("field", hour, layer)
    minute = int(rng.integers(0, 60))
    # 11 and 48 have no common factor: no two layers of the same hour have the same declination.
    degree = 8 + layer * 11 % 48
    ra = 15 * (hour + minute / 60)
    return Field(f"F{hour:02d}{minute:02d}-{degree:02d}", ra, -degree - float(rng.uniform(0, 0.9)))


def _duration_s(wanted: list[_Wanted]) -> float:
    return sum(one.exposure_time_s + _READOUT_S for one in wanted)


def _check_duration(name: str, wanted: list[_Wanted], hours: tuple[float, float]) -> None:
    takes_h, has_h = _duration_s(wanted) / _HOUR_S, hours[1] - hours[0]
    if takes_h > has_h:
        what = f"The {name} of the night take {takes_h:.1f} hours; there are {has_h:.1f}."
        raise Alert(what, "Ask for fewer or shorter ones.")


def _timed(plan: NightPlan, wanted: list[_Wanted], first: int, begin_h: float) -> list[PlannedExposure]:
    letters = {Kind.BIAS: "b", Kind.DARK: "d", Kind.SKYFLAT: "f", Kind.EXPOSE: "e"}
    start = plan.noon + dt.timedelta(hours=begin_h)
    exposures = []
    for number, one in enumerate(wanted, start=first):
        name = f"{plan.site}-{plan.day_obs}-{number:04d}-{letters[one.kind]}00"
        # Shutters do not open on the second.
        at = start + dt.timedelta(milliseconds=number * 137 % 1000)
        exposures.append(
            PlannedExposure(name, one.kind, at, one.exposure_time_s, one.filter_name, one.field, one.index)
        )
        start += dt.timedelta(seconds=one.exposure_time_s + _READOUT_S)
    return exposures
