"""Differential phase contrast."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runstart.frames.phase import integrate_phase, phase_per_pixel

Map = NDArray[np.float64]


def grid(rows: int, columns: int) -> tuple[Map, Map]:
    return tuple(np.indices((rows, columns), np.float64))


def periodic(rows: int, columns: int) -> tuple[Map, Map]:
    """Return a phase of mean 0 that goes on beyond its edges, and its gradient along columns and rows."""
    row, column = grid(rows, columns)
    a, b = 2 * math.pi / rows, 2 * math.pi / columns
    phase = 3 * np.sin(2 * b * column) * np.cos(a * row) + np.sin(3 * a * row + b * column)
    along_columns = 6 * b * np.cos(2 * b * column) * np.cos(a * row) + b * np.cos(3 * a * row + b * column)
    along_rows = -3 * a * np.sin(2 * b * column) * np.sin(a * row) + 3 * a * np.cos(3 * a * row + b * column)
    return phase, np.stack([along_columns, along_rows])


def open_ended(rows: int, columns: int, slope: float = 0.0) -> tuple[Map, Map]:
    """Return a phase of mean 0 that differs from edge to edge, and its gradient."""
    row, column = grid(rows, columns)
    x, y = column - (columns - 1) / 2, row - rows / 3
    bump = 4 * np.exp(-(x**2 + y**2) / 90)
    phase = bump + 0.002 * x**2 - 0.003 * x * y + slope * (x - 2 * y)
    along_columns = -2 * x / 90 * bump + 0.004 * x - 0.003 * y + slope
    along_rows = -2 * y / 90 * bump - 0.003 * x - 2 * slope
    return phase - phase.mean(), np.stack([along_columns, along_rows])


def error(found: Map, phase: Map) -> float:
    """Return the root mean square of the difference, relative to the phase's."""
    return float(np.sqrt(np.mean((found - phase) ** 2) / np.mean(phase**2)))


@pytest.mark.parametrize("shape", [(24, 32), (25, 31), (24, 31), (64, 5)])
def test_a_periodic_phase_is_found_exactly(shape: tuple[int, int]) -> None:
    phase, gradient = periodic(*shape)

    assert error(integrate_phase(gradient, edges="periodic"), phase) < 1e-6


def test_mirrored_edges_find_a_phase_that_is_not_periodic() -> None:
    phase, gradient = open_ended(60, 80)

    assert error(integrate_phase(gradient, center=(0, 0)), phase) < 0.01
    shifted = gradient + np.array([120.0, 80.0])[:, None, None]
    assert error(integrate_phase(shifted, center=(80, 120)), phase) < 0.01


def test_mirrored_edges_find_a_ramp() -> None:
    phase, gradient = open_ended(60, 80, slope=0.3)

    assert error(integrate_phase(gradient, center=(0, 0)), phase) < 0.01


def test_mirrored_edges_are_the_default_because_they_are_right_more_often() -> None:
    phase, gradient = open_ended(60, 80)
    row, column = grid(60, 80)
    slopes = gradient.mean(axis=(1, 2))
    level = phase - slopes[0] * (column - 39.5) - slopes[1] * (row - 29.5)

    assert error(integrate_phase(gradient), level) < 0.01
    assert error(integrate_phase(gradient, edges="periodic"), level) > 0.1


def test_the_gradient_of_the_phase_is_the_deflection() -> None:
    _, gradient = open_ended(60, 80)
    found = integrate_phase(gradient, center=(0, 0)).astype(np.float64)
    along_rows, along_columns = np.gradient(found)
    inner = np.s_[3:-3, 3:-3]

    np.testing.assert_allclose(along_columns[inner], gradient[0][inner], atol=0.01)
    np.testing.assert_allclose(along_rows[inner], gradient[1][inner], atol=0.01)


@settings(max_examples=20)
@given(st.floats(-180, 180), st.booleans())
def test_deflections_of_a_detector_that_is_turned_and_flipped_are_turned_back(angle: float, flip: bool) -> None:
    phase, (columns, rows) = periodic(20, 24)
    # What a detector sees whose axes are turned back by the angle, and then flipped.
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    seen = np.stack([cosine * columns + sine * rows, -sine * columns + cosine * rows])
    if flip:
        seen[1] *= -1

    assert error(integrate_phase(seen, rotation_deg=angle, flip=flip, edges="periodic"), phase) < 1e-5


def test_a_right_angle_turns_the_column_axis_to_the_row_axis() -> None:
    row, _ = grid(16, 16)
    along_columns = np.stack([np.ones((16, 16)), np.zeros((16, 16))])
    found = integrate_phase(along_columns, rotation_deg=90, center=(0, 0))

    assert error(found, row - row.mean()) < 0.02


