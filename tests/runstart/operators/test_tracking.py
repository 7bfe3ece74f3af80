from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.operators.messages import Entries
from runstart.operators.tracking import Tracker, for_session, now, read_time


def test_a_time_is_written_in_utc_with_microseconds() -> None:
    written = datetime.fromisoformat(now())
    assert written.utcoffset() == timedelta(0)
    assert len(now()) == len("2026-01-02T03:04:05.123456+00:00")
    assert abs(read_time(now()) - time.time()) < 5  # type: ignore[operator]


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-14, 14))
def test_a_time_is_read_in_every_zone_and_form(when: datetime, hours: int) -> None:
    seconds = when.replace(tzinfo=UTC).timestamp()
    elsewhere = when.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=hours)))
    assert read_time(elsewhere.isoformat()) == pytest.approx(seconds, abs=1e-6)
    assert read_time(when.isoformat()) == pytest.approx(seconds, abs=1e-6)
    assert read_time(when.isoformat() + "Z") == pytest.approx(seconds, abs=1e-6)
    assert read_time(seconds) == seconds


@pytest.mark.parametrize("value", [None, "", "yesterday", True, [], {}])
def test_what_is_no_time_is_none(value: object) -> None:
    assert read_time(value) is None


def test_a_list_grows_along_the_way_and_each_place_has_its_id() -> None:
    source = Tracker("s source 0", "source", is_source=True)
    sink = Tracker("s sink 0", "sink", is_source=False)
    began = source.begin()
    assert began == []
    left = source.sent(source.operated(began, now()), "out")
    sent = source.sent(source.operated(began, now()), "other")
    sink.arrived(sent, "in")
    done = sink.operated(sent, now())

    assert began == []  # each copy of a message has its own list
    assert [sorted(set(entry) - {"id", "operator"}) for entry in done] == [
        ["time_after_operate", "time_before_operate"],
        ["time_before_send"],
        ["time_after_header_validate"],
        ["time_after_operate", "time_before_operate"],
    ]
    identities = [UUID(entry["id"]) for entry in (*done, left[1])]
    assert len(set(identities)) == 5
    assert [entry["operator"] for entry in done] == ["source", "source", "sink", "sink"]


def test_a_source_tracks_one_message_a_second_and_nobody_else_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) / 8)
    source = Tracker("s source 0", "source", is_source=True)
    tracked = sum(source.begin() is not None for _ in range(100))
    assert 9 <= tracked <= 13
    assert Tracker("s work 0", "work", is_source=False).begin() is None


def test_a_session_is_told_names_and_seconds_also_of_operators_that_write_them_otherwise() -> None:
    entries: Entries = [
        {"id": "a-uuid", "operator": "source", "time_before_send": "1970-01-01T00:00:01.500000+00:00"},
        {"id": "of-another-kit", "time_before_operate": 2.5, "time_after_operate": "nonsense"},
    ]
    assert for_session(entries) == [
        {"id": "source", "time_before_send": 1.5},
        {"id": "of-another-kit", "time_before_operate": 2.5},
    ]
