"""error fails as often as it is told to, at the same messages each time."""

from __future__ import annotations

import pytest
from scan_messages import run_py

from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.loading import load_program
from runstart.operators.testing import call

ERROR = run_py("error")
MESSAGE = BytesMessage(MessageHeader(meta={"a": 1}), b"data")


def _failures(seed: int, rate: float) -> list[int]:
    kernel, failed = load_program(ERROR).kernel, []
    for number in range(200):
        try:
            assert kernel(MESSAGE, {"failure_rate": rate, "seed": seed}) == MESSAGE
        except RuntimeError:
            failed.append(number)
    return failed


def test_it_passes_everything_on_or_nothing() -> None:
    assert call(ERROR, [MESSAGE] * 3, {"failure_rate": 0.0}) == [MESSAGE] * 3
    with pytest.raises(RuntimeError, match="was asked for"):
        call(ERROR, [MESSAGE], {"failure_rate": 1.0})


def test_the_same_seed_fails_at_the_same_messages() -> None:
    assert _failures(1, 0.3) == _failures(1, 0.3) != _failures(2, 0.3)
    assert 30 < len(_failures(1, 0.3)) < 90
