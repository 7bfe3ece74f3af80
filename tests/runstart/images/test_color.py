"""Colour pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.images import ColorChannel, compose_color, gamma_table

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)
CHANNEL = st.tuples(
    st.tuples(*[st.floats(0, 255)] * 3), st.floats(-100, 100), st.floats(0, 100), st.integers(0, 2**32 - 1)
)


def _slow(channels: list[ColorChannel]) -> np.ndarray:
    """Pixel by pixel, as the rule is told."""
    rows, columns = channels[0].image.shape
    picture = np.zeros((rows, columns, 3), np.uint8)
    for y, x, part in np.ndindex(rows, columns, 3):
        total = 0.0
        for channel in channels:
            low, high = channel.zmin, channel.zmax
            if low == high:
                low, high = low - 1, high + 1
            value = min(max(channel.image[y, x], low), high)
            total += (value - low) / (high - low) * 255 * channel.color[part] / 255
        index = min(max(total, 0), 255)
        exact = abs(index % 1 - 0.5) < 1e-9
        picture[y, x, part] = 0 if exact else min(255, round(256 * (round(index) / 256) ** 0.4))
    return picture


@given(st.lists(CHANNEL, min_size=1, max_size=6))
def test_a_picture_is_what_the_rule_says(drawn: list[tuple[tuple[float, float, float], float, float, int]]) -> None:
    channels = [
        ColorChannel(np.random.default_rng(seed).uniform(-120, 220, (3, 4)), color, zmin, zmin + width)
        for color, zmin, width, seed in drawn
        if width == 0 or width > 1e-3
    ] or [ColorChannel(np.zeros((3, 4)), RED, 0, 1)]
    picture, expected = compose_color(channels), _slow(channels)
    assert picture.shape == (3, 4, 3)
    assert picture.dtype == np.uint8
    known = expected > 0
    np.testing.assert_array_equal(picture[known], expected[known])


def test_each_channel_lends_its_brightness_to_its_colour() -> None:
    ramp = np.arange(256.0)[None]
    picture = compose_color([ColorChannel(ramp, RED, 0, 255), ColorChannel(ramp[:, ::-1], GREEN, 0, 255)])
    np.testing.assert_array_equal(picture[..., 0], gamma_table()[None])
    np.testing.assert_array_equal(picture[..., 1], gamma_table()[None, ::-1])
    assert not picture[..., 2].any()


def test_images_of_different_sizes_share_their_middle_and_stay_upright() -> None:
    small, large = np.zeros((2, 4)), np.zeros((6, 4))
    large[2] = 1
    picture = compose_color([ColorChannel(small, GREEN, 0, 1), ColorChannel(large, RED, 0, 1)])
    np.testing.assert_array_equal(picture[..., 0], [[255] * 4, [0] * 4])


def test_nan_is_black_and_equal_limits_are_grey() -> None:
    image = np.array([[np.nan, 5.0]])
    np.testing.assert_array_equal(
        compose_color([ColorChannel(image, WHITE, 5, 5)])[0, :, 0], [0, gamma_table()[128]]
    )


@pytest.mark.parametrize(
    ("color", "zmin", "zmax", "message"),
    [
        ((300, 0, 0), 0, 1, "colour \\(300, 0, 0\\)"),
        ((0, -1, 0), 0, 1, "0 to 255"),
        ((0, float("nan"), 0), 0, 1, "0 to 255"),
        ((0, 0), 0, 1, "0 to 255"),
        (RED, 1, 0, "above the upper"),
        (RED, 0, float("inf"), "not finite"),
    ],
)
def test_a_wrong_channel_is_an_alert(
    color: tuple[float, float, float], zmin: float, zmax: float, message: str
) -> None:
    with pytest.raises(Alert, match=message):
        ColorChannel(np.zeros((2, 2)), color, zmin, zmax)


@pytest.mark.parametrize("n", [0, 7])
def test_one_to_six_channels(n: int) -> None:
    with pytest.raises(Alert, match=f"not {n}"):
        compose_color([ColorChannel(np.zeros((2, 2)), RED, 0, 1)] * n)
    with pytest.raises(Alert, match="3 axes"):
        compose_color([ColorChannel(np.zeros((2, 2, 2)), RED, 0, 1)])
