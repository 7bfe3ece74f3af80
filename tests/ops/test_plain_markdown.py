"""Texts of headers and file names on Dagster's pages: shown as they are, never as links, pictures or HTML."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
from hypothesis import given
from hypothesis import strategies as st

from ops.metadata import plain_markdown
from ops.night_metadata import describe_record
from ops.operation_reporting import OperationReporter
from runstart.nights import Record
from runstart.operation_kit import OutputFile
from runstart.storage import FileStore

NASTY = "![x](http://tracker/a.png) <img src=x> `code` \\\n# M 42"


@given(st.text())
def test_no_character_of_markup_is_left_bare(text: str) -> None:
    shown = plain_markdown(text)
    assert re.sub(r"\\(.)", r"\1", shown) == " ".join(text.split())
    assert not set(re.sub(r"\\.", "", shown)) & set("[]()!<>`\\\n")


def test_remarks_are_shown_as_they_are(tmp_path: Path) -> None:
    record = Record("HILL", "2026-01-01", "stacks", "1", "0" * 64, remarks=(NASTY, "plain"))
    assert describe_record(record, FileStore(tmp_path))["remarks"].value == f"- {plain_markdown(NASTY)}\n- plain"


def test_labels_are_shown_as_they_are() -> None:
    events: list[Any] = []
    context: Any = SimpleNamespace(log=SimpleNamespace(info=print), log_event=events.append)
    output = OutputFile(
        basename="a",
        type="image",
        label=NASTY,
        objects={"large": "a", "small": "a"},
        sha256={},
        figures={},
        thumbnail="",
    )
    reporter = OperationReporter(context, SimpleNamespace(), dg.AssetKey("a"))  # type: ignore[arg-type]
    reporter._room = 0  # no pictures
    reporter.output(output)
    assert events[0].description == plain_markdown(NASTY)
