"""The crystal under the beam: its phase, and where it puts the beam and the discs of diffraction on the camera.

Seen along its axis it is a square lattice with a heavy atomic column in each corner and a light one in each middle. An
atomic column adds a Gaussian to the phase of the electrons. Its gradient deflects them by `wavelength / 2 pi` times
radians per nanometre, as an angle in radians: the camera sees the whole pattern shifted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.simulators._randomness import generator
from runstart.simulators.scan_plan import ScanPlan

LATTICE_NM = 0.39
COLUMN_SIGMA_NM = 0.06
_LIGHT = 0.6  # phase of a light column, against a heavy one
_ROTATION = math.radians(12.0)
_REACH = 4.0  # widths of a column from which on it is taken as nothing
_DISC = 0.16  # radius of the direct beam, in frames
_OFFSET = (0.006, -0.008)  # of the beam from the middle of the camera, in frames
_DRIFT = 0.024
_CURVATURE = 0.15  # of the drift, against its plane
_STRAY = (
    0.25,
    0.35,
)  # part of the electrons that is diffracted: anywhere in the crystal, and more in heavy columns
_EDGE_SLANT = 0.1  # rise and fall of the edge about its middle, in scans


@dataclass(frozen=True)
class Crystal:
    """What the electrons meet at each scan position. Lengths on the camera are in pixels, (row, column).

    Attributes
    ----------
    phase : ndarray of float64, shape (scan_rows, scan_columns)
        Radians.
    is_crystal : ndarray of bool, shape (scan_rows, scan_columns)
        False in the vacuum.
    beam : ndarray of float64, shape (2, scan_rows, scan_columns)
        Where the beam would be without a crystal: it drifts.
    center : ndarray of float64, shape (2, scan_rows, scan_columns)
        Where the middle of the pattern is: the expected centre of mass.
    diffracted : ndarray of float64, shape (scan_rows, scan_columns)
        Part of the electrons outside of the direct beam.
    disc_radius : float
        Of every disc.
    reflections : ndarray of float64, shape (8, 2)
        Middles of the diffracted discs, from the middle of the pattern; all get equally many electrons.
    """

    phase: NDArray[np.float64]
    is_crystal: NDArray[np.bool_]
    beam: NDArray[np.float64]
    center: NDArray[np.float64]
    diffracted: NDArray[np.float64]
    disc_radius: float
    reflections: NDArray[np.float64]


def wavelength_nm(voltage_kv: float) -> float:
    """Return the wavelength of electrons in nanometres.

    Relativistic: `h / sqrt(2 m e V (1 + e V / 2 m c^2))`, as in Reimer and Kohl, Transmission Electron Microscopy.
    """
    volts = voltage_kv * 1e3
    return 1.226426 / math.sqrt(volts * (1 + 0.978476e-6 * volts))


def disc_radius_px(plan: ScanPlan) -> float:
    """Return the radius of the direct beam on the camera."""
    return _DISC * min(plan.frame_shape)


def mrad_per_pixel(plan: ScanPlan) -> float:
    """Return the angle that a pixel subtends: the beam converges so that (2, 0) lies on the rim of its disc."""
    return 2 * wavelength_nm(plan.voltage_kv) / LATTICE_NM * 1e3 / disc_radius_px(plan)


def shift_per_gradient(plan: ScanPlan) -> float:
    """Return the shift of the pattern in pixels by a phase gradient of 1 radian per nanometre."""
    return wavelength_nm(plan.voltage_kv) / (2 * math.pi) * 1e3 / mrad_per_pixel(plan)


def make_crystal(plan: ScanPlan) -> Crystal:
    """Return what the electrons of a scan meet.

    Raises
    ------
    Alert
        The pattern would leave the camera.
    """
    phase, gradient = _phase(plan)
    beam = _beam(plan)
    center = beam + shift_per_gradient(plan) * gradient
    radius = disc_radius_px(plan)
    reflections = _reflections(radius)
    _check_pattern_fits(plan, center, radius + float(np.abs(reflections).max()))
    is_crystal = _depth_nm(plan, *_positions_nm(plan)) > 0
    height = phase / plan.phase_rad if plan.phase_rad else np.zeros_like(phase)
    return Crystal(
        phase=phase,
        is_crystal=is_crystal,
        beam=beam,
        center=center,
        diffracted=np.where(is_crystal, _STRAY[0] + _STRAY[1] * np.clip(height, 0, 1), 0.0),
        disc_radius=radius,
        reflections=reflections,
    )


def _positions_nm(plan: ScanPlan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return y, of one column, and x, of one row: the middles of the scan positions."""
    rows, columns = plan.scan_shape
    y = (np.arange(rows, dtype=np.float64)[:, None] + 0.5) * plan.scan_step_nm
    x = (np.arange(columns, dtype=np.float64)[None, :] + 0.5) * plan.scan_step_nm
    return y, x


