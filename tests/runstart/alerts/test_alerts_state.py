from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.alerts import AlertsState, Condition, Notice, Policy, Sighting, hold, judge
from runstart.alerts.conditions import LONGEST_TEXT, one_line
from runstart.alerts.judging import MOST_CONDITIONS
from runstart.alerts.outbox import failed

CONDITIONS = st.builds(
    Condition,
    st.sampled_from(["lag", "failed_run"]),
    st.text(max_size=10),
    st.text(max_size=300),
    st.text(max_size=600),
    st.floats(0, 2e9),
    st.text(max_size=20),
    st.text(max_size=20),
)


@given(st.lists(CONDITIONS, max_size=8), st.sampled_from([None, 7]))
def test_the_state_is_the_same_after_a_tick(conditions: list[Condition], read_up_to: int | None) -> None:
    memory, notices = judge({}, Sighting(tuple(conditions)), 5.0, Policy())
    outbox = hold({}, notices, ["chat"])
    outbox["chat"] = failed(outbox["chat"], 5.0)
    state = AlertsState(memory, outbox, read_up_to)
    assert AlertsState.from_json(state.to_json()) == state
    assert AlertsState.from_json(None) == AlertsState.from_json("") == AlertsState()


def test_the_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 7"):
        AlertsState.from_json('{"version": 7}')


def test_the_state_is_bounded_whatever_happens() -> None:
    state = AlertsState()
    for tick in range(20):
        conditions = [
            Condition("failed_run", "S" * 500, f"{tick} {n} " + "r" * 500, "t" * 5000, 0.0, "l" * 5000, "s" * 500)
            for n in range(200)
        ]
        memory, notices = judge(state.memory, Sighting(tuple(conditions)), tick * 40.0, Policy())
        state = AlertsState(memory, hold(state.outbox, notices, ["chat", "e-mail"]), 1)
    assert len(state.memory) <= MOST_CONDITIONS + 1
    assert len(state.to_json()) < 1_000_000


@given(st.text(), st.integers(10, 50))
def test_one_line_is_one_line_that_utf8_can_carry(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert line.isprintable()
    line.encode()
    assert one_line(line, limit) == line


def test_a_long_text_is_cut_and_says_so() -> None:
    text = Notice(Condition("lag", "", "", "x" * 1000, 0.0), "new").condition.text
    assert len(text) == LONGEST_TEXT
    assert text.endswith("...")
