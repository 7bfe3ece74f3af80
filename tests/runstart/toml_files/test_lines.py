from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.toml_files._lines import find_line

DOCUMENT = '''\
title = """
[not.a.table]
fake = 1
"""
other = \'\'\'
[[neither]]\'\'\'  # = comment

[kafka.default]  # [not.this]
bootstrap_servers = "a = [b"

[ instruments . "A.B" ]
tof = { start_us = 0, stop_us = 1, bins = 1 }
views = [
    "tof",   # ] not the end
    "pixel",
]
topics.events = "x"
"quoted key" = 1

[[instruments."A.B".banks]]
name = "one"
[instruments."A.B".banks.extra]
deep = 1

[[instruments."A.B".banks]]
name = "two"
shape = [[1,
  2], [3]]
last = 1'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 1),
        (("other",), 5),
        (("kafka", "default"), 8),
        (("kafka", "default", "bootstrap_servers"), 9),
        (("kafka", "default", "missing"), 8),
        (("instruments", "A.B"), 11),
        (("instruments", "A.B", "tof", "bins"), 12),
        (("instruments", "A.B", "views", 1), 13),
        (("instruments", "A.B", "topics", "events"), 17),
        (("instruments", "A.B", "quoted key"), 18),
        (("instruments", "A.B", "banks"), 20),
        (("instruments", "A.B", "banks", 0, "name"), 21),
        (("instruments", "A.B", "banks", 0, "extra", "deep"), 23),
        (("instruments", "A.B", "banks", 1), 25),
        (("instruments", "A.B", "banks", 1, "name"), 26),
        (("instruments", "A.B", "banks", 1, "shape", 1, 0), 27),
        (("instruments", "A.B", "banks", 1, "last"), 29),
        (("nowhere",), 1),
    ],
)
def test_a_field_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(DOCUMENT)
    assert find_line(DOCUMENT, path) == line


values = st.one_of(
    st.integers(),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=10).filter(lambda t: "'" not in t),
    st.lists(st.integers(), max_size=3),
)
names = st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True)


@given(st.dictionaries(names, st.dictionaries(names, values, max_size=4), max_size=4), st.data())
def test_every_key_of_a_written_document_is_found(document: dict[str, dict[str, Any]], data: st.DataObject) -> None:
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for table, keys in document.items():
        lines += [""] * data.draw(st.integers(0, 2))
        lines.append(f"[{table}]")
        expected[table,] = len(lines)
        for key, value in keys.items():
            lines += ["# a = [comment"] * data.draw(st.integers(0, 1))
            first = len(lines) + 1
            lines += _written(key, value)
            expected[table, key] = first
    text = "\n".join(lines)
    assert tomllib.loads(text) == document
    assert {path: find_line(text, path) for path in expected} == expected


def _written(key: str, value: object) -> list[str]:
    if isinstance(value, list):
        return [f"{key} = [", *(f"  {number}," for number in value), "]"]
    return [f"{key} = '{value}'" if isinstance(value, str) else f"{key} = {value}"]
