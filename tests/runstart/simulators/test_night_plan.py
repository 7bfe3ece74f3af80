from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.simulators._night_schedule import airmass, night_fields, plan_exposures
from runstart.simulators.night_plan import NightPlan, Scenario, last_night, parse_shape

PLAN = NightPlan(date=dt.date(2026, 7, 19))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"site": "../etc"}, "no name for files"),
        ({"site": ""}, "no name for files"),
        ({"site": "A" * 25}, "no name for files"),
        ({"site": "SIM\n"}, "no name for files"),
        ({"time_zone": "Mars/Olympus"}, "no time zone"),
        ({"time_zone": "../../etc/passwd"}, "no time zone"),
        ({"shape": (8, 512)}, "8x512 pixels"),
        ({"shape": (512, 20_000)}, "512x20000"),
        ({"filters": ()}, "needs a filter"),
        ({"filters": ("gp", "green")}, "'green'"),
        ({"filters": ("gp", "gp")}, "named twice"),
        ({"objects": 0}, "0 objects"),
        ({"biases": -1}, "-1 biases"),
        ({"exposure_time_s": float("nan")}, "nan seconds"),
        ({"seeing_arcsec": 0.1}, "0.1 arcseconds"),
        ({"pace_s": -1.0}, "-1 seconds"),
        ({"seed": -1}, "-1 as the seed"),
        ({"date": dt.date(1, 1, 1)}, "0001-01-01 is out of range"),
    ],
)
def test_a_value_out_of_range_is_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(Alert, match=re.escape(told)):
        dataclasses.replace(PLAN, **values)


@given(st.text(max_size=30))
def test_a_site_is_refused_or_safe_in_a_file_name(site: str) -> None:
    try:
        plan = dataclasses.replace(PLAN, site=site)
    except Alert:
        return
    names = {exposure.name for exposure in plan_exposures(plan)}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)
    assert all(name.startswith(f"{site}-20260719-") for name in names)


@given(st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2050, 1, 1)), st.sampled_from(["UTC", "Pacific/Auckland"]))
def test_the_last_night_has_ended_and_the_next_has_not(now: dt.datetime, zone: str) -> None:
    at = now.replace(tzinfo=dt.UTC)
    night = last_night(at, zone)
    ends = [NightPlan(date=night + dt.timedelta(days=days), time_zone=zone).noon for days in (1, 2)]
    assert ends[0] <= at < ends[1]


@given(
    st.dates(dt.date(1990, 1, 1), dt.date(2060, 1, 1)),
    st.sampled_from(["UTC", "America/Santiago", "Australia/Sydney", "Pacific/Honolulu"]),
    st.integers(1, 12),
)
def test_every_exposure_lies_in_its_night_and_every_field_is_up(date: dt.date, zone: str, objects: int) -> None:
    plan = NightPlan(date=date, time_zone=zone, objects=objects)
    exposures = plan_exposures(plan)
    assert len({exposure.name for exposure in exposures}) == len(exposures)
    end = plan.noon
    for exposure in exposures:
        assert exposure.start >= end
        end = exposure.start + dt.timedelta(seconds=exposure.exposure_time_s)
        if exposure.field is not None:
            assert airmass(exposure.field, exposure.start, plan.longitude_deg) < 3
    assert end < plan.noon + dt.timedelta(hours=24)
    fields = night_fields(plan)
    assert (
        len({field.name for field in fields}) == len({exposure.field for exposure in exposures} - {None}) == objects
    )


def test_a_field_stays_for_weeks_and_comes_back_after_a_year() -> None:
    nights = [dataclasses.replace(PLAN, objects=1, date=PLAN.date + dt.timedelta(days=days)) for days in range(366)]
    names = [night_fields(night)[0].name for night in nights]
    assert len(set(names)) == 12
    assert sum(a != b for a, b in itertools.pairwise(names)) == 12
    assert names[0] == names[365]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"exposure_time_s": 7200.0, "darks": 0}, "science exposures of the night take 36.1 hours; there are 9.0"),
        ({"exposure_time_s": 7200.0}, "biases and darks of the night take 20.0 hours"),
        ({"flats": 1000}, "flats of the night take"),
        ({"objects": 99, "exposures": 1000}, "297027 exposures"),
    ],
)
def test_what_does_not_fit_into_a_night_is_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(Alert, match=re.escape(told)):
        plan_exposures(dataclasses.replace(PLAN, **values))


def test_few_flats_are_fewer_than_were_asked_for() -> None:
    plan = dataclasses.replace(PLAN, scenario=Scenario.FEW_FLATS)
    assert len(plan_exposures(PLAN)) - len(plan_exposures(plan)) == 4 * 3


@pytest.mark.parametrize(("text", "shape"), [("512x1024", (512, 1024)), (" 64X96 ", (64, 96))])
def test_a_size_is_rows_and_columns(text: str, shape: tuple[int, int]) -> None:
    assert parse_shape(text) == shape


@pytest.mark.parametrize("text", ["", "512", "x", "512x", "-1x3", "512x512x3", "5e2x7", "9999999x1"])
def test_another_text_is_no_size(text: str) -> None:
    with pytest.raises(Alert, match="no size"):
        parse_shape(text)