def _depth_nm(plan: ScanPlan, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far behind the crystal's edge places are; negative in the vacuum, which a vacuum scan never leaves."""
    if plan.vacuum == 1:
        return np.full(np.broadcast_shapes(y.shape, x.shape), -np.inf)
    height, width = (length * plan.scan_step_nm for length in plan.scan_shape)
    rise = height * min(_EDGE_SLANT, plan.vacuum, 1 - plan.vacuum)
    edge = height * plan.vacuum + rise * (2 * x / width - 1)
    return (y - edge) / math.hypot(1, 2 * rise / width)


def _phase(plan: ScanPlan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the phase in radians, and its gradient (along rows down, along columns right) in radians per nanometre."""
    y, x = _positions_nm(plan)
    phase = np.zeros(plan.scan_shape)
    gradient = np.zeros((2, *plan.scan_shape))
    cos, sin = math.cos(_ROTATION), math.sin(_ROTATION)
    along, across = (cos * x + sin * y) / LATTICE_NM, (cos * y - sin * x) / LATTICE_NM
    # Of each kind, the four columns around a place: any other is further away than a lattice constant.
    for offset, peak in ((0.0, plan.phase_rad), (0.5, _LIGHT * plan.phase_rad)):
        for i in (0, 1):
            for j in (0, 1):
                u, v = np.floor(along - offset) + offset + i, np.floor(across - offset) + offset + j
                atom_y, atom_x = LATTICE_NM * (sin * u + cos * v), LATTICE_NM * (cos * u - sin * v)
                is_there = _depth_nm(plan, atom_y, atom_x) >= _REACH * COLUMN_SIGMA_NM
                dy, dx = y - atom_y, x - atom_x
                added = np.where(is_there, peak * np.exp(-(dy**2 + dx**2) / (2 * COLUMN_SIGMA_NM**2)), 0.0)
                phase += added
                gradient[0] -= added * dy / COLUMN_SIGMA_NM**2
                gradient[1] -= added * dx / COLUMN_SIGMA_NM**2
    return phase, gradient


def _beam(plan: ScanPlan) -> NDArray[np.float64]:
    """Return where the undeflected beam is: a plane with a slight curvature, the same for all scans of a seed."""
    rows, columns = plan.scan_shape
    size = min(plan.frame_shape)
    drift = _DRIFT * size if plan.drift_px is None else plan.drift_px
    angle = generator("scan drift", plan.seed).uniform(0, 2 * math.pi)
    down = (np.arange(rows)[:, None] + 0.5) / rows - 0.5
    right = (np.arange(columns)[None, :] + 0.5) / columns - 0.5
    # The slow axis is time; a row's flyback leaves a little along the fast one.
    slow = down + _CURVATURE * (4 * down**2 - 1 / 3)
    fast = 0.2 * right
    middle = [(length - 1) / 2 + offset * size for length, offset in zip(plan.frame_shape, _OFFSET, strict=True)]
    return np.stack(
        [
            middle[0] + drift * (math.cos(angle) * slow - math.sin(angle) * fast),
            middle[1] + drift * (math.sin(angle) * slow + math.cos(angle) * fast),
        ]
    )


def _reflections(radius: float) -> NDArray[np.float64]:
    """Return the middles of the discs (2, 0), (2, 2) and their like: a radius away, and a diagonal."""
    cos, sin = math.cos(_ROTATION), math.sin(_ROTATION)
    orders = [(h, k) for h in (-1, 0, 1) for k in (-1, 0, 1) if (h, k) != (0, 0)]
    return radius * np.array([(sin * h + cos * k, cos * h - sin * k) for h, k in orders])


def _check_pattern_fits(plan: ScanPlan, center: NDArray[np.float64], reach: float) -> None:
    for axis, length in enumerate(plan.frame_shape):
        first, last = center[axis].min(), center[axis].max()
        if first < reach or last > length - 1 - reach:
            raise Alert(
                f"The pattern would leave the frame: its middle goes from {first:.1f} to {last:.1f} of {length} pixels "
                f"and it reaches {reach:.1f} to either side.",
                "Choose a smaller drift or phase.",
            )
