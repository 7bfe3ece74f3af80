from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.live.ledger import EVENT_COLUMNS, MESSAGE_COLUMNS, Ledger, imbalances

counts = st.integers(0, 10**15)


@st.composite
def balanced(draw: st.DrawFn) -> dict[str, int]:
    ledger = {name: draw(counts) for name in Ledger().as_dict()}
    ledger["events_read"] = sum(ledger[name] for name in EVENT_COLUMNS)
    ledger["messages_read"] = sum(ledger[name] for name in MESSAGE_COLUMNS)
    return ledger


@given(balanced())
def test_a_ledger_that_adds_up_has_no_imbalance(ledger: dict[str, int]) -> None:
    assert imbalances(ledger) == []


@given(
    balanced(),
    st.sampled_from([*EVENT_COLUMNS, *MESSAGE_COLUMNS, "events_read", "messages_read"]),
    st.integers(-5, 5).filter(bool),
)
def test_any_single_wrong_column_is_an_imbalance(ledger: dict[str, int], column: str, error: int) -> None:
    assert imbalances(ledger | {column: ledger[column] + error})


@given(balanced(), st.sampled_from(sorted(Ledger().as_dict())))
def test_a_negative_column_is_named(ledger: dict[str, int], column: str) -> None:
    assert any(column in sentence for sentence in imbalances(ledger | {column: -1}))


@given(balanced())
def test_a_ledger_survives_its_dictionary(ledger: dict[str, int]) -> None:
    assert Ledger.from_dict(ledger).as_dict() == ledger


@pytest.mark.parametrize("column", sorted(Ledger().as_dict()))
def test_a_missing_or_unknown_column_is_an_error(column: str) -> None:
    ledger = Ledger().as_dict()
    with pytest.raises(TypeError):
        Ledger.from_dict(ledger | {f"{column}_too": 1})
    del ledger[column]
    with pytest.raises(TypeError, match=column):
        Ledger.from_dict(ledger)


def test_every_event_and_message_column_is_a_column() -> None:
    assert set(EVENT_COLUMNS) | set(MESSAGE_COLUMNS) <= set(Ledger().as_dict())
