"""Pictures of images."""

from __future__ import annotations

import base64
import io
import re
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from star_fields import star_field

from runstart.errors import Alert
from runstart.images import auto_limits, make_previews, to_bytes

COLOR = np.zeros((30, 40, 3), np.uint8)
COLOR[:10, :, 0] = 200
COLOR[20:, :, 2] = 200


def _open(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_the_tiff_has_the_levels_of_the_image_with_row_0_at_the_bottom() -> None:
    image = star_field().image
    previews = make_previews(image)
    np.testing.assert_array_equal(_open(previews.tiff), to_bytes(image, *auto_limits(image))[::-1])


def test_the_jpegs_show_the_same_in_full_size_and_in_200_pixels() -> None:
    image = star_field(shape=(300, 400)).image
    previews = make_previews(image)
    tiff, large, small = map(_open, (previews.tiff, previews.large_jpeg, previews.small_jpeg))
    assert large.shape == (300, 400)
    assert small.shape == (150, 200)
    assert np.abs(large.astype(int) - tiff).mean() < 2
    halves = tiff.reshape(150, 2, 200, 2).mean(axis=(1, 3))
    assert np.abs(small - halves).mean() < 8


def test_given_limits_are_used() -> None:
    image = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(_open(make_previews(image, (3, 7)).tiff), to_bytes(image, 3, 7)[::-1])


def test_a_colour_image_is_flipped_and_else_left_as_it_is() -> None:
    previews = make_previews(COLOR)
    np.testing.assert_array_equal(_open(previews.tiff), COLOR[::-1])
    large = _open(previews.large_jpeg)
    assert large[0, 20, 2] > large[0, 20, 0] + 100
    assert large[29, 20, 0] > large[29, 20, 2] + 100


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_small_and_narrow_images_have_pictures(shape: tuple[int, int]) -> None:
    previews = make_previews(np.arange(shape[0] * shape[1]).reshape(shape))
    assert _open(previews.large_jpeg).shape == shape
    assert max(_open(previews.small_jpeg).shape) == min(200, max(shape))
    assert len(previews.thumbnail) < 600


@pytest.mark.parametrize(
    "image",
    [
        star_field(shape=(512, 512)).image,
        np.random.default_rng(1).normal(size=(400, 300)).astype(">f4"),
        np.random.default_rng(1).integers(0, 255, (400, 300, 3), np.uint8),
        np.full((50, 60), np.nan),
        np.zeros((1, 1), ">i2"),
        COLOR,
    ],
    ids=["stars", "noise", "colourful noise", "nan", "one pixel", "colour"],
)
def test_markdown_is_short_and_holds_a_picture(image: np.ndarray) -> None:
    markdown = make_previews(image).as_markdown("M 42 <script>](x)")
    assert len(markdown) < 1000
    assert markdown.startswith("![M 42 scriptx](data:image/svg+xml,")
    svg = unquote(markdown)
    found = re.search(r"data:image/webp;base64,([\w+/=]+)' width='(\d+)' height='(\d+)'", svg)
    assert found is not None
    shown = Image.open(io.BytesIO(base64.b64decode(found[1])))
    assert int(found[2]) % shown.width == 0
    assert max(int(found[2]), int(found[3])) <= 240
    assert np.asarray(shown).ndim in (2, 3)


def test_a_thumbnail_shows_the_image_upright() -> None:
    image = np.zeros((40, 40))
    image[:10] = 1
    thumbnail = _open(make_previews(image, (0, 1)).thumbnail)
    assert thumbnail[-1].mean() > 200
    assert thumbnail[0].mean() < 50


@pytest.mark.parametrize(
    ("image", "limits", "message"),
    [
        (np.zeros((4, 4, 4)), None, "3 axes"),
        (np.zeros((4, 4, 3)), None, "3 axes"),
        (np.zeros((0, 4, 3), np.uint8), None, "3 axes"),
        (COLOR, (0.0, 1.0), "colour image has its scale"),
        (np.zeros((4, 4)), (1.0, 0.0), "above the upper"),
        (np.zeros((1, 65501)), None, "longer than a JPEG"),
    ],
)
def test_what_cannot_be_shown_is_an_alert(
    image: np.ndarray, limits: tuple[float, float] | None, message: str
) -> None:
    with pytest.raises(Alert, match=message):
        make_previews(image, limits)
