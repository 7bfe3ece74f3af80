"""Differential phase contrast: the phase whose gradient is the measured deflection of the beam.

Where a thin sample shifts the phase of the electron wave by `phase(x, y)`, the beam is deflected in proportion to its
gradient (K. Müller et al., Nature Communications 5, 5653, 2014; I. Lazić, E. G. T. Bosch and S. Lazar, Ultramicroscopy
160, 265, 2016). With `k` the spatial frequencies in cycles per scan step, and `d` the deflections, least squares gives

    F(phase) = (k_column F(d_column) + k_row F(d_row)) / (2 pi i (k_column^2 + k_row^2))

and the mean of the phase is free: here it is 0.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_PLANCK = 6.62607015e-34  # J s; these four are exact or CODATA 2022
_ELECTRON_MASS = 9.1093837139e-31  # kg
_ELECTRON_CHARGE = 1.602176634e-19  # C
_LIGHT_SPEED = 299792458.0  # m/s


def integrate_phase(
    center_of_mass: NDArray[Any],
    *,
    rotation_deg: float = 0.0,
    flip: bool = False,
    regularization: float = 0.0,
    center: tuple[float, float] | None = None,
    edges: Literal["mirror", "periodic"] = "mirror",
) -> NDArray[np.float32]:
    """Return the phase of each scan position, `(rows, columns)`, of mean 0 and NaN where the deflection is not known.

    It is in detector pixels times scan steps; times `phase_per_pixel` it is in radian.

    Parameters
    ----------
    center_of_mass : ndarray, shape (2, rows, columns)
        Mean column and mean row of each scan position, as `center_of_mass_map` returns them. Where one is NaN, the
        mean of the map is taken for the integration.
    rotation_deg : float, optional
        The angle by which deflections are turned, from the column axis towards the row axis, to be along the axes of
        the scan. An instrument's, to be calibrated; by default the axes of detector and scan are the same.
    flip : bool, optional
        Whether the detector's rows run against those of the scan: the row deflection changes its sign before the turn.
    regularization : float, optional
        Damps slow variations, which noise makes most of: a spatial frequency of `k` cycles per scan step is multiplied
        by `q^2 / (q^2 + regularization^2)`, where `q = 2 pi k^2`. That is what adding it to the denominator above
        amounts to. By default 0: the gradient of the phase is what was measured.
    center : tuple of float, optional
        (row, column) of the undeflected beam. By default the mean of the map, which leaves no overall slope.
    edges : {"mirror", "periodic"}, optional
        "mirror" continues the sample beyond the edges of the scan as its mirror image, which any sample can be;
        "periodic" takes the left edge for the continuation of the right one, and knows no overall slope.

    Raises
    ------
    ValueError
        If the map has another shape, no deflection is known, or a parameter is out of range.
    """
    if center_of_mass.ndim != 3 or len(center_of_mass) != 2:
        raise ValueError(f"centres of mass are of shape (2, rows, columns), not {center_of_mass.shape}")
    if not (math.isfinite(rotation_deg) and math.isfinite(regularization) and regularization >= 0):
        raise ValueError("rotation_deg is finite, regularization is finite and not negative")
    is_known = np.isfinite(center_of_mass).all(axis=0)
    if not is_known.any():
        raise ValueError("no position has a centre of mass")
    columns, rows = _deflections(center_of_mass, is_known, center)
    columns, rows = _turn(columns, rows, rotation_deg, flip)
    if edges == "mirror":
        phase = _integrate(_mirror(columns, odd_axis=1), _mirror(rows, odd_axis=0), regularization)
        phase = phase[: columns.shape[0], : columns.shape[1]]
    elif edges == "periodic":
        phase = _integrate(columns, rows, regularization)
    else:
        raise ValueError(f"edges are mirror or periodic, not {edges!r}")
    return np.where(is_known, phase - phase[is_known].mean(), np.nan).astype(np.float32)


def phase_per_pixel(*, voltage_kv: float, mrad_per_pixel: float, scan_step_nm: float) -> float:
    """Return the radians that one detector pixel times one scan step are: `2 pi angle step / wavelength`.

    Parameters
    ----------
    voltage_kv : float
        Acceleration voltage; the wavelength is relativistic (300 kV: 1.97 pm).
    mrad_per_pixel : float
        Angle between neighbouring pixels of the detector.
    scan_step_nm : float
        Distance of neighbouring scan positions.

    Raises
    ------
    ValueError
        If one is not above 0.
    """
    if not (voltage_kv > 0 and mrad_per_pixel > 0 and scan_step_nm > 0):
        raise ValueError("voltage_kv, mrad_per_pixel and scan_step_nm are above 0")
    energy = _ELECTRON_CHARGE * voltage_kv * 1e3
    momentum = math.sqrt(2 * _ELECTRON_MASS * energy + (energy / _LIGHT_SPEED) ** 2)
    return 2 * math.pi * mrad_per_pixel * 1e-3 * scan_step_nm * 1e-9 * momentum / _PLANCK


def _deflections(
    center_of_mass: NDArray[Any], is_known: NDArray[np.bool_], center: tuple[float, float] | None
) -> NDArray[np.float64]:
    deflections = center_of_mass.astype(np.float64)
    means = deflections[:, is_known].mean(axis=1)
    deflections[:, ~is_known] = means[:, None]
    origin = means if center is None else np.array(center[::-1], np.float64)
    if not np.isfinite(origin).all():
        raise ValueError(f"the centre {center} is not finite")
    shifted: NDArray[np.float64] = deflections - origin[:, None, None]
    return shifted


def _turn(
    columns: NDArray[np.float64], rows: NDArray[np.float64], rotation_deg: float, flip: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cosine, sine = math.cos(math.radians(rotation_deg)), math.sin(math.radians(rotation_deg))
    if flip:
        rows = -rows
    return cosine * columns - sine * rows, sine * columns + cosine * rows


def _mirror(values: NDArray[np.float64], odd_axis: int) -> NDArray[np.float64]:
    """Return a derivative along an axis on and beyond the edges where the function itself is mirrored."""
    for axis in (0, 1):
        image = np.flip(values, axis)
        values = np.concatenate([values, -image if axis == odd_axis else image], axis)
    return values


def _integrate(
    columns: NDArray[np.float64], rows: NDArray[np.float64], regularization: float
) -> NDArray[np.float64]:
    k_rows = np.fft.fftfreq(columns.shape[0])[:, None]
    k_columns = np.fft.rfftfreq(columns.shape[1])[None]
    q = 2 * math.pi * (k_columns**2 + k_rows**2)
    # The highest frequency of an even number of samples has no sign, hence no slope.
    slopes = [np.where(np.abs(k) == 0.5, 0.0, k) for k in (k_columns, k_rows)]
    numerator = slopes[0] * np.fft.rfft2(columns) + slopes[1] * np.fft.rfft2(rows)
    # The frequency 0 is the mean, which is free.
    numerator[0, 0], q[0, 0] = 0.0, 1.0
    numerator *= -1j * q / (q**2 + regularization**2)
    return np.fft.irfft2(numerator, s=columns.shape)
