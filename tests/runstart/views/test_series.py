"""Rate and charge do not depend on the order of the messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.views import MAX_SECONDS, Series

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
PULSES = st.lists(st.tuples(st.integers(0, 500 * SECOND), st.integers(0, 9), st.floats(0, 10)), max_size=30)


@given(pulses=PULSES, seed=st.randoms(use_true_random=False))
def test_any_order_gives_the_same_arrays(pulses: list[tuple[int, int, float]], seed: object) -> None:
    shuffled = pulses.copy()
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = Series(START), Series(START)
    for series, order in ((one, pulses), (other, shuffled)):
        for time_ns, n, charge in order:
            series.add_events(time_ns // SECOND, n)
            assert series.add_charge(START + time_ns, charge)
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])


@given(pulses=PULSES)
def test_many_pulses_at_once_equal_one_by_one(pulses: list[tuple[int, int, float]]) -> None:
    one, many = Series(START), Series(START)
    for time_ns, n, _ in pulses:
        one.add_events(time_ns // SECOND, n)
    times = np.array([START + time_ns for time_ns, _, _ in pulses], np.int64)
    many.add_pulses(times, np.array([n for _, n, _ in pulses], np.int64))
    np.testing.assert_array_equal(one.events_per_second, many.events_per_second)


def test_a_second_is_half_open() -> None:
    series = Series(START)
    series.add_pulses(START + np.array([0, SECOND - 1, SECOND], np.int64), np.array([1, 2, 4], np.int64))
    assert series.events_per_second.tolist() == [3, 4]


def test_later_than_the_limit_goes_to_the_last_second() -> None:
    series = Series(START)
    series.add_events(10**12, 1)
    series.add_pulses(np.array([START + 10**18], np.int64), np.array([2], np.int64))
    assert series.events_per_second.size == MAX_SECONDS
    assert series.events_per_second[-1] == 3


def test_before_the_start_is_an_error() -> None:
    series = Series(START)
    with pytest.raises(IndexError, match="before the run's start"):
        series.add_events(-1, 1)
    with pytest.raises(IndexError, match="before the run's start"):
        series.add_pulses(np.array([START - 1], np.int64), np.array([1], np.int64))


@pytest.mark.parametrize("charge", [float("nan"), float("inf"), -float("inf"), -1e-9])
def test_what_is_no_charge_is_not_added(charge: float) -> None:
    series = Series(START)
    assert not series.add_charge(START, charge)
    assert series.total_charge_uah == 0


def test_charge_beyond_the_range_stays_at_its_end() -> None:
    series = Series(START)
    series.add_charge(START, 3e38)
    series.add_charge(START, 3e38)
    assert series.arrays()["charge_quanta_per_second"].tolist() == [2**63 - 1]


def test_charge_is_kept_to_a_millionth_of_a_millionth() -> None:
    series = Series(START)
    for _ in range(1000):
        series.add_charge(START, 0.00456)
    assert series.total_charge_uah == pytest.approx(4.56, abs=1e-9)
    assert series.charge_per_second_uah.tolist() == [series.total_charge_uah]


def test_stored_series_load_again_and_go_on() -> None:
    series, resumed = Series(START), Series(START)
    series.add_events(100, 3)
    series.add_charge(START, 0.1)
    resumed.load(series.arrays())
    resumed.add_events(200, 1)
    assert resumed.events_per_second[[100, 200]].tolist() == [3, 1]
    assert series.events_per_second.size == 101


def test_copy_is_independent_and_merge_adds() -> None:
    series = Series(START)
    series.add_events(1, 3)
    series.add_charge(START, 0.5)
    other = series.copy()
    other.add_events(70, 1)
    series.merge(other)
    assert series.events_per_second[[1, 70]].tolist() == [6, 1]
    assert series.total_charge_uah == 1
    assert other.events_per_second[1] == 3


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"events_per_second": np.zeros(2, np.int64), "charge_quanta_per_second": np.zeros(3, np.int64)},
        {"events_per_second": np.zeros(2, np.int64), "charge_quanta_per_second": np.zeros(2)},
    ],
)
def test_damaged_series_are_an_alert(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(Alert, match="start the run clean"):
        Series(START).load(arrays)
