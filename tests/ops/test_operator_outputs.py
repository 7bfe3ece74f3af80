"""What the pages show of operators' outputs: pictures, tables and texts, and never an error of the run."""

from __future__ import annotations

import io
import json

import dagster as dg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ops.operator_outputs import MOST_ROWS, show_output, show_svg
from runstart.sessions import Published

IN_PLACE = 1_000  # characters of markdown that Dagster's pages show without a click


def published(media_type: str, data: bytes, name: str = "map") -> Published:
    return Published("display", media_type, data, name, keep=True, number=4)


def png(size: tuple[int, int] = (300, 200), color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def text_of(value: object) -> str:
    assert isinstance(value, dg.MarkdownMetadataValue)
    return value.md_str or ""


def test_a_picture_stands_in_place_and_a_larger_one_behind_a_click() -> None:
    shown = show_output(published("image/png", png()), "sessions/X/published/display/4").metadata
    assert len(text_of(shown["picture"])) < IN_PLACE
    assert "data:image/jpeg;base64," in text_of(shown["larger picture"])
    assert shown["object"] == "sessions/X/published/display/4"
    assert shown["bytes"] == len(png())


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.full((5, 5), np.nan),
        np.array([[np.inf, -3.0], [2.0, np.nan]]),
        np.arange(24).reshape(2, 3, 4),
        np.zeros((1, 700), np.uint16),
        np.linspace(-1, 1, 500),
    ],
    ids=["plane", "nothing known", "infinite", "cube", "wide", "curve"],
)
def test_an_array_gets_a_picture_and_its_shape(array: np.ndarray) -> None:
    shown = show_output(published("application/x-npy", npy(array)), "key").metadata
    assert "trouble" not in shown
    assert len(text_of(shown["picture"])) < IN_PLACE
    (row,) = shown["arrays"].records
    assert row.data["shape"] == " x ".join(map(str, array.shape))


def test_an_array_of_objects_is_not_unpickled() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    shown = show_output(published("application/x-npy", buffer.getvalue()), "key").metadata
    assert "pickle" in shown["trouble"]


@pytest.mark.parametrize("media_type", ["application/json", "text/csv; charset=utf-8"])
def test_rows_are_a_table_of_a_bounded_length(media_type: str) -> None:
    rows = [{"scan": n, "hits": n * 2} for n in range(MOST_ROWS + 10)]
    data = (
        json.dumps(rows) if "json" in media_type else "scan,hits\n" + "\n".join(f"{n},{2 * n}" for n in range(60))
    )
    records = show_output(published(media_type, data.encode()), "key").metadata["table"].records
    assert len(records) == MOST_ROWS
    assert str(records[3].data["hits"]) == "6"


def test_several_tables_are_shown_by_their_names() -> None:
    tables = {"hits": [{"scan": 1, "hits": 5}], "none": []}
    shown = show_output(published("application/json", json.dumps({"tables": tables}).encode()), "key").metadata
    assert shown["table hits"].records[0].data == {"scan": 1, "hits": 5}
    assert shown["table none"] == "no rows"


@given(st.binary(max_size=300), st.sampled_from(["image/png", "application/x-npy", "application/json", "text/csv"]))
def test_garbage_is_told_and_never_raised(data: bytes, media_type: str) -> None:
    shown = show_output(published(media_type, data), "key").metadata
    assert shown["media type"] == media_type


def test_an_enormous_picture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    shown = show_output(published("image/png", png((15, 10))), "key").metadata
    assert "decompression bomb" in shown["trouble"]
    assert "picture" not in shown


def test_a_name_from_outside_ends_no_markdown() -> None:
    shown = show_output(published("image/png", png(), "](javascript:alert(1)) <b>"), "key").metadata
    assert "](javascript" not in text_of(shown["picture"]) + text_of(shown["larger picture"])
    assert shown["name"].startswith("\\]\\(")
    assert "](javascript" not in text_of(show_svg("<svg/>", "](javascript:"))


def test_what_takes_room_in_the_event_log_is_counted() -> None:
    small = show_output(published("text/plain", b"short"), "key")
    noise = np.random.default_rng(1).random((400, 400))
    large = show_output(published("application/x-npy", npy(noise)), "key")
    assert small.nbytes < 2_000
    assert large.nbytes > 10_000
    assert large.nbytes >= len(text_of(large.metadata["larger picture"]))
