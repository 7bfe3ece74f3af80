"""Exposures as they arrive: each whole file once, in one Dagster run for each stretch of nights."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from night_facility import (
    BEGIN,
    BIASES_ONLY,
    END,
    NOBODY_THERE,
    SITE,
    NightHouse,
    made_by_night,
    night,
    open_house,
    put_slowly,
)

from sensors.exposures import group_nights

SENSOR, JOB = f"exposures_{SITE}", f"arrivals_{SITE}"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[NightHouse]:
    with open_house(tmp_path / "house") as house:
        yield house


class Ticks:
    """Ticks of the sensor whose cursor is kept, as the daemon does it."""

    def __init__(self, house: NightHouse) -> None:
        self.house = house
        self.cursor: str | None = None
        self.said = ""

    def __call__(self, *, keep: bool = True) -> Sequence[dg.RunRequest]:
        data = self.house.tick_sensor(SENSOR, self.cursor)
        self.said = data.skip_message or ""
        if keep:
            self.cursor = data.cursor
        return data.run_requests or []


@pytest.fixture
def tick(house: NightHouse) -> Ticks:
    return Ticks(house)


def nights_of(request: dg.RunRequest) -> tuple[str, str]:
    return (
        request.partition_key or request.tags[BEGIN],
        request.partition_key or request.tags[END],
    )


@given(st.sets(st.integers(0, 200), max_size=80), st.integers(1, 40))
def test_stretches_are_all_nights_in_order_without_a_gap_and_as_long_as_they_may_be(
    days: set[int], most: int
) -> None:
    nights = {(date(2026, 2, 1) + timedelta(days=day)).isoformat() for day in days}
    stretches = list(group_nights(nights, most))
    assert [of for stretch in stretches for of in stretch] == sorted(nights)
    for stretch in stretches:
        begin, end = date.fromisoformat(stretch[0]), date.fromisoformat(stretch[-1])
        assert (end - begin).days + 1 == len(stretch) <= most
    for before, after in itertools.pairwise(stretches):
        follows = date.fromisoformat(after[0]) - date.fromisoformat(before[-1]) == timedelta(days=1)
        assert not follows or len(before) == most, "no stretch ends without need"


def test_a_folder_that_is_not_there_yet_has_no_exposures(house: NightHouse, tick: Ticks) -> None:
    house.place.exposures.rmdir()
    assert tick() == []
    assert tick.said == "No new exposures."
    house.place.take(night(0), **BIASES_ONLY)
    assert [nights_of(request) for request in tick()] == [(night(0), night(0))]


def test_each_exposure_is_taken_up_once(house: NightHouse, tick: Ticks) -> None:
    for number in (0, 1, 4):
        house.place.take(night(number), **BIASES_ONLY)
    first = tick()
    assert [nights_of(request) for request in first] == [(night(0), night(1)), (night(4), night(4))]
    assert tick() == []
    assert tick.said == "No new exposures."
    house.place.take(night(4), **{**BIASES_ONLY, "biases": 3, "seed": 1})
    (again,) = tick()
    assert nights_of(again) == (night(4), night(4))
    assert again.run_key not in {request.run_key for request in first}
    assert tick() == []


def test_a_tick_whose_cursor_was_lost_requests_the_same_runs(house: NightHouse, tick: Ticks) -> None:
    """Dagster launches one run for a run key, so nothing is made twice."""
    for number in (0, 1, 4):
        house.place.take(night(number), **BIASES_ONLY)
    lost = tick(keep=False)
    assert [(r.run_key, nights_of(r)) for r in tick()] == [(r.run_key, nights_of(r)) for r in lost]


def test_a_replaced_file_is_another_run(house: NightHouse, tick: Ticks) -> None:
    (name, _) = house.place.take(night(0), **BIASES_ONLY)
    (first,) = tick()
    path = house.place.exposures / name
    other = house.place.take_elsewhere(night(0), **{**BIASES_ONLY, "seed": 5})[0]
    shutil.copy(other, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)
    (second,) = tick()
    assert nights_of(first) == nights_of(second)
    assert first.run_key != second.run_key
    assert tick() == []


def test_a_half_written_file_is_left_alone_and_then_taken_up_once(house: NightHouse, tick: Ticks) -> None:
    source = house.place.take_elsewhere(night(0), **BIASES_ONLY)[0]
    writing = put_slowly(source, house.place.exposures / source.name)
    next(writing)
    assert tick() == []
    assert "1 are left alone for now" in tick.said
    assert source.name in tick.said
    assert tick() == []
    assert next(writing, None) is None
    assert [nights_of(request) for request in tick()] == [(night(0), night(0))]
    assert tick() == []


def test_a_file_that_has_just_changed_is_left_to_settle(tmp_path: Path) -> None:
    with open_house(tmp_path / "slow", settle_seconds=600.0) as house:
        (name, _) = house.place.take(night(0), **BIASES_ONLY)
        tick = Ticks(house)
        assert tick() == []
        assert "it has just changed" in tick.said
        path = house.place.exposures / name
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 601))
        (request,) = tick()
        assert nights_of(request) == (night(0), night(0))


def test_what_is_no_exposure_of_a_night_is_told_once_and_stops_nothing(house: NightHouse, tick: Ticks) -> None:
    source = house.place.take_elsewhere(night(0), **BIASES_ONLY)[0]
    shutil.copy(source, house.place.exposures / "name with spaces.fits")
    (house.place.exposures / "outside.fits").symlink_to("/etc/hostname")
    assert tick() == []
    assert "2 are left out" in tick.said
    house.place.take(night(1), **BIASES_ONLY)
    assert [nights_of(request) for request in tick()] == [(night(1), night(1))]
    assert tick() == []
    assert tick.said == "No new exposures."


def test_a_bucket_that_does_not_answer_keeps_the_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_house(tmp_path / "house") as house:
        house.place.take(night(0), **BIASES_ONLY)
        tick = Ticks(house)
        assert len(tick()) == 1
        kept = tick.cursor
        house.place.move_to("s3://nights/hill")
        for variable, value in NOBODY_THERE.items():
            monkeypatch.setenv(variable, value)
        away = NightHouse(house.place, house.instance)
        data = away.tick_sensor(SENSOR, kept)
        assert (data.skip_message or "").startswith("Exposures cannot be listed now")
        assert data.cursor in (None, kept)


def test_what_it_requests_makes_the_index_of_just_these_nights(house: NightHouse, tick: Ticks) -> None:
    for number in (0, 1, 4):
        house.place.take(night(number), **BIASES_ONLY)
    made = [made_by_night(house.launch(request, JOB)) for request in tick()]
    assert made == [{night(0): ["exposures"], night(1): ["exposures"]}, {night(4): ["exposures"]}]


def test_it_runs_by_itself(house: NightHouse) -> None:
    sensor = house.definitions.resolve_sensor_def(SENSOR)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.job_name == JOB
