"""Axes are calibrated as far as the lengths are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scan_products import CALIBRATION, make_product

from runstart.frames import Recipe, phase_per_pixel
from runstart.scans.axes import (
    camera_axes,
    electron_wavelength_nm,
    phase_scale,
    phase_unit,
    reciprocal_axes,
    scan_axes,
)


def without(*names: str) -> dict[str, float]:
    return {name: value for name, value in CALIBRATION.items() if name not in names}


def test_scan_axes_are_in_nm_from_the_first_position() -> None:
    y, x = scan_axes(make_product((3, 4), calibration=CALIBRATION))
    np.testing.assert_allclose(y.values, [0, 0.05, 0.1])
    np.testing.assert_allclose(x.values, [0, 0.05, 0.1, 0.15])
    assert (y.label, x.label) == ("y (nm)", "x (nm)")


def test_scan_axes_without_a_step_count_positions() -> None:
    y, x = scan_axes(make_product((3, 4), calibration=without("scan_step_nm")))
    assert (y.values.tolist(), x.values.tolist(), y.unit) == ([0, 1, 2], [0, 1, 2, 3], "positions")


@pytest.mark.parametrize("bin_by", [1, 4])
def test_camera_axes_are_angles_about_the_centre_of_pixels_as_analysed(bin_by: int) -> None:
    y, x = camera_axes(make_product(calibration=CALIBRATION, recipe=Recipe(bin_by=bin_by)))
    np.testing.assert_allclose(y.values, (np.arange(32) - 15.25) * 0.5 * bin_by)
    np.testing.assert_allclose(x.values, (np.arange(30) - 14.5) * 0.5 * bin_by)
    assert y.at(15.25) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("wrong", [None, 0.0, -1.0, np.nan, np.inf])
def test_a_length_that_is_no_length_counts_as_unknown(wrong: float | None) -> None:
    known = {**without("mrad_per_pixel"), **({} if wrong is None else {"mrad_per_pixel": wrong})}
    product = make_product(calibration=known)
    y, x = camera_axes(product)
    assert (y.name, x.name, y.unit, y.values[0], x.values[-1]) == ("row", "column", "px", 0, 29)
    assert reciprocal_axes(product) is None
    assert phase_unit(product.header) == "px * positions"
    assert phase_scale(product.header, product.recipe) == 1.0


@pytest.mark.parametrize(("kilovolts", "picometres"), [(80, 4.1757), (100, 3.7014), (200, 2.5079), (300, 1.9687)])
def test_wavelengths_are_those_of_the_textbooks(kilovolts: float, picometres: float) -> None:
    assert electron_wavelength_nm(kilovolts) * 1000 == pytest.approx(picometres, rel=3e-5)


@pytest.mark.parametrize("voltage", [0.0, -300.0, np.nan])
def test_no_voltage_has_no_wavelength(voltage: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        electron_wavelength_nm(voltage)


def test_scattering_vectors_are_angles_over_the_wavelength() -> None:
    product = make_product(calibration=CALIBRATION)
    axes = reciprocal_axes(product)
    assert axes is not None
    for reciprocal, angle in zip(axes, camera_axes(product), strict=True):
        np.testing.assert_allclose(reciprocal.values, angle.values * 1e-3 / 1.96875e-3, rtol=1e-4)
    assert reciprocal_axes(make_product(calibration=without("voltage_kv"))) is None


@pytest.mark.parametrize("missing", sorted(CALIBRATION))
def test_a_phase_is_in_radians_only_if_all_lengths_are_known(missing: str) -> None:
    product = make_product(calibration=CALIBRATION, recipe=Recipe(bin_by=2))
    assert phase_unit(product.header) == "rad"
    expected = phase_per_pixel(voltage_kv=300, mrad_per_pixel=1.0, scan_step_nm=0.05)
    assert phase_scale(product.header, product.recipe) == pytest.approx(expected)
    assert phase_unit(replace(product.header, calibration=without(missing))) == "px * positions"
