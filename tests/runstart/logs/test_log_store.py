"""Stored logs come back whole, from any number of launches, and damage costs only what it has damaged."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Transient
from runstart.events import Severity
from runstart.logs import LogBook, LogSeries, LogStore, Sample
from runstart.logs.store import SEGMENTS_MERGED, pack_segment, unpack_segment
from runstart.storage import ObjectStore

FOLDER = "live/TEST/run-1"
texts = st.text(max_size=20)


@st.composite
def series(draw: st.DrawFn) -> LogSeries:
    times = sorted(draw(st.sets(st.integers(-(2**62), 2**62), min_size=1, max_size=20)))
    n = len(times)
    number_lists = st.lists(st.floats(), min_size=n, max_size=n).map(np.array)
    text_lists = st.lists(texts, min_size=n, max_size=n).map(tuple)
    return LogSeries(
        name=draw(texts),
        time_ns=np.array(times, np.int64),
        values=draw(st.one_of(number_lists, text_lists)),
        severity=np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), np.int8),
        unit=draw(texts),
        source=draw(texts),
        status=draw(st.one_of(st.just(()), text_lists)),
        thinned=draw(st.integers(0, 10**9)),
    )


@given(texts, st.lists(series(), max_size=5))
def test_a_segment_gives_back_what_was_packed(run_key: str, packed: list[LogSeries]) -> None:
    assert unpack_segment(pack_segment(run_key, packed)) == (run_key, packed)


@given(st.lists(series(), max_size=2), st.data())
def test_damage_is_a_value_error_or_harmless(packed: list[LogSeries], data: st.DataObject) -> None:
    whole = bytearray(pack_segment("run", packed))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(ValueError):
        unpack_segment(damaged)


def book_of(*times: int, key: str = "run-1") -> LogBook:
    book = LogBook(key, 0)
    for time_ns in times:
        book.add(Sample("temperature", time_ns, float(time_ns), Severity.MINOR, "K", "HIGH", "SIM:T"), "c")
    return book


def test_a_later_launch_has_what_the_earlier_ones_stored(store: ObjectStore) -> None:
    first = book_of(1, 2)
    stored = LogStore(store, FOLDER, 1)
    assert stored.save(first) == 2
    first.add(Sample("temperature", 3, 3.0), "c")
    assert stored.save(first) == 1
    assert stored.save(first) == 0
    second = book_of(4)
    LogStore(store, FOLDER, 2).load(second)
    LogStore(store, FOLDER, 2).load(second)
    loaded = second.series()["temperature"]
    assert loaded.time_ns.tolist() == [1, 2, 3, 4]
    assert (loaded.unit, loaded.source, loaded.status[:3]) == ("K", "SIM:T", ("HIGH", "HIGH", ""))


def test_what_was_loaded_is_not_stored_again(store: ObjectStore) -> None:
    LogStore(store, FOLDER, 1).save(book_of(1, 2))
    book = book_of(3)
    later = LogStore(store, FOLDER, 2)
    later.load(book)
    assert later.save(book) == 1


class _Away:
    """A store that does not take what it is given."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.away = True

    def put(self, key: str, data: bytes) -> str:
        if self.away:
            raise Transient("away")
        return self.store.put(key, data)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


def test_what_could_not_be_stored_is_stored_by_the_next_save(store: ObjectStore) -> None:
    away = _Away(store)
    book = book_of(1, 2)
    stored = LogStore(away, FOLDER, 1)  # type: ignore[arg-type]
    with pytest.raises(Transient):
        stored.save(book)
    book.add(Sample("temperature", 3, 3.0), "c")
    away.away = False
    assert stored.save(book) == 3


def test_a_damaged_segment_is_passed_over_with_a_remark_and_kept(store: ObjectStore) -> None:
    LogStore(store, FOLDER, 1).save(book_of(1, 2))
    store.put(f"{FOLDER}/logs/000001-000001.npz", b"nothing")
    store.put(f"{FOLDER}/logs/notes.txt", b"nothing")
    book = book_of()
    (remark,) = LogStore(store, FOLDER, 2).load(book)
    assert "000001-000001.npz" in remark
    assert book.series()["temperature"].time_ns.tolist() == [1, 2]
    assert store.head(f"{FOLDER}/logs/000001-000001.npz") is not None


def test_logs_of_another_run_are_passed_over(store: ObjectStore) -> None:
    LogStore(store, FOLDER, 1).save(book_of(1, key="run-2"))
    book = book_of()
    assert "another run" in LogStore(store, FOLDER, 2).load(book)[0]
    assert book.series() == {}


def test_many_segments_become_one_that_holds_everything(store: ObjectStore) -> None:
    stored = LogStore(store, FOLDER, 1)
    book = book_of()
    for time_ns in range(SEGMENTS_MERGED + 5):
        book.add(Sample("temperature", time_ns + 1, 0.0), "c")
        stored.save(book)
    assert len(store.list(f"{FOLDER}/logs/")) == 5
    loaded = book_of()
    LogStore(store, FOLDER, 2).load(loaded)
    assert loaded.series() == book.series()


def test_a_launch_goes_on_with_the_numbers_of_its_own_epoch(store: ObjectStore) -> None:
    LogStore(store, FOLDER, 1).save(book_of(1))
    again = LogStore(store, FOLDER, 1)
    book = book_of(2)
    again.load(book)
    again.save(book)
    assert len(store.list(f"{FOLDER}/logs/")) == 2
