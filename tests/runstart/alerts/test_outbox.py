from __future__ import annotations

import itertools
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.alerts.conditions import Condition, Notice
from runstart.alerts.judging import Memory, Policy, Sighting, judge
from runstart.alerts.outbox import (
    FIRST_REST_SECONDS,
    LONGEST_REST_SECONDS,
    MOST_OWED,
    Outbox,
    Owed,
    QuietHours,
    delivered,
    due,
    failed,
    hold,
)

LONDON = ZoneInfo("Europe/London")
NIGHT = QuietHours(time(22), time(6), LONDON, frozenset({"failed_run"}))
LAG = Condition("lag", "SANS", "run1", "behind", 0.0)
FAILED = Condition("failed_run", "SANS", "run1", "failed", 1.0)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=LONDON).timestamp()


@pytest.mark.parametrize(
    ("clock", "quiet"),
    [
        ("21:59:59", False),
        ("22:00:00", True),
        ("03:00:00", True),
        ("05:59:59", True),
        ("06:00:00", False),
        ("12:00", False),
    ],
)
def test_quiet_hours_are_half_open_and_pass_midnight(clock: str, quiet: bool) -> None:
    assert NIGHT.holds_at(at(f"2026-01-15T{clock}")) is quiet


def test_quiet_hours_within_a_day() -> None:
    noon = QuietHours(time(12), time(13), LONDON)
    assert [noon.holds_at(at(f"2026-01-15T{clock}")) for clock in ("11:59", "12:00", "12:59", "13:00")] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(("night", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-01", 8)])
def test_a_night_is_as_long_as_the_clock_on_the_wall_says(night: str, hours: int) -> None:
    noon = datetime.fromisoformat(f"{night}T12:00").replace(tzinfo=LONDON).astimezone(UTC)
    minutes = [noon + timedelta(minutes=n) for n in range(24 * 60)]
    assert sum(NIGHT.holds_at(minute.timestamp()) for minute in minutes) == hours * 60


def test_the_hour_that_comes_twice_is_quiet_both_times() -> None:
    hour = QuietHours(time(1), time(2), LONDON)
    assert hour.holds_at(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp())
    assert hour.holds_at(datetime(2026, 10, 25, 1, 30, tzinfo=UTC).timestamp())
    assert not hour.holds_at(datetime(2026, 10, 25, 2, 0, tzinfo=UTC).timestamp())


def test_notices_of_the_night_come_together_after_it_and_exceptions_at_once() -> None:
    outbox = hold({}, [Notice(LAG, "new"), Notice(FAILED, "new")], ["chat"])
    assert [n.condition for n in due(outbox["chat"], at("2026-01-15T23:00"), NIGHT)] == [FAILED]
    assert [n.condition for n in due(outbox["chat"], at("2026-01-16T06:00"), NIGHT)] == [LAG, FAILED]


def test_what_began_and_ended_in_the_night_is_one_notice() -> None:
    outbox = hold({}, [Notice(LAG, "new")], ["chat"])
    outbox = hold(outbox, [Notice(LAG, "reminder")], ["chat"])
    assert [n.state for n in due(outbox["chat"], 0.0, None)] == ["new"]
    outbox = hold(outbox, [Notice(LAG, "over")], ["chat"])
    assert [n.state for n in due(outbox["chat"], 0.0, None)] == ["over"]


def test_a_channel_that_fails_rests_longer_each_time() -> None:
    owed = Owed({LAG.identity: Notice(LAG, "new")})
    rests = []
    for _ in range(30):
        owed = failed(owed, 0.0)
        rests.append(owed.rests_until)
    assert rests[:3] == [FIRST_REST_SECONDS, 2 * FIRST_REST_SECONDS, 4 * FIRST_REST_SECONDS]
    assert rests[-1] == LONGEST_REST_SECONDS
    assert due(owed, LONGEST_REST_SECONDS - 1, None) == []
    assert due(owed, LONGEST_REST_SECONDS, None) == [Notice(LAG, "new")]
    assert delivered(owed, [Notice(LAG, "new")]) == Owed({})


def test_a_channel_that_was_taken_away_is_owed_nothing() -> None:
    outbox = hold({}, [Notice(LAG, "new")], ["chat", "e-mail"])
    assert set(hold(outbox, [], ["e-mail"])) == {"e-mail"}


def test_what_there_is_no_room_for_is_told_by_its_number() -> None:
    notices = [
        Notice(Condition("failed_run", "", f"run{n}", "failed", float(n)), "new") for n in range(MOST_OWED + 5)
    ]
    owed = hold({}, notices, ["chat"])["chat"]
    assert len(owed.notices) == MOST_OWED
    sent = due(owed, 0.0, None)
    assert sent[-1].condition.text.startswith("5 more notices")
    assert due(delivered(owed, sent), 0.0, None) == []


def test_what_is_dropped_is_told_after_the_quiet_hours() -> None:
    owed = Owed({FAILED.identity: Notice(FAILED, "new")}, dropped=3)
    sent = due(owed, at("2026-01-15T23:00"), NIGHT)
    assert [n.condition for n in sent] == [FAILED]
    assert delivered(owed, sent).dropped == 3


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 4)), st.floats(10.0, 40_000.0), st.booleans(), st.booleans()), max_size=40
    )
)
def test_every_condition_reaches_every_channel_whatever_fails(
    ticks: list[tuple[set[int], float, bool, bool]],
) -> None:
    memory: Memory = {}
    outbox: Outbox = {}
    began: set[str] = set()
    got: dict[str, list[Notice]] = {"chat": [], "e-mail": []}
    now = at("2026-03-28T12:00")

    def deliver(works: dict[str, bool]) -> None:
        for channel, owed in outbox.items():
            notices = due(owed, now, NIGHT)
            if notices and works[channel]:
                got[channel] += notices
                outbox[channel] = delivered(owed, notices)
            elif notices:
                outbox[channel] = failed(owed, now)

    for numbers, seconds, chat_works, mail_works in ticks:
        now += seconds
        conditions = tuple(Condition("lag", "SANS", f"run{n}", "behind", now) for n in sorted(numbers))
        memory, notices = judge(memory, Sighting(conditions), now, Policy())
        began |= {notice.condition.identity for notice in notices}
        outbox = hold(outbox, notices, got)
        deliver({"chat": chat_works, "e-mail": mail_works})
    now = at("2027-01-01T12:00")
    deliver({"chat": True, "e-mail": True})
    for channel, notices in got.items():
        assert {notice.condition.identity for notice in notices} == began
        for one, other in itertools.pairwise(notices):
            assert one != other or one.state == "reminder"
        assert not outbox.get(channel, Owed({})).notices
