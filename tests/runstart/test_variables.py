from __future__ import annotations

import pytest

from runstart.errors import Alert
from runstart.variables import read_number


@pytest.mark.parametrize(("text", "number"), [("600", 600.0), ("1.5", 1.5), ("1e-3", 0.001), (" 2 ", 2.0)])
def test_a_number_is_read(text: str, number: float) -> None:
    assert read_number({"X": text}, "X", "Give one.") == number


@pytest.mark.parametrize("environ", [{}, {"X": ""}])
def test_a_variable_may_be_empty(environ: dict[str, str]) -> None:
    assert read_number(environ, "X", "Give one.", least=1) is None


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "soon", "1,5", " "])
def test_anything_else_is_an_alert_that_names_the_variable(text: str) -> None:
    with pytest.raises(Alert, match=r"X is .*Give one\."):
        read_number({"X": text}, "X", "Give one.")


def test_a_number_below_the_least_is_refused_and_the_least_is_not() -> None:
    assert read_number({"X": "1"}, "X", "Give one.", least=1) == 1
    with pytest.raises(Alert, match=r"X is '0\.9'"):
        read_number({"X": "0.9"}, "X", "Give one.", least=1)
