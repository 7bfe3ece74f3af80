"""The logs of one run: a frozen stop is known from the beginning, and a store's trouble is told and costs no end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from epics_worker import small_instrument

from runstart.errors import Alert, Transient
from runstart.live import run_logs
from runstart.live.run_logs import RunLogs
from runstart.logs import Sample
from runstart.storage import ObjectStore

START, STOP = 1000, 2000


class _Awkward:
    """A store whose writes fail or hang."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.error: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.writes = 0

    def put(self, key: str, data: bytes) -> object:
        self.writes += 1
        self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        return self.store.put(key, data)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


@pytest.fixture
def awkward(store: ObjectStore) -> Iterator[_Awkward]:
    made = _Awkward(store)
    yield made
    made.go_on.set()


def logs_of(store: Any, epoch: int = 1, stop_time_ns: int | None = None) -> RunLogs:
    record = SimpleNamespace(
        partition_key="run-1", instrument="TEST", start=SimpleNamespace(run_name="run 1"), start_time_ns=START
    )
    sources: Any = SimpleNamespace(
        record=record, instrument=small_instrument({}), bootstrap_servers="127.0.0.1:9", access=None
    )
    return RunLogs(sources, store, epoch, replay=stop_time_ns is not None, stop_time_ns=stop_time_ns)


def test_a_run_that_is_frozen_takes_nothing_from_after_its_stop(store: ObjectStore) -> None:
    live = logs_of(store)
    for time_ns in (START - 1, START + 1, STOP, STOP + 1):
        live.book.add(Sample("a", time_ns, 1.0), "c")
    live.abandon()
    again = logs_of(store, epoch=2, stop_time_ns=STOP)
    again.start()
    assert not again.book.add(Sample("a", STOP + 2, 1.0), "c")
    assert again.finish(STOP)["a"].time_ns.tolist() == [START - 1, START + 1]
    assert again.book.counters["after_stop"] == 3


@pytest.mark.parametrize("error", [Alert("There are no credentials."), Transient("The store is away.")])
def test_samples_that_cannot_be_stored_are_told_and_tried_again(awkward: _Awkward, error: Exception) -> None:
    logs = logs_of(awkward)
    logs.book.add(Sample("a", START, 1.0), "c")
    awkward.error = error
    assert list(logs.finish(STOP)) == ["a"]
    assert str(error) in (logs.trouble or "")
    awkward.error = None
    logs.abandon()
    assert logs.trouble is None


def test_a_store_that_hangs_does_not_hold_up_the_end(awkward: _Awkward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_logs, "_ABANDON_SECONDS", 0.05)
    logs = logs_of(awkward)
    logs.book.add(Sample("a", START, 1.0), "c")
    awkward.go_on.clear()
    logs._next_save = 0.0
    logs.look()
    logs.abandon()
    assert awkward.writes == 1
    awkward.go_on.set()
    assert logs._saving is not None
    logs._saving.join(20)
