"""Calibrated axes of a scan: positions in nm, camera pixels in mrad or 1/nm, as far as the lengths are known.

A length of the calibration that is not positive and finite counts as unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runstart.frame_files import ScanHeader
from runstart.frames import Recipe, Shape, phase_per_pixel
from runstart.scans.model import ScanProduct

__all__ = [
    "Axis",
    "camera_axes",
    "electron_wavelength_nm",
    "phase_scale",
    "phase_unit",
    "reciprocal_axes",
    "scan_axes",
    "signal_unit",
]


@dataclass(frozen=True)
class Axis:
    """Evenly spaced centres of scan positions or pixels.

    Attributes
    ----------
    name : str
        `y` or `x` of the scan; `angle_y`, `reciprocal_y`, `row` and so on of the camera.
    start, step : float
        Of the first, and from one to the next.
    length : int
        How many.
    unit : str
        `nm`, `mrad`, `1/nm`, `px`, or `positions`.
    """

    name: str
    start: float
    step: float
    length: int
    unit: str

    @property
    def values(self) -> NDArray[np.float64]:
        """The centres, float64 of shape (length,)."""
        return np.asarray(self.start + self.step * np.arange(self.length), np.float64)

    @property
    def edges(self) -> tuple[float, float]:
        """Where the first begins and the last ends."""
        return self.at(-0.5), self.at(self.length - 0.5)

    @property
    def label(self) -> str:
        """Name and unit for people."""
        return f"{self.name.replace('_', ' ')} ({self.unit})"

    def at(self, index: float) -> float:
        """Return the place of an index, which may lie between two."""
        return self.start + self.step * index


def scan_axes(product: ScanProduct) -> tuple[Axis, Axis]:
    """Return the y and x axis of the scan, from its first position: in nm if the step is known, else in positions."""
    step = _known(product.header, "scan_step_nm")
    unit = "positions" if step is None else "nm"
    rows, columns = product.header.scan_shape
    return Axis("y", 0.0, step or 1.0, rows, unit), Axis("x", 0.0, step or 1.0, columns, unit)


def camera_axes(product: ScanProduct) -> tuple[Axis, Axis]:
    """Return the axes of the analysed frames, along rows' and columns' numbers.

    Returns
    -------
    tuple of Axis
        `angle_y`, `angle_x` in mrad about the centre if the angle of a pixel is known, else `row`, `column` in pixels as
        analysed, the first at 0.
    """
    mrad = _known(product.header, "mrad_per_pixel")
    rows, columns = _frame_shape(product)
    if mrad is None:
        return Axis("row", 0.0, 1.0, rows, "px"), Axis("column", 0.0, 1.0, columns, "px")
    step = mrad * product.recipe.bin_by
    row, column = product.center
    return (
        Axis("angle_y", -row * step, step, rows, "mrad"),
        Axis("angle_x", -column * step, step, columns, "mrad"),
    )


def reciprocal_axes(product: ScanProduct) -> tuple[Axis, Axis] | None:
    """Return the camera's axes as scattering vectors in 1/nm: angle over wavelength (small angles).

    Returns
    -------
    tuple of Axis or None
        `reciprocal_y`, `reciprocal_x`; None unless the angle of a pixel and the voltage are known.
    """
    voltage = _known(product.header, "voltage_kv")
    angles = camera_axes(product)
    if voltage is None or angles[0].unit != "mrad":
        return None
    scale = 1e-3 / electron_wavelength_nm(voltage)
    y, x = (
        Axis(f"reciprocal_{name}", angle.start * scale, angle.step * scale, angle.length, "1/nm")
        for name, angle in zip("yx", angles, strict=True)
    )
    return y, x


def electron_wavelength_nm(voltage_kv: float) -> float:
    """Return the wavelength of an electron in nm, relativistically: see `runstart.frames.phase_per_pixel`.

    Parameters
    ----------
    voltage_kv : float
        Acceleration voltage.

    Raises
    ------
    ValueError
        If it is not above 0.
    """
    # A phase of a full turn is 1 wavelength: what 1 mrad times 1 nm are in radians says how many nm that is.
    return 2 * math.pi * 1e-3 / phase_per_pixel(voltage_kv=voltage_kv, mrad_per_pixel=1.0, scan_step_nm=1.0)


def phase_scale(header: ScanHeader, recipe: Recipe) -> float:
    """Return the radians that one pixel as analysed times one scan position are; 1 unless all lengths are known.

    Parameters
    ----------
    header : ScanHeader
        With its calibration.
    recipe : Recipe
        Says how pixels were binned.
    """
    step, mrad, voltage = (_known(header, name) for name in ("scan_step_nm", "mrad_per_pixel", "voltage_kv"))
    if step is None or mrad is None or voltage is None:
        return 1.0
    return phase_per_pixel(voltage_kv=voltage, mrad_per_pixel=mrad * recipe.bin_by, scan_step_nm=step)


def phase_unit(header: ScanHeader) -> str:
    """Return the unit of a phase that was multiplied by `phase_scale`: `rad`, or `px * positions`."""
    wanted = ("scan_step_nm", "mrad_per_pixel", "voltage_kv")
    return "px * positions" if None in [_known(header, name) for name in wanted] else "rad"


def signal_unit(product: ScanProduct) -> str:
    """Return what a frame's values are: `electrons` if they were counted, else the camera's `counts`."""
    is_counted = product.header.is_sparse or product.recipe.counting is not None
    return "electrons" if is_counted else "counts"


def _frame_shape(product: ScanProduct) -> Shape:
    """Return the shape of the frames as they were analysed."""
    rows, columns = product.pattern.shape
    return rows, columns


def _known(header: ScanHeader, name: str) -> float | None:
    """Return a length of the calibration; None if it is unknown."""
    value = header.calibration.get(name)
    return value if value is not None and math.isfinite(value) and value > 0 else None
