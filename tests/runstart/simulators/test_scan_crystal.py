from __future__ import annotations

import dataclasses
import datetime as dt
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runstart.frames import integrate_phase, phase_per_pixel
from runstart.simulators.scan import (
    ScanPlan,
    ScanTruth,
    simulate_scan,
    true_events,
)

PLAN = ScanPlan(
    started=dt.datetime(2026, 7, 19, 20, tzinfo=dt.UTC),
    scan_shape=(20, 24),
    frame_shape=(64, 72),
    electrons=30.0,
    xrays=0.5,
)


def changed(plan: ScanPlan, **values: Any) -> ScanPlan:
    return dataclasses.replace(plan, **values)


def truth_of(plan: ScanPlan) -> ScanTruth:
    """Return the truth of a scan that is stopped before its first frame."""
    stop = threading.Event()
    stop.set()
    with tempfile.TemporaryDirectory() as name:
        return simulate_scan(Path(name), plan, stop=stop)


@pytest.fixture(scope="module")
def truth() -> ScanTruth:
    return truth_of(PLAN)


@pytest.fixture(scope="module")
def moments() -> tuple[ScanTruth, NDArray[np.float64], NDArray[np.float64]]:
    """Truth, centre of mass of the true events, and its standard error, by (axis, position)."""
    plan = changed(PLAN, frame_shape=(128, 128), electrons=80.0)
    truth = truth_of(plan)
    events = [true_events(plan, slot) for slot in range(plan.slots)]
    centers = np.array([np.mean(np.divmod(one.astype(np.int64), 128), axis=1) for one in events]).T
    # Over a disc of radius R, an electron's row and column have the standard deviation R / 2.
    errors = truth.facts.disc_radius_px / 2 / np.sqrt([len(one) for one in events])
    return truth, centers, errors


def test_the_next_scan_has_the_same_crystal_drift_and_camera(truth: ScanTruth) -> None:
    other = truth_of(changed(PLAN, number=2))
    for name in ("phase", "is_crystal", "beam", "center", "dead_pixels"):
        np.testing.assert_array_equal(getattr(other, name), getattr(truth, name), err_msg=name)


def test_the_drift_is_the_same_in_a_vacuum_scan(truth: ScanTruth) -> None:
    other = truth_of(changed(PLAN, number=2, vacuum=1.0))
    assert not other.is_crystal.any()
    np.testing.assert_array_equal(other.center, truth.beam)


def test_over_the_vacuum_the_center_of_mass_is_the_drifting_beam(moments: Any) -> None:
    truth, centers, errors = moments
    is_vacuum = ~truth.is_crystal.reshape(-1)
    pulls = ((centers - truth.beam.reshape(2, -1)) / errors)[:, is_vacuum]
    assert is_vacuum.sum() > 100
    assert np.abs(pulls.mean(axis=1)).max() < 4 / np.sqrt(is_vacuum.sum())
    np.testing.assert_allclose(pulls.std(axis=1), 1, atol=0.15)
    assert np.ptp(truth.beam, axis=(1, 2)).max() > 1


def test_over_the_crystal_the_center_of_mass_is_deflected_as_told(moments: Any) -> None:
    truth, centers, errors = moments
    center, beam = truth.center.reshape(2, -1), truth.beam.reshape(2, -1)
    weight = 1 / errors**2
    slope = ((centers - beam) * (center - beam) * weight).sum() / ((center - beam) ** 2 * weight).sum()
    assert slope == pytest.approx(1, abs=0.1)
    assert np.abs(center - beam).max() > 3


def test_the_deflection_is_the_gradient_of_the_phase() -> None:
    plan = changed(PLAN, scan_step_nm=0.004, scan_shape=(120, 110), frame_shape=(128, 128))
    truth = truth_of(plan)
    gradient = np.stack(np.gradient(truth.phase, plan.scan_step_nm))
    expected = truth.facts.shift_px_per_radian_per_nm * gradient
    inner = np.s_[:, 1:-1, 1:-1]
    np.testing.assert_allclose((truth.center - truth.beam)[inner], expected[inner], atol=0.02)
    assert np.abs(expected).max() > 3


@pytest.mark.parametrize("kilovolts", [60.0, 300.0])
def test_the_shift_by_a_gradient_is_that_of_the_wavelength(kilovolts: float) -> None:
    facts = truth_of(changed(PLAN, voltage_kv=kilovolts)).facts
    assert facts.wavelength_nm == pytest.approx({60.0: 4.866e-3, 300.0: 1.9687e-3}[kilovolts], rel=1e-4)
    radians_per_pixel = facts.mrad_per_pixel / 1000
    expected = facts.wavelength_nm / (2 * np.pi) / radians_per_pixel
    assert facts.shift_px_per_radian_per_nm == pytest.approx(expected)


@pytest.mark.parametrize("vacuum", [0.0, 0.05, 0.5, 0.95, 1.0])
def test_the_vacuum_is_the_upper_part_of_the_scan_and_has_no_phase(vacuum: float) -> None:
    truth = truth_of(changed(PLAN, vacuum=vacuum, scan_shape=(40, 40)))
    assert np.mean(~truth.is_crystal) == pytest.approx(vacuum, abs=0.03)
    assert (np.diff(truth.is_crystal.astype(int), axis=0) >= 0).all()
    assert np.abs(truth.phase[~truth.is_crystal]).max(initial=0) < 1e-3


def test_in_the_crystal_electrons_are_diffracted_and_most_in_heavy_columns(moments: Any) -> None:
    truth, _, _ = moments
    beam, radius = truth.center.reshape(2, -1), truth.facts.disc_radius_px
    outside = []
    for slot in range(truth.plan.slots):
        row, column = np.divmod(true_events(truth.plan, slot).astype(np.int64), 128)
        outside.append(np.mean(np.hypot(row - beam[0, slot], column - beam[1, slot]) > radius + 1))
    by_position = np.array(outside).reshape(truth.plan.scan_shape)
    heavy, between = truth.phase > 0.5, truth.is_crystal & (truth.phase < 0.05)
    assert by_position[~truth.is_crystal].max() == 0
    assert by_position[heavy].mean() > 1.5 * by_position[between].mean() > 0.05


@pytest.mark.parametrize("size", [16, 32, 576])
def test_the_pattern_fits_into_small_and_large_frames(size: int) -> None:
    plan = changed(PLAN, frame_shape=(size, size), scan_shape=(8, 8), electrons=100.0, dead_pixels=4)
    truth = truth_of(plan)
    assert [len(true_events(plan, slot)) for slot in range(64)] == truth.electrons.tolist()


def test_the_phase_is_the_integral_of_the_deflection(truth: ScanTruth) -> None:
    plan = truth.plan
    scale = phase_per_pixel(
        voltage_kv=plan.voltage_kv, mrad_per_pixel=truth.facts.mrad_per_pixel, scan_step_nm=plan.scan_step_nm
    )
    phase = scale * integrate_phase((truth.center - truth.beam)[::-1], center=(0.0, 0.0))
    np.testing.assert_allclose(phase[4:-4, 4:-4], (truth.phase - truth.phase.mean())[4:-4, 4:-4], atol=0.02)
