from __future__ import annotations

import pytest

from runstart.errors import Alert
from runstart.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("123", 123),
        (" 12 B ", 12),
        ("1k", 1000),
        ("500MB", 500_000_000),
        ("1.5 gb", 1_500_000_000),
        ("2GiB", 2**31),
        ("0.5Ki", 512),
        ("1T", 10**12),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(text: str, size: int) -> None:
    assert parse_size(text, "X") == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1e9", "1 XB", "1.MB", "nan", "1" * 400, "1,5GB", "iB", "3iB"])
def test_anything_else_is_an_alert_that_names_where_it_comes_from(text: str) -> None:
    with pytest.raises(Alert, match=r"X is .*no size"):
        parse_size(text, "X")
