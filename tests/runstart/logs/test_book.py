"""The book holds each sample once, only those of the run, in any order of arrival, and in bounded memory."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.events import Severity
from runstart.logs import LogBook, LogSeries, Sample

START, STOP = 1000, 2000

times = st.integers(0, 3000)
severities = st.sampled_from(list(Severity))
samples = st.builds(Sample, st.sampled_from(["a", "b"]), times, st.floats(-10, 10), severities)


def filled(given_samples: list[Sample], most: int = 200_000) -> LogBook:
    book = LogBook("run", START, most)
    for sample in given_samples:
        book.add(sample, "c")
    return book


def expected_times(given_samples: list[Sample], name: str) -> list[int]:
    own = {s.time_ns for s in given_samples if s.name == name and s.time_ns < STOP}
    before = [t for t in own if t <= START]
    return sorted({t for t in own if t > START} | ({max(before)} if before else set()))


@given(st.lists(samples, max_size=60))
def test_the_run_has_its_samples_and_the_newest_at_or_before_its_start(given_samples: list[Sample]) -> None:
    book = filled(given_samples)
    book.close(STOP)
    series = book.series()
    for name in ("a", "b"):
        found = series[name].time_ns.tolist() if name in series else []
        assert found == expected_times(given_samples, name)


@given(st.lists(samples, max_size=40, unique_by=lambda s: (s.name, s.time_ns)), st.randoms())
def test_the_order_of_arrival_does_not_matter(given_samples: list[Sample], random: object) -> None:
    shuffled = list(given_samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    left, right = filled(given_samples), filled(shuffled)
    right.close(STOP)
    left.close(STOP)
    assert left.series() == right.series()


@given(st.lists(samples, max_size=40))
def test_a_duplicate_is_stored_once_and_the_first_stays(given_samples: list[Sample]) -> None:
    once = filled(given_samples)
    twice = filled([*given_samples, *given_samples])
    assert once.series() == twice.series()
    for series in once.series().values():
        assert (np.diff(series.time_ns) > 0).all()


@given(st.lists(samples, max_size=80))
def test_every_sample_is_in_one_counter(given_samples: list[Sample]) -> None:
    book = filled(given_samples)
    book.close(STOP)
    counters = book.counters
    stored = sum(len(series) for series in book.series().values())
    assert counters["added"] + counters["duplicates"] + counters["refused"] <= len(given_samples)
    assert stored + sum(counters[c] for c in ("duplicates", "before_start", "after_stop")) == len(given_samples)


def test_a_sample_at_the_start_is_the_value_at_the_start() -> None:
    book = filled([Sample("a", START, 1.0), Sample("a", START - 5, 0.0), Sample("a", START + 1, 2.0)])
    assert book.series()["a"].values.tolist() == [1.0, 2.0]


def test_a_sample_that_comes_after_the_stop_is_known_is_refused_if_it_is_past_it() -> None:
    book = filled([])
    book.close(STOP)
    assert book.add(Sample("a", STOP - 1, 1.0), "c")
    assert not book.add(Sample("a", STOP, 1.0), "c")
    assert book.counters["after_stop"] == 1


@given(st.lists(st.integers(0, 4), min_size=400, max_size=400), st.integers(64, 150))
def test_memory_is_bounded_and_what_goes_is_counted(codes: list[int], most: int) -> None:
    book = filled([Sample("a", START + k, float(k), Severity(code)) for k, code in enumerate(codes)], most)
    series = book.series()["a"]
    assert len(series) <= most
    assert len(series) + series.thinned == 400
    assert series.time_ns[0] == START


@given(st.lists(st.integers(20, 200), min_size=2, max_size=8), st.data())
def test_thinning_keeps_changes_of_severity(lengths: list[int], data: st.DataObject) -> None:
    codes: list[int] = []
    for length in lengths:
        other = [code for code in range(5) if [code] != codes[-1:]]
        codes += [data.draw(st.sampled_from(other))] * length
    given_samples = [Sample("a", START + k, float(k), Severity(code)) for k, code in enumerate(codes)]
    series = filled(given_samples, 64).series()["a"]
    changes = [START + k for k in range(1, len(codes)) if codes[k] != codes[k - 1]]
    kept = series.severity
    assert [int(t) for k, t in enumerate(series.time_ns) if k and kept[k] != kept[k - 1]] == changes


def test_the_first_known_value_decides_between_numbers_and_texts() -> None:
    book = filled([Sample("a", 1001, math.nan, Severity.DISCONNECTED), Sample("a", 1002, "open")])
    assert book.series()["a"].values == ("", "open")
    assert book.add(Sample("a", 1003, 7.0), "c")
    assert book.series()["a"].values == ("", "open", "7")
    numbers = filled([Sample("n", 1001, 1.0)])
    assert not numbers.add(Sample("n", 1002, "open"), "c")
    assert numbers.add(Sample("n", 1003, "", Severity.DISCONNECTED), "c")
    assert np.isnan(numbers.series()["n"].values[1])
    assert numbers.counters["refused"] == 1


def test_a_unit_that_is_told_late_belongs_to_the_whole_log() -> None:
    book = filled([Sample("a", 1001, 1.0)])
    book.take_unstored()
    book.describe("a", "K")
    assert book.series()["a"].unit == "K"
    assert [series.unit for series in book.take_unstored()] == ["K"]


@pytest.mark.parametrize("time_ns", [2**63, -(2**63) - 1])
def test_a_time_that_no_file_can_hold_is_refused(time_ns: int) -> None:
    assert not LogBook("run", START).add(Sample("a", time_ns, 1.0), "c")


def test_a_copy_shares_nothing() -> None:
    book = filled([Sample("a", 1001, 1.0), Sample("t", 1001, "x")])
    twin = book.copy()
    book.add(Sample("a", 1002, 2.0), "c")
    assert len(twin.series()["a"]) == 1
    assert twin.samples_of("c") == 2
    assert twin.series()["t"] == book.series()["t"]


def test_threads_may_add_at_once() -> None:
    book = LogBook("run", START)

    def add(first: int) -> None:
        for k in range(500):
            book.add(Sample("a", START + 1 + 2 * k + first, 0.0), f"c{first}")

    threads = [threading.Thread(target=add, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(book.series()["a"]) == 1000
    assert book.samples_of("c0") == book.samples_of("c1") == 500


def test_series_of_different_content_are_different() -> None:
    one = LogSeries("a", np.array([1]), np.array([np.nan]), np.array([4], np.int8))
    same = LogSeries("a", np.array([1]), np.array([np.nan]), np.array([4], np.int8))
    texts = LogSeries("a", np.array([1]), ("x",), np.array([4], np.int8))
    assert one == same
    assert one != texts
    assert one != LogSeries("a", np.array([2]), np.array([np.nan]), np.array([4], np.int8))


texts = st.sampled_from(["", "open", "shut"])
statuses = st.sampled_from(["", "HIGH", "LOW"])
mixed_samples = st.one_of(
    st.builds(Sample, st.just("a"), times, st.floats(-10, 10) | st.just(math.nan), severities, status=statuses),
    st.builds(Sample, st.just("a"), times, texts, severities, status=statuses),
)


@given(st.lists(mixed_samples, max_size=30), st.lists(mixed_samples, max_size=90), st.booleans())
def test_restoring_is_adding_one_by_one(first: list[Sample], stored_samples: list[Sample], closed: bool) -> None:
    stored = list(filled(stored_samples).series().values())
    restored, added = filled(first, 64), filled(first, 64)
    if closed:
        restored.close(STOP)
        added.close(STOP)
    before = restored.counters["added"]
    new = restored.restore(stored)
    for one in stored:
        rows = zip(one.time_ns.tolist(), one.values, one.severity, one.status or ("",) * len(one), strict=True)
        for time_ns, value, severity, status in rows:
            added.add(Sample("a", time_ns, value, Severity(severity), status=status), "c")
    assert restored.series() == added.series()
    assert restored.counters == added.counters
    assert new == restored.counters["added"] - before


def test_what_is_restored_is_not_stored_again() -> None:
    stored = filled([Sample("a", START + k, float(k), unit="K", status="HIGH") for k in range(-2, 50)]).series()
    book = filled([])
    assert book.restore(list(stored.values())) == 50
    assert book.take_unstored() == []
    assert book.series() == stored


@pytest.mark.parametrize("value", [None, [1.0, 2.0], 10**400])
def test_a_value_that_is_none_leaves_the_book_as_it_was(value: object) -> None:
    book = filled([Sample("b", START, 1.0)])
    for name in ("a", "b"):
        with pytest.raises((TypeError, OverflowError)):
            book.add(Sample(name, START, value), "c")  # type: ignore[arg-type]
    assert {name: log.values.tolist() for name, log in book.series().items()} == {"b": [1.0]}  # type: ignore[union-attr]
    assert [series.name for series in book.take_unstored()] == ["b"]


def test_a_book_that_is_closed_from_the_beginning_takes_what_is_before_the_stop() -> None:
    book = LogBook("run", START, 64)
    book.close(STOP)
    for time_ns in [START - 5, START + 1, *range(STOP, STOP + 500)]:
        book.add(Sample("a", time_ns, 0.0), "c")
    series = book.series()["a"]
    assert (series.time_ns.tolist(), series.thinned) == ([START - 5, START + 1], 0)
    assert book.counters["after_stop"] == 500
