"""Sections of headers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.images import parse_section

BLANKS = st.text(" ", max_size=3)


def test_columns_come_first_and_both_ends_belong_to_it() -> None:
    rows, columns = parse_section("[1:520,523:536]", (536, 520))
    assert np.zeros((536, 520))[rows, columns].shape == (14, 520)
    assert (rows, columns) == (slice(522, 536), slice(0, 520))


@given(
    st.integers(1, 50),
    st.integers(0, 50),
    st.integers(1, 50),
    st.integers(0, 50),
    st.lists(BLANKS, min_size=9, max_size=9),
)
def test_blanks_do_not_matter(x: int, width: int, y: int, height: int, blanks: list[str]) -> None:
    parts = ["[", str(x), ":", str(x + width), ",", str(y), ":", str(y + height), "]"]
    text = "".join(blank + part for blank, part in zip(blanks, parts, strict=True))
    assert parse_section(text, (100, 100)) == (slice(y - 1, y + height), slice(x - 1, x + width))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "N/A",
        "[1:2]",
        "[1:2,3:4",
        "[a:2,3:4]",
        "[1:2,3:4,5:6]",
        "[-1:2,3:4]",
        "[1.5:2,3:4]",
        "[1 0:2,3:4]",
        "[\u0661:2,3:4]",
        "[*,*]",
        "[" + "9" * 5000 + ":1,1:1]",
    ],
)
def test_other_text_is_an_alert(text: str) -> None:
    with pytest.raises(Alert, match="no section"):
        parse_section(text, (10, 10))


@pytest.mark.parametrize("text", ["[0:2,1:2]", "[1:11,1:2]", "[1:2,1:21]", "[3:2,1:2]", "[1:2,5:4]"])
def test_a_section_outside_or_backwards_is_an_alert(text: str) -> None:
    with pytest.raises(Alert, match="not inside an image of 10 columns and 20 rows"):
        parse_section(text, (20, 10))
