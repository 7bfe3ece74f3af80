"""Pictures decode and show what is there, for any legal scan."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scan_products import CALIBRATION, DETECTORS, make_product

from runstart.frames import Crop, Detector, Recipe
from runstart.scans._display import (
    deflections,
    deviation_limits,
    direction_colors,
    length_label,
    pattern_limits,
    power_spectrum,
    robust_limits,
    round_length,
    shrink,
)
from runstart.scans._panels import MISSING
from runstart.scans.model import Accounting, ScanProduct
from runstart.scans.pictures import coverage, overview_picture, scan_pictures

NAMES = ["center_of_mass.png", "diffraction_pattern.png", "overview.png", "phase.png", "virtual_images.png"]
ODD = {
    "one position": lambda: make_product((1, 1), calibration=CALIBRATION),
    "one row": lambda: make_product((1, 300), calibration=CALIBRATION),
    "one column": lambda: make_product((300, 1)),
    "no frames": lambda: make_product(seen=0, ended="", pattern=np.zeros((32, 30), np.uint64)),
    "constant": lambda: make_product(
        pattern=np.zeros((32, 30), np.uint64),
        center_of_mass=np.full((2, 12, 16), 7, np.float32),
        phase=np.zeros((12, 16), np.float32),
    ),
    "negative pattern": lambda: make_product(pattern=np.full((32, 30), -3.0)),
    "tiny pattern": lambda: make_product((5, 5), (1, 1)),
    "circle": lambda: make_product(
        recipe=Recipe(crop=Crop(shape="circle", radius=9), detectors=DETECTORS, bin_by=2)
    ),
    "not a number": lambda: make_product(phase=np.full((12, 16), np.nan, np.float32)),
}


def pixels_of(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


def near(pixels: np.ndarray, color: str, most: int = 12) -> np.ndarray:
    wanted = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
    return np.abs(pixels - wanted).max(axis=2) <= most


def test_every_picture_has_its_name_and_decodes() -> None:
    pictures = scan_pictures(make_product(calibration=CALIBRATION))
    assert sorted(pictures) == NAMES
    assert all(min(pixels_of(png).shape[:2]) >= 300 for png in pictures.values())


def test_without_detectors_there_is_no_picture_of_virtual_images() -> None:
    assert sorted(scan_pictures(make_product(detectors=()))) == [name for name in NAMES if name[0] != "v"]


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_odd_scans_are_drawn(make: Callable[[], ScanProduct]) -> None:
    product = make()
    pictures = scan_pictures(replace(product, virtual_images=dict(list(product.virtual_images.items())[:1])))
    assert len({pixels_of(png).shape for png in pictures.values()}) > 1


@pytest.mark.parametrize("count", [1, 2, 4, 14])
def test_any_number_of_detectors_is_drawn(count: int) -> None:
    detectors = tuple(Detector(name=f"d{k}_{'x' * 30}", outer=k + 1) for k in range(count))
    product = make_product((6, 6), detectors=detectors)
    pixels_of(overview_picture(product))


def test_many_detectors_have_their_own_picture() -> None:
    detectors = tuple(Detector(name=f"d{k}", outer=k + 1) for k in range(14))
    pictures = scan_pictures(make_product((6, 6), detectors=detectors))
    assert len(pixels_of(pictures["virtual_images.png"])) > 4 * 300


@pytest.mark.parametrize("text", ["", "$x^2\\frac{", "日本\0\n\ud800" + "x" * 10_000])
def test_any_name_is_drawn_without_a_warning(text: str) -> None:
    product = make_product((4, 4), detectors=())
    header = replace(product.header, started=text)
    pixels_of(overview_picture(replace(product, header=header, scan=text, microscope=text)))


def test_a_large_scan_is_as_large_a_picture_as_a_small_one() -> None:
    large = pixels_of(overview_picture(make_product((1024, 1024))))
    assert large.shape == pixels_of(overview_picture(make_product((64, 64)))).shape


def test_positions_without_a_frame_are_grey_and_the_first_row_is_at_the_top() -> None:
    product = make_product((16, 16), seen=0.5, ended="")
    pixels = pixels_of(scan_pictures(product)["virtual_images.png"])
    rows = np.flatnonzero(near(pixels, MISSING).sum(axis=1) > 300)
    assert rows.size > 100
    assert rows.min() > 72 + 130  # the upper half of the images is seen
    assert not (pixels[rows.min() + 3 : rows.max() - 3].max(axis=2) < 25).any()


def test_a_scan_that_was_broken_off_is_marked() -> None:
    fields = {"seen": 0.5, "calibration": CALIBRATION}
    broken, going = (pixels_of(overview_picture(make_product(**fields, ended=e))) for e in ("broken off", ""))
    assert near(broken[:30], "#fde3df").mean() > 0.6
    assert near(going[:30], "#fde3df", 5).mean() < 0.01


@pytest.mark.parametrize(
    ("seen", "ended", "words"),
    [
        (0, "", "0 % of 4,096 positions"),
        (10, "", "0.2 % of 4,096 positions"),
        (1534, "", "37 % of 4,096 positions"),
        (2540, "broken off", "broken off at 62 % of 4,096 positions"),
        (4095, "closed", "99.9 % of 4,096 positions"),
        (4096, "", "100 % of 4,096 positions"),
        (4096, "complete", "4,096 positions"),
    ],
)
def test_titles_say_how_much_of_the_scan_is_there(seen: int, ended: str, words: str) -> None:
    product = make_product((64, 64), accounting=Accounting(4096, seen, seen), ended=ended)
    assert coverage(product) == words


def test_the_same_scan_gives_the_same_picture_from_any_thread() -> None:
    products = [make_product((6, 6), detectors=()) for _ in range(3)]
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(overview_picture, products))) == 1


def test_ranges_ignore_missing_and_odd_values() -> None:
    values = np.linspace(0, 1, 10_000)
    values[[5, 7]] = 1e9
    values[11] = np.nan
    low, high = robust_limits(values)
    assert 0 <= low < 0.01
    assert 0.98 < high <= 1


@pytest.mark.parametrize(
    "values", [[], [np.nan], [0.0], [3.0, 3.0], [0.0] * 1000 + [5.0], [-1e30, -1e30], [np.inf]]
)
def test_ranges_are_never_empty(values: list[float]) -> None:
    for limits in (robust_limits, deviation_limits, lambda array: pattern_limits(array)[0]):
        low, high = limits(np.array(values))
        assert np.isfinite([low, high]).all()
        assert low <= high
    assert robust_limits(np.array(values))[0] < robust_limits(np.array(values))[1]


def test_the_range_of_deflections_is_mean_and_standard_deviation() -> None:
    values = np.random.default_rng(1).normal(5, 2, 1000).astype(np.float32)
    expected = (values.mean() - values.std(), values.mean() + values.std())
    assert deviation_limits(np.append(values, np.nan)) == pytest.approx(expected, rel=1e-5)


def test_deflections_have_no_mean_and_stay_missing() -> None:
    parts = deflections(make_product(seen=0.6).center_of_mass)
    np.testing.assert_allclose(np.nanmean(parts, axis=(1, 2)), 0, atol=1e-6)
    assert np.isnan(parts).sum() == 2 * 77


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.integers(1, 12))
def test_blocks_have_the_mean_of_what_is_known(rows: int, columns: int, most_rows: int, most_columns: int) -> None:
    rng = np.random.default_rng(rows * 100 + columns)
    values = np.where(rng.random((rows, columns)) < 0.4, np.nan, rng.normal(size=(rows, columns)))
    blocks, (high, wide) = shrink(values, (most_rows, most_columns))
    assert blocks.shape[0] <= most_rows or high == 1
    for (row, column), mean in np.ndenumerate(blocks):
        block = values[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        known = block[~np.isnan(block)]
        np.testing.assert_allclose(mean, known.mean() if known.size else np.nan)


def test_opposite_deflections_have_other_colours_of_the_same_lightness() -> None:
    angles = np.arange(12) * np.pi / 6
    colors = direction_colors(np.stack([np.cos(angles), np.sin(angles)])[:, None, :], 1.0)[0].astype(int)
    assert np.abs(colors - np.roll(colors, 6, axis=0)).max(axis=1).min() > 40
    # Luma weighs the channels nearly as the eye does.
    assert np.ptp(colors @ [0.299, 0.587, 0.114]) < 40
    assert direction_colors(np.zeros((2, 1, 1)), 1.0).max() < 40


def test_the_planes_of_a_crystal_are_spots_of_the_power_spectrum() -> None:
    wave = np.cos(2 * np.pi * 8 * np.arange(64) / 64)[None, :] * np.ones((64, 1))
    power = power_spectrum(wave.astype(np.float32))
    assert {tuple(spot) for spot in np.argwhere(power == power.max())} <= {(32, 24), (32, 40)}


@pytest.mark.parametrize(
    ("longest", "length"), [(1, 1), (1.99, 1), (2, 2), (7.3, 5), (10, 10), (0.3, 0.2), (1000, 1000), (4e-4, 2e-4)]
)
def test_scale_bars_have_round_lengths(longest: float, length: float) -> None:
    assert round_length(longest) == pytest.approx(length)


@pytest.mark.parametrize(
    ("length", "unit", "label"),
    [
        (5, "nm", "5 nm"),
        (2000, "nm", "2 µm"),
        (0.5, "nm", "0.5 nm"),
        (1, "positions", "1 position"),
        (10, "1/nm", "10 nm⁻¹"),
    ],
)
def test_scale_bars_say_their_length(length: float, unit: str, label: str) -> None:
    assert length_label(length, unit) == label


def test_a_pattern_with_a_bright_disc_is_logarithmic_over_six_decades_at_most() -> None:
    pattern: np.ndarray[Any, Any] = np.full((50, 50), 1.0)
    pattern[20:24, 20:24] = 1e9
    assert pattern_limits(pattern) == ((1e3, 1e9), True)
    assert pattern_limits(np.full((5, 5), 3))[1] is False
