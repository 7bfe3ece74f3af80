"""Beam compensation: the shifts that keep the beam where it is on average, from a scan without a sample."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runstart.frames.model import Shape


def beam_shifts(
    vacuum_center_of_mass: NDArray[Any],
    scan_shape: Shape,
    method: Literal["interpolate", "plane"] = "interpolate",
) -> NDArray[np.int32]:
    """Return the rows and columns by which the content of each scan position's frames is to be moved, `(positions, 2)`.

    They are `-round(beam - mean beam)`, rounded half to even, where the beam's place is taken from a scan of vacuum over
    the same field of view: its first and last positions are those of the scan, whatever the numbers of positions.

    Parameters
    ----------
    vacuum_center_of_mass : ndarray, shape (2, rows, columns)
        Mean column and mean row of each position of the vacuum scan, in pixels of the frames as they are analysed, as
        `center_of_mass_map` returns them; NaN where not known.
    scan_shape : tuple of int
        Rows and columns of the scan that is to be compensated.
    method : {"interpolate", "plane"}, optional
        "interpolate" follows the vacuum scan, bilinearly between its positions; where it is not known, the plane
        stands in. "plane" takes the plane that fits it best (least squares), which is proof against noise.

    Raises
    ------
    ValueError
        If the map has another shape, nothing of it is known, or there is no such method.
    """
    if vacuum_center_of_mass.ndim != 3 or len(vacuum_center_of_mass) != 2:
        raise ValueError(f"centres of mass are of shape (2, rows, columns), not {vacuum_center_of_mass.shape}")
    if min(scan_shape) < 1:
        raise ValueError(f"a scan of {scan_shape[0]} x {scan_shape[1]} has no positions")
    if method not in ("interpolate", "plane"):
        raise ValueError(f"the method is interpolate or plane, not {method!r}")
    shifts = np.empty((scan_shape[0] * scan_shape[1], 2), np.int32)
    columns, rows = vacuum_center_of_mass.astype(np.float64)
    for axis, vacuum in enumerate((rows, columns)):
        beam = _resample(_fill(vacuum, keep_known=method == "interpolate"), scan_shape)
        shifts[:, axis] = -np.rint(beam - beam.mean()).ravel()
    return shifts


def _fill(vacuum: NDArray[np.float64], *, keep_known: bool) -> NDArray[np.float64]:
    """Return the plane that fits the known values best; where they are to be kept, with these."""
    is_known = np.isfinite(vacuum)
    if not is_known.any():
        raise ValueError("no position of the vacuum scan has a centre of mass")
    if keep_known and is_known.all():
        return vacuum
    places = np.indices(vacuum.shape, np.float64)
    # About their middle, so that values on one line, or a single one, tilt the plane no further than they say.
    places -= places[:, is_known].mean(axis=1)[:, None, None]
    level = vacuum[is_known].mean()
    slopes = np.linalg.lstsq(places[:, is_known].T, vacuum[is_known] - level)[0]
    plane: NDArray[np.float64] = level + np.tensordot(slopes, places, 1)
    return np.where(is_known, vacuum, plane) if keep_known else plane


def _resample(values: NDArray[np.float64], shape: Shape) -> NDArray[np.float64]:
    """Return values interpolated linearly along both axes, from end to end."""
    for axis, size in enumerate(shape):
        at = np.linspace(0, values.shape[axis] - 1, size)
        below = np.floor(at).astype(np.intp)
        above = np.minimum(below + 1, values.shape[axis] - 1)
        weight = np.expand_dims(at - below, 1 - axis)
        values = values.take(below, axis) * (1 - weight) + values.take(above, axis) * weight
    return values
