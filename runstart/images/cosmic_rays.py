"""Cosmic rays in a single frame, found by their edges: sharper than any star (L.A.Cosmic, in astroscrappy).

P. G. van Dokkum, PASP 113 (2001) 1420. The frame must still have its sky: the noise is judged from it.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_float32, as_image, as_mask

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CleanedFrame", "reject_cosmic_rays"]

_LEAST_SIDE = 16  # astroscrappy's filters write outside of images of a few pixels
_SATURATION_IF_NONE = 1e30  # float32 holds it


class CleanedFrame(NamedTuple):
    """A frame with its cosmic rays replaced.

    Attributes
    ----------
    cleaned : float32[rows, columns]
        In the unit of the data; hit pixels have the mean of their good neighbours. What was NaN stays NaN.
    mask : bool[rows, columns]
        True: hit. Pixels that were masked before are not among them.
    """

    cleaned: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]


def reject_cosmic_rays(
    data: npt.ArrayLike,
    *,
    gain: float = 1.0,
    read_noise: float,
    saturation: float = math.inf,
    mask: npt.ArrayLike | None = None,
    contrast: float = 5.0,
) -> CleanedFrame:
    """Return a frame without cosmic rays, and which pixels they hit.

    Parameters
    ----------
    data : real[rows, columns]
        With its sky. At least 16 pixels along both sides.
    gain : float
        Electrons per unit of the data: 1 for a calibrated frame.
    read_noise : float
        In electrons.
    saturation : float
        Level from which pixels are full, in the unit of the data: stars that reach it are left alone.
    mask : bool or uint16[rows, columns], optional
        What is not 0 is neither judged nor used.
    contrast : float
        How much sharper than a star a cosmic ray must be; larger values spare the cores of undersampled stars.

    Raises
    ------
    Alert
        It is no image, too small, or nothing of it is good; a number is outside its range.
    """
    # Read when OpenMP is loaded: threads that spin while they wait take ten times as long on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import astroscrappy

    frame = as_image(data)
    if min(frame.shape) < _LEAST_SIDE:
        message = f"an image of {frame.shape[0]} x {frame.shape[1]} pixels is too small to find cosmic rays in."
        raise Alert(message, f"It needs {_LEAST_SIDE} pixels along both sides.")
    if not (math.isfinite(gain) and gain > 0 and math.isfinite(read_noise) and read_noise >= 0):
        message = f"the gain is {gain} and the read noise {read_noise}."
        raise Alert(message, "Check the header: the gain is above 0, the read noise not below.")
    values = as_float32(frame)
    lost = ~np.isfinite(values)
    ignored = as_mask(mask, frame.shape) | lost
    if ignored.all():
        message = "the image has no good pixel to compare with."
        raise Alert(message, "Check the frame and its mask.")
    # Not given as `inmask`: with it, hits in the pixels beside a bad column are not found.
    found, cleaned = astroscrappy.detect_cosmics(
        _fill_along_rows(values, ignored),
        gain=gain,
        readnoise=read_noise,
        satlevel=min(saturation * gain, _SATURATION_IF_NONE),
        objlim=contrast,
    )
    hit = np.asarray(found, bool) & ~ignored
    return CleanedFrame(np.where(hit, cleaned, values), hit)


def _fill_along_rows(values: npt.NDArray[np.float32], ignored: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return the image with ignored pixels interpolated from the good ones of their row, or of all the image."""
    filled = np.where(ignored, np.median(values[~ignored]), values)
    columns = np.arange(values.shape[1])
    for row in np.flatnonzero(ignored.any(axis=1) & ~ignored.all(axis=1)):
        good = ~ignored[row]
        filled[row, ~good] = np.interp(columns[~good], columns[good], values[row, good])
    return filled