@pytest.mark.parametrize("shape", [(24, 32), (25, 31), (1, 16)])
@pytest.mark.parametrize("regularization", [0.0, 0.1, 3.0])
def test_regularization_is_what_is_added_to_the_denominator(shape: tuple[int, int], regularization: float) -> None:
    deflections = np.random.default_rng(3).normal(size=(2, *shape))
    k_rows, k_columns = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None]
    denominator = 2j * math.pi * (k_columns**2 + k_rows**2) + regularization
    denominator[0, 0] = 1
    # The highest frequency of an even number of samples is neither positive nor negative.
    k_rows, k_columns = (np.where(np.abs(k) == 0.5, 0, k) for k in (k_rows, k_columns))
    columns, rows = np.fft.fft2(deflections)
    direct = np.fft.ifft2((k_columns * columns + k_rows * rows) / denominator).real

    found = integrate_phase(deflections, regularization=regularization, edges="periodic")
    np.testing.assert_allclose(found, direct, atol=1e-6 * np.abs(direct).max())


def test_regularization_damps_slow_variations_only() -> None:
    row, column = grid(64, 64)
    slow, fast = (n * 2 * math.pi / 64 * np.cos(n * 2 * math.pi / 64 * column) for n in (1, 20))
    spread = [
        np.std(integrate_phase(np.stack([wave, 0 * row]), edges="periodic", regularization=0.1)) * math.sqrt(2)
        for wave in (slow, fast)
    ]

    assert spread[0] < 0.01
    assert spread[1] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("edges", ["mirror", "periodic"])
def test_where_the_deflection_is_missing_the_phase_is_nan_and_nowhere_else(edges: Any) -> None:
    phase, gradient = periodic(24, 32)
    gradient[0, 3, 4] = np.nan
    gradient[1, 20, 30] = np.inf
    found = integrate_phase(gradient, edges=edges)

    assert np.argwhere(np.isnan(found)).tolist() == [[3, 4], [20, 30]]
    known = ~np.isnan(found)
    assert abs(found[known].mean()) < 1e-6
    assert error(found[known], phase[known]) < 0.1


def test_a_missing_deflection_counts_as_the_mean() -> None:
    _, gradient = periodic(24, 32)
    missing, filled = gradient.copy(), gradient.copy()
    missing[:, 3, 4] = np.nan
    filled[:, 3, 4] = (gradient.sum(axis=(1, 2)) - gradient[:, 3, 4]) / (24 * 32 - 1)
    difference = integrate_phase(missing) - integrate_phase(filled)

    assert np.nanstd(difference) < 1e-6


@pytest.mark.parametrize("edges", ["mirror", "periodic"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (2, 2)])
def test_the_smallest_scans_have_a_phase_of_mean_zero(edges: Any, shape: tuple[int, int]) -> None:
    found = integrate_phase(np.random.default_rng(5).normal(size=(2, *shape)).astype(np.float32), edges=edges)

    assert found.dtype == np.float32
    assert found.shape == shape
    assert abs(found.mean()) < 1e-6


def test_the_input_is_left_alone() -> None:
    gradient = np.full((2, 4, 5), np.nan)
    gradient[:, 1:] = 3.0
    before = gradient.copy()
    integrate_phase(gradient, flip=True)

    np.testing.assert_array_equal(gradient, before)


@pytest.mark.parametrize(
    ("center_of_mass", "options"),
    [
        (np.zeros((3, 4, 4)), {}),
        (np.zeros((4, 4)), {}),
        (np.full((2, 4, 4), np.nan), {}),
        (np.zeros((2, 4, 4)), {"regularization": -1.0}),
        (np.zeros((2, 4, 4)), {"rotation_deg": math.nan}),
        (np.zeros((2, 4, 4)), {"center": (0.0, math.inf)}),
        (np.zeros((2, 4, 4)), {"edges": "none"}),
    ],
)
def test_what_cannot_be_integrated_is_an_error(center_of_mass: Map, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"shape|no position|finite|mirror or periodic"):
        integrate_phase(center_of_mass, **options)


@pytest.mark.parametrize(("voltage_kv", "wavelength_pm"), [(80, 4.1757), (200, 2.5079), (300, 1.9687)])
def test_a_pixel_and_a_step_are_so_many_radian(voltage_kv: float, wavelength_pm: float) -> None:
    found = phase_per_pixel(voltage_kv=voltage_kv, mrad_per_pixel=0.5, scan_step_nm=0.02)

    assert found == pytest.approx(2 * math.pi * 0.5e-3 * 20 / wavelength_pm, rel=4e-5)


def test_calibrations_are_above_zero() -> None:
    with pytest.raises(ValueError, match="above 0"):
        phase_per_pixel(voltage_kv=300, mrad_per_pixel=0.5, scan_step_nm=0)
