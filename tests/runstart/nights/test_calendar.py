from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from exposure_files import make_site
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.nights import Site, is_night, last_night, night_bounds, night_of

# Clocks that change at midnight, by half an hour, across the date line, far east and far west.
ZONES = (
    "UTC",
    "Europe/London",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Honolulu",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Asia/Beirut",
    "Atlantic/Canary",
    "Africa/Casablanca",
    "Antarctica/Troll",
)
sites = st.sampled_from([make_site(Path("/none"), time_zone=zone) for zone in ZONES])
moments = st.datetimes(min_value=datetime(1995, 1, 1), max_value=datetime(2037, 12, 31), timezones=st.just(UTC))


@given(sites, moments)
def test_every_moment_lies_within_the_bounds_of_its_night(site: Site, moment: datetime) -> None:
    start, end = night_bounds(site, night_of(moment, site))
    assert start <= moment < end


@given(sites, st.dates(date(1995, 1, 1), date(2037, 12, 30)))
def test_nights_follow_each_other_without_gap(site: Site, evening: date) -> None:
    start, end = night_bounds(site, evening.isoformat())
    assert night_bounds(site, (evening + timedelta(days=1)).isoformat())[0] == end
    assert timedelta(0) <= end - start <= timedelta(hours=48)
    if end > start:
        assert night_of(start, site) == evening.isoformat()
        assert night_of(end - timedelta(microseconds=1), site) == evening.isoformat()
        assert night_of(end, site) > evening.isoformat()


@given(sites, moments, moments)
def test_nights_are_in_the_order_of_time(site: Site, one: datetime, other: datetime) -> None:
    early, late = sorted((one, other))
    assert night_of(early, site) <= night_of(late, site)


@given(sites, moments, st.sampled_from(sorted(zoneinfo.available_timezones())))
def test_the_clock_on_which_a_moment_is_written_does_not_matter(site: Site, moment: datetime, zone: str) -> None:
    assert night_of(moment.astimezone(zoneinfo.ZoneInfo(zone)), site) == night_of(moment, site)


@given(sites, moments)
def test_the_last_night_began_the_evening_before(site: Site, now: datetime) -> None:
    night = last_night(site, now)
    assert night_bounds(site, night)[0] <= now
    assert date.fromisoformat(night) == now.astimezone(site.zone).date() - timedelta(days=1)


@pytest.mark.parametrize("hour", [0, 9, 11, 12, 14, 23])
def test_a_morning_has_the_night_that_is_ending_and_an_afternoon_the_same(tmp_path: Path, hour: int) -> None:
    site = make_site(tmp_path, time_zone="Pacific/Auckland")
    assert last_night(site, datetime(2026, 3, 29, hour, tzinfo=site.zone)) == "2026-03-28"


@pytest.mark.parametrize(("night", "hours"), [("2026-03-28", 23), ("2026-10-24", 25), ("2026-06-01", 24)])
def test_a_night_in_which_clocks_change_is_shorter_or_longer(tmp_path: Path, night: str, hours: int) -> None:
    start, end = night_bounds(make_site(tmp_path, time_zone="Europe/London"), night)
    assert end - start == timedelta(hours=hours)


def test_a_day_that_the_clocks_have_skipped_is_an_empty_night(tmp_path: Path) -> None:
    start, end = night_bounds(make_site(tmp_path, time_zone="Pacific/Apia"), "2011-12-30")
    assert start == end


def test_noon_begins_a_night(tmp_path: Path) -> None:
    site = make_site(tmp_path, time_zone="America/Santiago")
    noon = datetime(2026, 7, 1, 12, tzinfo=site.zone)
    assert night_of(noon, site) == "2026-07-01"
    assert night_of(noon - timedelta(microseconds=1), site) == "2026-06-30"


def test_a_moment_without_a_time_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        night_of(datetime(2026, 7, 1), make_site(tmp_path))


@pytest.mark.parametrize("text", ["2026-02-28", "2024-02-29", "1000-01-01", "2999-12-31"])
def test_a_date_is_a_night(text: str) -> None:
    assert is_night(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-30",
        "2026-2-3",
        "20260203",
        "2026-02-28\n",
        " 2026-02-28",
        "../../..",
        "9999-12-31",
        "٢٠٢٦-01-01",
    ],
)
def test_anything_else_is_no_night(tmp_path: Path, text: str) -> None:
    assert not is_night(text)
    with pytest.raises(Alert, match="is no night"):
        night_bounds(make_site(tmp_path), text)
