from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from runstart.alerts.conditions import LASTING_KINDS, Condition
from runstart.alerts.judging import FORGET_SECONDS, MOST_CONDITIONS, Memory, Policy, Sighting, judge

POLICY = Policy(remind_seconds=100.0, reminders=3, settle_seconds=20.0)
KINDS = ("failed_run", "lag", "gap", "script_failing")
CONDITIONS = st.builds(
    lambda kind, number: Condition(kind, "SANS", f"run{number}", f"{kind} {number}", 0.0),
    st.sampled_from(KINDS),
    st.integers(0, 3),
)
TICKS = st.lists(st.tuples(st.lists(CONDITIONS, max_size=5), st.floats(1.0, 60.0)), max_size=40)
LAG = Condition("lag", "SANS", "run1", "behind", 0.0)
FAILED = Condition("failed_run", "SANS", "run1", "failed", 0.0)


def look(memory: Memory, now: float, *conditions: Condition, **more: object) -> tuple[Memory, list[str]]:
    memory, notices = judge(memory, Sighting(conditions, **more), now, POLICY)
    return memory, [notice.state for notice in notices]


def test_a_condition_is_told_once_reminded_and_told_to_be_over() -> None:
    memory, states = look({}, 0.0, LAG)
    assert states == ["new"]
    for now in (30.0, 60.0, 90.0):
        memory, states = look(memory, now, LAG)
        assert states == []
    memory, states = look(memory, 100.0, LAG)
    assert states == ["reminder"]
    memory, states = look(memory, 110.0)
    assert states == []
    memory, states = look(memory, 120.0)
    assert states == ["over"]
    assert memory == {}


def test_a_figure_that_swings_about_its_limit_is_told_once() -> None:
    memory, told = look({}, 0.0, LAG)
    for step in range(1, 10):
        memory, states = look(memory, step * 10.0, *([LAG] if step % 2 else []))
        told += states
    assert told == ["new"]


def test_a_failed_run_lasts_until_it_is_resolved() -> None:
    memory, states = look({}, 0.0, FAILED)
    assert states == ["new"]
    memory, states = look(memory, 50.0)
    assert states == []
    memory, states = look(memory, 130.0)
    assert states == ["reminder"]
    memory, states = look(memory, 140.0, resolved=frozenset({FAILED.identity}))
    assert states == ["over"]
    assert memory == {}


def test_reminders_end_but_the_end_is_told() -> None:
    memory, told = {}, []
    for now in range(0, 2000, 10):
        memory, states = look(memory, float(now), LAG)
        told += states
    assert told == ["new", "reminder", "reminder", "reminder"]
    assert look(memory, 2100.0)[1] == ["over"]


def test_a_job_that_fails_again_after_its_reminders_is_told_again() -> None:
    memory, _ = look({}, 0.0, FAILED)
    for now in range(100, 1000, 10):
        memory, _ = look(memory, float(now))
    assert look(memory, 1000.0)[1] == []
    assert look(memory, 1000.0, FAILED)[1] == ["reminder"]


def test_what_cannot_be_looked_at_is_not_over() -> None:
    memory, _ = look({}, 0.0, LAG)
    for now in (50.0, 90.0):
        memory, states = look(memory, now, unseen_kinds=frozenset({"lag"}))
        assert states == []
    assert look(memory, 95.0)[1] == ["over"]


def test_the_end_of_a_run_does_not_fill_its_gap() -> None:
    memory, _ = look({}, 0.0, Condition("gap", "SANS", "run1", "ids are missing", 0.0))
    assert look(memory, 60.0) == ({}, [])


def test_a_failure_that_nobody_resolves_is_forgotten() -> None:
    memory, _ = look({}, 0.0, FAILED)
    assert look(memory, FORGET_SECONDS)[0]
    assert look(memory, FORGET_SECONDS + 1)[0] == {}


def test_too_many_conditions_are_told_by_their_number() -> None:
    many = [Condition("failed_run", "SANS", f"run{n}", "failed", float(n)) for n in range(MOST_CONDITIONS + 37)]
    memory, notices = judge({}, Sighting(tuple(many)), 1000.0, POLICY)
    assert len(notices) == len(memory) == MOST_CONDITIONS + 1
    [more] = [n.condition for n in notices if n.condition.kind == "more"]
    assert more.text.startswith("37 more conditions")


@given(TICKS, st.randoms(use_true_random=False))
def test_the_order_of_conditions_does_not_matter(
    ticks: list[tuple[list[Condition], float]], chance: random.Random
) -> None:
    one: Memory = {}
    other: Memory = {}
    now = 0.0
    for conditions, seconds in ticks:
        now += seconds
        shuffled = conditions[:]
        chance.shuffle(shuffled)
        one, notices = judge(one, Sighting(tuple(conditions)), now, POLICY)
        other, others = judge(other, Sighting(tuple(shuffled)), now, POLICY)
        assert notices == others
        assert one == other


@settings(max_examples=200)
@given(TICKS)
def test_nothing_is_told_twice_within_the_interval_and_nothing_is_never_told(
    ticks: list[tuple[list[Condition], float]],
) -> None:
    memory: Memory = {}
    told: dict[str, tuple[str, float]] = {}
    now = 0.0
    for conditions, seconds in ticks:
        now += seconds
        memory, notices = judge(memory, Sighting(tuple(conditions)), now, POLICY)
        for notice in notices:
            state, at = told.get(notice.condition.identity, ("over", -1e9))
            if notice.state == "new":
                assert state == "over" or notice.condition.kind == "gap"
            else:
                assert state in ("new", "reminder")
            if notice.state == "reminder":
                assert now - at >= POLICY.remind_seconds
            told[notice.condition.identity] = (notice.state, now)
        for condition in conditions:
            assert told[condition.identity][0] in ("new", "reminder")
        for identity, (state, _) in told.items():
            kind = identity.split("\n")[0]
            if state == "over":
                assert identity not in memory
            elif kind in LASTING_KINDS:
                assert identity in memory
