from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.live import name_partition
from runstart.upkeep import Choice, Code, Made, Reason, Rules, RunState, choose_runs, start_of_key

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
CODES = {"ALFA": Code("2.0", "new"), "BETA": Code("2.0")}


def key(days_ago: float, name: str = "run") -> str:
    start = NOW - timedelta(days=days_ago)
    return name_partition(name, int(start.timestamp() * 1000))


GOOD = Made("2.0", "new", complete=True)
STATE = RunState("ALFA", key(1), current=GOOD, latest=GOOD)


def choose(*states: RunState, rules: Rules | None = None) -> list[Choice]:
    return choose_runs(states, CODES, rules or Rules(), NOW)[0]


def reason_of(state: RunState) -> Reason | None:
    chosen = choose(state)
    return chosen[0].reason if chosen else None


def made(state: RunState, **changes: object) -> RunState:
    """A state whose one and current result is changed."""
    result = replace(GOOD, **changes)
    return replace(state, current=result, latest=result)


def test_a_good_result_of_the_present_code_and_script_is_left_alone() -> None:
    assert reason_of(STATE) is None


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (replace(STATE, current=None, latest=None), Reason.NO_RESULT),
        (replace(STATE, check_failed=True), Reason.FAILED_CHECK),
        (made(STATE, complete=False), Reason.INCOMPLETE),
        (made(STATE, code_version="1.9"), Reason.OLDER_CODE),
        (made(STATE, script_sha256="old"), Reason.OLDER_SCRIPT),
        (made(STATE, script_sha256=""), Reason.OLDER_SCRIPT),
    ],
    ids=lambda value: value.name if isinstance(value, Reason) else "",
)
def test_each_shortcoming_has_its_reason(state: RunState, reason: Reason) -> None:
    assert reason_of(state) is reason


def test_a_live_run_is_never_touched() -> None:
    for state in (replace(STATE, current=None, latest=None), made(STATE, code_version="1.9")):
        assert reason_of(replace(state, live=True)) is None


def test_a_run_that_only_became_known_is_left_to_people() -> None:
    assert reason_of(replace(STATE, current=None, latest=None, launched=False)) is None


def test_a_run_that_a_person_terminated_stays_terminated_until_it_has_a_result() -> None:
    assert reason_of(replace(STATE, current=None, latest=None, terminated=True)) is None
    assert reason_of(replace(made(STATE, code_version="1.9"), terminated=True)) is Reason.OLDER_CODE


def test_what_a_night_has_made_is_not_made_again_with_the_same_code_and_script() -> None:
    assert reason_of(made(STATE, complete=False, nightly=True)) is None
    assert reason_of(replace(made(STATE, nightly=True), check_failed=True)) is None
    assert reason_of(made(STATE, complete=False, nightly=True, code_version="1.9")) is Reason.INCOMPLETE
    assert reason_of(made(STATE, complete=False, nightly=True, script_sha256="old")) is Reason.INCOMPLETE


def test_a_nights_result_whose_script_could_not_be_fetched_is_not_of_an_older_script() -> None:
    assert reason_of(made(STATE, script_sha256="", nightly=True)) is None
    assert reason_of(made(STATE, script_sha256="", nightly=True, complete=False)) is None
    assert reason_of(made(STATE, script_sha256="", nightly=True, code_version="1.9")) is Reason.OLDER_CODE


def test_a_result_that_covers_less_and_stayed_behind_is_not_made_again() -> None:
    older = replace(GOOD, code_version="1.9")
    smaller = replace(GOOD, complete=False, nightly=True)
    assert reason_of(replace(STATE, current=older, latest=smaller)) is None


def test_a_run_that_keeps_failing_is_tried_three_nights() -> None:
    failing = replace(STATE, current=None, latest=None)
    assert [reason_of(replace(failing, nights=n)) for n in range(5)] == [Reason.NO_RESULT] * 3 + [None] * 2


def test_scripts_are_not_judged_when_the_present_one_is_not_known() -> None:
    assert reason_of(replace(made(STATE, script_sha256="old"), instrument="BETA")) is None


def test_old_runs_and_keys_without_a_time_are_left_alone() -> None:
    failed = replace(STATE, current=None, latest=None)
    assert reason_of(replace(failed, partition_key=key(29.9))) is Reason.NO_RESULT
    assert reason_of(replace(failed, partition_key=key(30.1))) is None
    assert reason_of(replace(failed, partition_key="by-hand")) is None
    assert reason_of(replace(failed, partition_key="20261399T000000.000Z_run")) is None


def test_the_worst_go_first_and_the_oldest_of_them() -> None:
    states = [
        made(replace(STATE, partition_key=key(9)), code_version="1.9"),
        replace(STATE, partition_key=key(1), current=None, latest=None),
        replace(STATE, partition_key=key(2), current=None, latest=None),
        made(replace(STATE, partition_key=key(8)), complete=False),
    ]
    assert [choice.partition_key for choice in choose(*states)] == [key(2), key(1), key(8), key(9)]


def test_a_night_takes_no_more_than_it_may_and_says_what_is_left() -> None:
    states = [made(replace(STATE, partition_key=key(n / 100, f"{n}")), code_version="1.9") for n in range(1200)]
    chosen, left = choose_runs(states, CODES, Rules(), NOW)
    assert (len(chosen), left) == (500, 700)


@given(st.integers(946_684_800_000, 7_258_118_399_999), st.text(max_size=80))
def test_every_partition_key_tells_its_start(start_ms: int, name: str) -> None:
    found = start_of_key(name_partition(name, start_ms))
    assert found is not None
    assert found.timestamp() == start_ms // 1000


results = st.builds(
    Made, st.sampled_from(["1.9", "2.0"]), st.sampled_from(["", "old", "new"]), st.booleans(), st.booleans()
)
states = st.builds(
    RunState,
    st.sampled_from(["ALFA", "BETA"]),
    st.integers(0, 40).map(key),
    launched=st.booleans(),
    current=st.none() | results,
    latest=st.none() | results,
    live=st.booleans(),
    terminated=st.booleans(),
    check_failed=st.booleans(),
    nights=st.integers(0, 4),
)


@given(st.lists(states, max_size=20))
def test_night_after_night_every_run_comes_to_rest(found: list[RunState]) -> None:
    """A replay of frozen offsets makes the same of a run for ever: what a night makes stays as incomplete as before."""
    for _ in range(2):
        chosen = {(c.instrument, c.partition_key) for c in choose(*found)}
        found = [
            replace(
                state, latest=again, current=state.current or again, check_failed=False, nights=state.nights + 1
            )
            if (state.instrument, state.partition_key) in chosen and not state.live
            else state
            for state in found
            for again in [replace(GOOD, complete=(state.current or GOOD).complete, nightly=True)]
        ]
    assert choose(*found) == []
