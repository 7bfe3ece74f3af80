from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from runstart.errors import Alert
from runstart.pipelines import Plan, Stage
from runstart.sessions.doors import Sender
from runstart.sessions.triggers import Triggers, check_trigger
from runstart.specifications import OperatorSpec

ONE, TWO = Sender("reader", 0, 0), Sender("reader", 1, 0)


class _House:
    """Triggers with what they send and tell."""

    def __init__(self, *ordered: tuple[str, str]) -> None:
        self.sent: list[tuple[Sender, Mapping[str, Any]]] = []
        self.told: list[str] = []
        self.answers: list[tuple[str, str]] = []
        self.unreachable: set[Sender] = set()
        self.triggers = Triggers(ordered, self.send, self.told.append)

    def send(self, sender: Sender, content: Mapping[str, Any]) -> bool:
        self.sent.append((sender, content))
        return sender not in self.unreachable

    def answer(self, status: str, message: str) -> None:
        self.answers.append((status, message))

    def done(self, place: int, status: str = "ok", message: str = "") -> None:
        sender, content = self.sent[place]
        self.triggers.heard(sender, {"id": content["id"], "status": status, "message": message})


def test_trigger_is_answered_once_when_every_replica_has_worked_it_through() -> None:
    house = _House()
    house.triggers.pull("reader", "read", [TWO, ONE], house.answer)

    house.done(1)
    house.done(1)
    assert house.answers == []
    house.done(0, message="3 files")
    house.done(0)

    assert [sender for sender, _ in house.sent] == [ONE, TWO]
    assert house.answers == [("ok", "3 files")]


def test_error_of_one_replica_is_the_answer() -> None:
    house = _House()
    house.triggers.pull("reader", "read", [ONE, TWO], house.answer)
    house.done(0, "error", "no file")
    house.done(1)

    assert house.answers == [("error", "Trigger read of reader: no file")]


def test_replica_that_dies_or_cannot_be_reached_has_failed() -> None:
    house = _House()
    house.unreachable = {TWO}
    house.triggers.pull("reader", "read", [ONE, TWO], house.answer)
    house.triggers.lost(ONE)

    ((status, message),) = house.answers
    assert status == "error"
    assert "cannot be reached" in message
    assert "has ended" in message


def test_triggers_of_the_order_are_pulled_one_after_the_other_and_wait_for_their_operator() -> None:
    house = _House(("reader", "read"), ("reader", "forget"))

    house.triggers.pull_next(lambda _: [])
    assert house.sent == []
    for _ in range(3):
        house.triggers.pull_next(lambda _: [ONE])
    assert [content["name"] for _, content in house.sent] == ["read"]
    assert not house.triggers.are_done
    house.done(0)
    assert house.triggers.are_left_for("reader")
    assert not house.triggers.are_left_for("other")
    house.triggers.pull_next(lambda _: [ONE])
    assert house.triggers.are_left_for("reader")
    house.done(1, "error", "it is busy")
    assert not house.triggers.are_left_for("reader")

    assert [content["name"] for _, content in house.sent] == ["read", "forget"]
    assert house.triggers.are_done
    assert house.triggers.errors == ["Trigger forget of reader: it is busy"]


def test_trigger_of_an_operator_that_gave_up_is_an_error_and_does_not_hold_up_the_end() -> None:
    house = _House(("reader", "read"))
    house.triggers.abandon({"reader"})

    assert house.triggers.are_done
    assert "given up" in house.triggers.errors[0]


def test_what_nobody_asked_for_is_no_answer() -> None:
    house = _House()
    house.triggers.heard(ONE, {"id": "7", "status": "ok"})
    house.triggers.heard(ONE, {})

    assert house.answers == []


def test_unknown_stage_and_trigger_are_told_with_those_there_are() -> None:
    spec = OperatorSpec.model_validate(
        {
            "id": str(uuid4()),
            "label": "Reader",
            "description": "",
            "image": "x/reader",
            "triggers": [{"name": "read", "label": "Read"}],
        }
    )
    plan = Plan("p", (Stage("reader", uuid4(), spec),), ())

    check_trigger(plan, "reader", "read")
    with pytest.raises(Alert, match=r"no trigger 'write'.*It has read"):
        check_trigger(plan, "reader", "write")
    with pytest.raises(Alert, match=r"no operator 'writer'.*There are reader"):
        check_trigger(plan, "writer", "read")
