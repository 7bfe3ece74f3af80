"""Limits and levels of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.visualization import ZScaleInterval
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from star_fields import star_field

from runstart.errors import Alert
from runstart.images import auto_limits, gamma_table, to_bytes

FLOATS = hnp.arrays(
    st.sampled_from(["<f4", ">f4", "<f8", ">f8"]),
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)
LIMITS = st.floats(allow_nan=False, allow_infinity=False)


def test_black_is_the_median_and_white_that_of_zscale() -> None:
    image = star_field(shape=(64, 31)).image
    zmin, zmax = auto_limits(image)
    assert zmin == np.median(image)
    assert zmax == pytest.approx(ZScaleInterval(n_samples=2000, contrast=0.1).get_limits(image)[1])
    assert zmin < zmax


def test_samples_are_taken_from_all_columns_where_every_nth_pixel_is_one_column() -> None:
    image = star_field(shape=(500, 500)).image
    damaged = image.copy()
    damaged[:, 0] = 60000  # 500 x 500 / 2000 = 125 divides 500
    assert auto_limits(damaged)[1] < 1000


@pytest.mark.parametrize("value", [0, 7.5, -3, 1e30, 65535])
def test_a_constant_image_is_grey(value: float) -> None:
    image = np.full((3, 4), value)
    assert auto_limits(image) == (value, value)
    np.testing.assert_array_equal(to_bytes(image, value, value, gamma=1), 128)


def test_an_image_of_nan_is_black() -> None:
    image = np.full((3, 4), np.nan)
    assert auto_limits(image) == (0.0, 1.0)
    np.testing.assert_array_equal(to_bytes(image, *auto_limits(image)), 0)


def test_nan_and_infinities_do_not_change_the_limits_of_the_others() -> None:
    image = star_field(shape=(20, 40)).image
    expected = auto_limits(image)
    holes = np.vstack([image, np.full((1, 40), np.nan), np.full((1, 40), np.inf)])
    assert auto_limits(holes) == pytest.approx(expected)


@given(FLOATS)
def test_any_image_has_limits_in_order_and_levels(image: np.ndarray) -> None:
    zmin, zmax = auto_limits(image)
    assert np.isfinite([zmin, zmax]).all()
    assert zmin <= zmax
    levels = to_bytes(image, zmin, zmax)
    assert levels.dtype == np.uint8
    assert levels.shape == image.shape
    assert not levels[np.isnan(image)].any()


@given(FLOATS, LIMITS, LIMITS)
def test_levels_rise_with_the_values(image: np.ndarray, one: float, other: float) -> None:
    levels = to_bytes(image, min(one, other), max(one, other))
    good = np.isfinite(image)
    order = np.argsort(image[good], kind="stable")
    assert (np.diff(levels[good][order].astype(int)) >= 0).all()


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", ">i2", "i8", ">f4", "f8", "?"])
def test_the_type_of_the_numbers_does_not_matter(dtype: str) -> None:
    image = np.array([[0, 1, 1, 0]], dtype)
    np.testing.assert_array_equal(to_bytes(image, 0, 1), [[0, 255, 255, 0]])
    assert auto_limits(image)[0] == 0.5


def test_values_are_rounded_after_scaling_only() -> None:
    image = np.linspace(10, 20, 1001)[None]
    expected = np.rint((image - 10) / 10 * 255).astype(np.uint8)
    np.testing.assert_array_equal(to_bytes(image, 10, 20, gamma=1), expected)
    np.testing.assert_array_equal(to_bytes(image, 10, 20), gamma_table()[expected])


def test_the_gamma_table_is_that_of_pillow() -> None:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    expected = np.asarray(ramp.point(lambda i: 256 * (i / 256) ** (1 / 2.5)))
    np.testing.assert_array_equal(gamma_table(), expected[0])
    np.testing.assert_array_equal(gamma_table(1.0), np.arange(256))


def test_a_large_image_is_scaled_as_its_rows_are() -> None:
    image = np.random.default_rng(1).normal(size=(1100, 1000)).astype(np.float32)
    levels = to_bytes(image, -1, 2)
    np.testing.assert_array_equal(levels[1049:], to_bytes(image[1049:], -1, 2))


@pytest.mark.parametrize(
    ("zmin", "zmax", "gamma", "message"),
    [
        (np.nan, 1, 2.5, "not finite"),
        (0, np.inf, 2.5, "not finite"),
        (2, 1, 2.5, "above the upper one"),
        (0, 1, 0, "gamma is 0"),
        (0, 1, np.nan, "gamma is nan"),
    ],
)
def test_wrong_limits_are_an_alert(zmin: float, zmax: float, gamma: float, message: str) -> None:
    with pytest.raises(Alert, match=message):
        to_bytes(np.zeros((2, 2)), zmin, zmax, gamma)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (0, 3)])
def test_what_is_no_image_has_no_limits(shape: tuple[int, ...]) -> None:
    with pytest.raises(Alert):
        auto_limits(np.zeros(shape))
