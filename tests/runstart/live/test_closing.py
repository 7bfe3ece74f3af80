from __future__ import annotations

from itertools import islice, permutations
from typing import Any

import pytest
from facility_kit import START_MS, announce, run_record
from hypothesis import given
from hypothesis import strategies as st
from payloads import hostile_payloads

from runstart.events import MalformedMessage, RunStart, RunStop, decode
from runstart.kafka import Announcement
from runstart.live.closing import ClosingWatch, Stop

LATER = START_MS + 60_000


def stop_after(*seen: Announcement, **start: Any) -> Stop | None:
    watch = ClosingWatch(run_record(**start))
    for announcement in seen:
        watch.see(announcement)
    return watch.stop


def run_stop(**fields: Any) -> RunStop:
    return RunStop(**({"stop_time_ms": LATER, "run_name": "run"} | fields))


def run_start(**fields: Any) -> RunStart:
    return RunStart(**({"start_time_ms": LATER, "run_name": "next", "instrument_name": "SMALL"} | fields))


def remarks_on(message: RunStart | RunStop) -> list[str]:
    watch = ClosingWatch(run_record(job_id="j"))
    watch.see(announce(message))
    assert watch.stop is None
    return watch.remarks


def test_its_run_stop_closes_the_run_at_the_stop_time() -> None:
    stop = stop_after(announce(run_stop(), timestamp_ms=LATER + 5))
    assert stop is not None
    assert (stop.time_ns, stop.announced_ms) == (LATER * 1_000_000, LATER + 5)


@pytest.mark.parametrize("absurd", [0, 2**63, 2**64 - 1])
def test_a_run_stop_with_stop_time_0_or_an_absurd_one_means_kafkas_time_of_it(absurd: int) -> None:
    stop = stop_after(announce(run_stop(stop_time_ms=absurd), timestamp_ms=LATER + 5))
    assert stop is not None
    assert stop.time_ns == (LATER + 5) * 1_000_000


def test_even_with_an_absurd_kafka_time_a_stop_fits_64_bits() -> None:
    stop = stop_after(announce(run_stop(stop_time_ms=0), timestamp_ms=2**63 - 1))
    assert stop is not None
    assert stop.time_ns < 2**63


def test_a_run_stop_at_the_start_is_a_run_without_content() -> None:
    stop = stop_after(announce(run_stop(stop_time_ms=START_MS)))
    assert stop is not None
    assert stop.time_ns == START_MS * 1_000_000


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (run_stop(run_name="other"), "another run"),
        (run_stop(run_name=""), "another run"),
        (run_stop(job_id="k"), "another run"),
        (run_stop(stop_time_ms=START_MS - 1), "before its RunStart"),
        (run_start(start_time_ms=5), "not acceptable"),
        (run_start(start_time_ms=START_MS + 10 * 86_400_000), "not acceptable"),
        (run_start(n_periods=2**31), "not acceptable"),
    ],
)
def test_what_does_not_close_the_run_is_ignored_with_a_reason(message: RunStart | RunStop, why: str) -> None:
    assert any(why in remark and "SMALL_runInfo[0]@0" in remark for remark in remarks_on(message))


@pytest.mark.parametrize(
    "message",
    [
        run_start(instrument_name="OTHER"),
        run_start(start_time_ms=START_MS - 1),
        run_start(start_time_ms=START_MS),
        run_start(run_name="run", start_time_ms=START_MS),
        run_start(run_name="run", start_time_ms=START_MS, n_periods=7),
    ],
)
def test_a_run_start_that_is_not_newer_or_not_of_this_instrument_closes_nothing(message: RunStart) -> None:
    assert stop_after(announce(message)) is None


@pytest.mark.parametrize(
    ("own", "newer"), [("SMALL", "SMALL"), ("SMALL", "small"), ("", "SMALL"), ("", ""), ("small", "SMALL")]
)
def test_a_newer_run_start_of_the_instrument_closes_the_run_at_that_start(own: str, newer: str) -> None:
    watch = ClosingWatch(run_record(instrument="SMALL") if own == "SMALL" else _record_announced_as(own))
    watch.see(announce(run_start(instrument_name=newer)))
    assert watch.stop is not None
    assert watch.stop.time_ns == LATER * 1_000_000


def _record_announced_as(name: str) -> Any:
    from runstart.live import make_record

    message = RunStart(START_MS, run_name="run", instrument_name=name)
    return make_record("SMALL", announce(message), message)


@pytest.mark.parametrize(("own", "theirs"), [("", "j"), ("j", ""), ("j", "j"), ("", "")])
def test_a_job_id_that_only_one_of_them_carries_does_not_matter(own: str, theirs: str) -> None:
    assert stop_after(announce(run_stop(job_id=theirs)), job_id=own) is not None


def test_the_earliest_stop_wins_in_any_order_of_arrival() -> None:
    seen = [
        announce(run_stop(stop_time_ms=LATER + 1), offset=1),
        announce(run_stop(), offset=2, timestamp_ms=LATER + 9),
        announce(run_start(), offset=3, timestamp_ms=LATER + 7),
        announce(run_stop(run_name="other", stop_time_ms=START_MS + 1), offset=4),
        announce(run_start(start_time_ms=LATER + 2), offset=5),
    ]
    stops = {stop_after(*order) for order in permutations(seen)}
    assert len(stops) == 1
    (stop,) = stops
    assert stop is not None
    assert (stop.time_ns, stop.announced_ms) == (LATER * 1_000_000, LATER + 7)


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(payload: bytes) -> None:
    stop_after(announce(payload))


def test_hostile_payloads_close_nothing_unless_they_decode() -> None:
    for _, payload in islice(hostile_payloads(), 0, None, 11):
        stop = stop_after(announce(payload))
        try:
            decode(payload)
        except MalformedMessage:
            assert stop is None
