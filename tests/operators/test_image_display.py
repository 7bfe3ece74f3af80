"""image-display shows pictures as they are and arrays drawn, the newest of many, and always the last."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scan_messages import run_py

from runstart.errors import Alert
from runstart.frame_messages import LatestPicture, array_message
from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.publishing import Published, shown_by
from runstart.operators.testing import call, published

DISPLAY = run_py("image-display")


def _png(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), color).save(buffer, "PNG")
    return buffer.getvalue()


def _message(data: bytes, name: str = "") -> BytesMessage:
    return BytesMessage(MessageHeader(meta={"name": name}), data)


def test_a_picture_is_shown_as_it_is_under_its_name() -> None:
    published.clear()
    assert call(DISPLAY, [_message(_png("red"), "beam")]) == []
    assert published == [Published("image/png", _png("red"), "beam")]


def test_of_many_the_first_and_the_last_are_shown() -> None:
    published.clear()
    call(DISPLAY, [_message(_png(color)) for color in ("red", "green", "blue")], {"min_interval_s": 3600.0})
    assert [one.data for one in published] == [_png("red"), _png("blue")]


def test_what_waited_too_long_gives_way_to_the_newest() -> None:
    times = iter((0.0, 0.4, 1.1, 1.1))  # when the first is shown, and when the others come
    shown: list[Published] = []
    picture = LatestPicture(lambda: next(times))
    with shown_by(shown.append):
        for color in ("red", "green", "blue"):
            picture.show(_message(_png(color)), 1.0)
        picture.finish()
    assert [one.data for one in shown] == [_png("red"), _png("blue")]


@pytest.mark.parametrize(
    ("content", "shape", "panels"),
    [
        ("centre of mass", (2, 6, 7), 2),
        ("diffraction pattern", (6, 7), 1),
        ("virtual image", (1, 1), 1),
        ("", (9, 500, 3), 3),
        ("", (12,), 1),
    ],
)
def test_arrays_are_drawn_whatever_they_hold(content: str, shape: tuple[int, ...], panels: int) -> None:
    values = np.random.default_rng(1).random(shape).astype(np.float32) ** 30
    values.flat[0] = np.nan
    published.clear()
    meta = {"content": content, "scan_number": 2, "missing_positions": 1}
    call(DISPLAY, [array_message(values, meta), array_message(np.full(shape, np.nan))])
    for one in published:
        assert one.media_type == "image/png"
        assert Image.open(io.BytesIO(one.data)).width == pytest.approx(420 * panels, abs=2)
    assert published[0].name == content


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(Alert, match="no picture and no array, but application/json"):
        call(DISPLAY, [_message(b'{"a": 1}')])
    with pytest.raises(Alert, match="2 x 0 cannot be shown"):
        call(DISPLAY, [array_message(np.zeros((2, 0)))])
