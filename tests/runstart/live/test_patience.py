from __future__ import annotations

import pytest

from runstart.errors import Alert, Transient
from runstart.live.patience import ask_patiently


class Answer:
    """Raises the given errors one after the other, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.live.patience.PAUSE_SECONDS", 0.0)


def test_it_asks_again_until_there_is_an_answer_and_tells_once() -> None:
    told: list[str] = []
    ask = Answer(Transient("gone"), Transient("still gone"))
    assert ask_patiently(ask, lambda: None, told.append) == "answer"
    assert told == ["Waiting: gone"]


def test_when_patience_runs_out_the_error_is_passed_on() -> None:
    with pytest.raises(Transient, match="gone"):
        ask_patiently(Answer(Transient("gone")), lambda: None, lambda _: None, patience_seconds=0.0)


def test_what_the_user_can_mend_is_not_waited_for() -> None:
    with pytest.raises(Alert):
        ask_patiently(Answer(Alert("wrong")), lambda: None, lambda _: None)


def test_a_check_that_fails_ends_the_waiting() -> None:
    def check() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ask_patiently(Answer(Transient("gone"), Transient("gone")), check, lambda _: None)
