"""Collectors run beside a run: they may fail, hang or be late, and their samples are the run's or nobody's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import third_party_collectors as third
from epics_worker import small_instrument

from runstart.collectors import Collecting, RunContext, RunFacts
from runstart.events import Severity
from runstart.logs import LogBook

FOREVER = 2**62


def collecting(replay: bool = False, **uses: str) -> tuple[Collecting, LogBook]:
    declared = {name: {"use": f"third_party_collectors:{use}"} for name, use in uses.items()}
    start = time.time_ns()
    book = LogBook("run-1", start)
    return Collecting(RunFacts(small_instrument(declared), "run-1", "run 1", start), book, replay=replay), book


def wait_until(condition: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def collector_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("collector ")}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    before = collector_threads()
    third.Slow.reading.clear()
    third.Slow.go_on.clear()
    yield
    third.Slow.go_on.set()
    wait_until(lambda: collector_threads() <= before)


def context() -> tuple[RunContext, LogBook]:
    book = LogBook("run-1", 0)
    return RunContext(RunFacts(small_instrument(), "run-1", "run 1", 0), book, "c"), book


def test_a_periodic_collector_records_until_the_run_ends() -> None:
    collectors, book = collecting(n="Counting")
    collectors.start()
    wait_until(lambda: book.samples_of("n") > 3)
    collectors.finish(time.time_ns())
    series = book.series()["count"]
    assert series.values.tolist() == list(range(1, len(series) + 1))  # type: ignore[union-attr]
    assert series.unit == "calls"
    assert collectors.status() == {"n": {"samples": book.samples_of("n"), "trouble": None}}


def test_a_sample_that_was_being_read_when_the_run_ended_is_dropped_and_counted() -> None:
    collectors, book = collecting(slow="Slow")
    collectors.start()
    assert third.Slow.reading.wait(20)
    collectors.close()
    third.Slow.go_on.set()
    collectors.finish(FOREVER)
    assert book.series() == {}
    assert collectors.dropped == 1


def test_a_collector_that_hangs_is_left_behind_and_told() -> None:
    collectors, book = collecting(slow="Slow", n="Counting")
    collectors.start()
    assert third.Slow.reading.wait(20)
    wait_until(lambda: book.samples_of("n") > 0)
    collectors.finish(FOREVER)
    assert "did not end with the run" in collectors.troubles["slow"]
    assert "n" not in collectors.troubles
    third.Slow.go_on.set()
    wait_until(lambda: collectors.dropped == 1)
    assert "slow" not in book.series()


def test_a_collector_that_raises_is_told_and_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.collectors.collecting.FIRST_BACK_OFF", 0.01)
    collectors, book = collecting(bad="Failing")
    collectors.start()
    wait_until(lambda: third.Failing.made >= 3)
    assert collectors.troubles == {"bad": "OSError: the device is on fire"}
    collectors.finish(FOREVER)
    assert book.samples_of("bad") >= 4


def test_a_collector_that_drains_records_after_the_end_of_the_run() -> None:
    collectors, book = collecting(late="Late")
    collectors.start()
    collectors.close()
    collectors.finish(FOREVER)
    assert len(book.series()["late"]) == 1


def test_a_replay_runs_only_what_can_be_read_again() -> None:
    collectors, book = collecting(replay=True, n="Counting", again="Replayable")
    collectors.start()
    wait_until(lambda: book.samples_of("again") > 0)
    collectors.finish(FOREVER)
    assert book.samples_of("n") == 0


def test_a_run_that_is_given_up_leaves_its_book_open() -> None:
    collectors, book = collecting(n="Counting")
    collectors.start()
    wait_until(lambda: book.samples_of("n") > 0)
    collectors.abandon()
    assert book.counters["after_stop"] == 0
    assert book.series()["count"].values[0] == 1.0


@pytest.mark.parametrize("end", ["finish", "abandon"])
def test_collectors_that_never_started_can_be_ended(end: str) -> None:
    collectors, book = collecting(n="Counting")
    if end == "finish":
        collectors.finish(FOREVER)
    else:
        collectors.abandon()
    assert book.series() == {}


def test_a_read_that_raises_records_nothing() -> None:
    run, book = context()

    def read() -> None:
        with run.reading() as reading:
            reading.record("a", 1.0, 5)
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        read()
    assert book.series() == {}


def test_identity_is_compared_after_the_read() -> None:
    run, book = context()
    before = run.identity()
    assert before == "TEST/run-1"
    assert run.record("a", 1.0, 5, Severity.MINOR, "K", identity=before)
    run.end(10, draining=False)
    assert run.identity() is None
    assert not run.record("a", 1.0, 6, identity=before)
    assert not run.record("a", 1.0, 7)
    assert run.dropped == 2
    assert len(book.series()["a"]) == 1


def test_the_end_of_the_run_ends_waiting() -> None:
    run, _ = context()
    assert not run.wait(0)
    run.end(10, draining=True)
    assert run.wait(1000)
    assert run.identity() is not None
