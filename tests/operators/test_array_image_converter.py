"""array-image-converter colours arrays."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scan_messages import run_py

from runstart.errors import Alert
from runstart.frame_messages import array_message
from runstart.operators import BytesMessage, MessageHeader
from runstart.operators.testing import call

CONVERTER = run_py("array-image-converter")
GRAY = {"image_format": "PNG", "colormap": "gray", "percentile_min": 0.0, "percentile_max": 100.0}


def _picture(array: NDArray[Any], **parameters: Any) -> NDArray[np.uint8]:
    (message,) = call(CONVERTER, [array_message(array)], GRAY | parameters)
    return np.asarray(Image.open(io.BytesIO(message.data)).convert("RGB"))


def test_values_go_from_dark_to_bright_and_blanks_and_nan_are_marked() -> None:
    picture = _picture(np.array([[0.0, 5.0, 6.0, 7.0, np.nan]]))
    assert picture[0, :4, 0].tolist() == [0, 0, 127, 255] or picture[0, :4, 0].tolist() == [0, 0, 128, 255]
    assert picture[0, 4].tolist() == [205, 210, 216]


def test_blanks_count_if_they_are_asked_to() -> None:
    values = np.array([[0.0, 5.0, 10.0]])
    assert _picture(values, ignore_blank=True)[0, 1, 0] == 0
    assert _picture(values, ignore_blank=False)[0, 1, 0] in (127, 128)
    assert _picture(values, blank_value=10.0)[0, 2, 0] == 0


def test_contrast_is_about_the_middle_and_brightness_from_the_darkest() -> None:
    values = np.linspace(1, 2, 5)[None]
    assert _picture(values, contrast=2.0)[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert _picture(values, brightness=0.5)[0, -1, 0] in (127, 128)


def test_a_few_odd_values_do_not_spoil_the_range() -> None:
    values = np.ones((100, 100)) + np.arange(100)
    values[0, 0] = 1e9
    assert _picture(values, percentile_min=0.5, percentile_max=99.5)[50, 98, 0] > 240


def test_a_jpeg_says_what_it_is_of_and_planes_stand_side_by_side() -> None:
    planes = np.random.default_rng(1).random((2, 16, 24)).astype(np.float32)
    (message,) = call(CONVERTER, [array_message(planes, {"scan_number": 3, "name": "map.npy"})])
    picture = Image.open(io.BytesIO(message.data))
    assert (picture.format, picture.size) == ("JPEG", (48, 16))
    assert message.header.meta == {"scan_number": 3, "media_type": "image/jpeg", "name": "map.jpg"}


def test_what_is_no_array_of_rows_and_columns_is_refused() -> None:
    with pytest.raises(Alert, match="An array of 3 cannot be shown"):
        call(CONVERTER, [array_message(np.ones(3))])
    with pytest.raises(Alert, match="no shape and dtype"):
        call(CONVERTER, [BytesMessage(MessageHeader(), b"1234")])
