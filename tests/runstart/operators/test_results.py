from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.results import messages_of

A, B = (BytesMessage(MessageHeader(), text) for text in (b"a", b"b"))


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (None, []),
        (A, [(None, A)]),
        ([A, None, B], [(None, A), (None, B)]),
        ({"out": A, "other": None}, [("out", A)]),
        ({"out": [A, B]}, [("out", A), ("out", B)]),
        ([{"out": A}, B], [("out", A), (None, B)]),
    ],
)
def test_all_that_an_operator_may_return_are_messages(result: Any, found: Any) -> None:
    assert list(messages_of(result)) == found


def test_messages_are_taken_one_by_one() -> None:
    def endless() -> Iterator[BytesMessage]:
        while True:
            yield A

    first = messages_of(endless())
    assert [next(first), next(first)] == [(None, A), (None, A)]


@pytest.mark.parametrize("result", [7, b"bytes", "text", [7], {"out": b"bytes"}])
def test_anything_else_is_told_by_its_type(result: Any) -> None:
    with pytest.raises(TypeError, match=r"An operator returns .* not (int|bytes|str)"):
        list(messages_of(result))
