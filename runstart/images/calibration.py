"""From a raw frame to electrons: bias, dark and flat taken off, with the uncertainty and the flags of each pixel.

The uncertainty follows the CCD equation (S. B. Howell, Handbook of CCD Astronomy, section 4.4): the variance of a
pixel in electrons is the light and dark current that it collected, plus the square of the read noise; divided by
the square of the flat field, plus that of the flat field itself. The noise of the master bias and dark is left out:
with ten frames and more it is below a twentieth of that of the pixel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_image, as_mask, check_same_shape
from runstart.images.bad_pixels import MaskBit
from runstart.images.masters import LEAST_FLAT

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Calibrated", "calibrate"]


class Calibrated(NamedTuple):
    """A calibrated frame.

    Attributes
    ----------
    data : float32[rows, columns]
        In electrons. Bad pixels have the value that they would have if they were good.
    uncertainty : float32[rows, columns]
        One standard deviation, in electrons; NaN where `data` is.
    mask : uint16[rows, columns]
        Bits of `MaskBit`; 0 is good.
    """

    data: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint16]


def calibrate(
    raw: npt.ArrayLike,
    *,
    bias: npt.ArrayLike | None = None,
    dark: npt.ArrayLike | None = None,
    flat: npt.ArrayLike | None = None,
    exposure_s: float = 0.0,
    gain: float = 1.0,
    read_noise: float = 0.0,
    saturation: float = math.inf,
    bad_pixels: npt.ArrayLike | None = None,
    flat_uncertainty: float = 0.0,
) -> Calibrated:
    """Return a frame in electrons, without bias and dark current, divided by the flat field.

    Parameters
    ----------
    raw : real[rows, columns]
        A frame in ADU, without overscan (see `subtract_overscan`).
    bias : real[rows, columns], optional
        Master bias in ADU.
    dark : real[rows, columns], optional
        Master dark in ADU per second.
    flat : real[rows, columns], optional
        Master flat, around 1; pixels that are NaN or below 0.05 are flagged and not divided.
    exposure_s : float
        Exposure time of the frame in seconds, for the dark.
    gain : float
        Electrons per ADU, above 0.
    read_noise : float
        Of one pixel, in electrons.
    saturation : float
        Level of `raw` in ADU from which a pixel is full; where the overscan was subtracted, that without it.
    bad_pixels : bool[rows, columns], optional
        As `find_bad_pixels` returns them.
    flat_uncertainty : float
        Relative standard deviation of a pixel of the flat field.

    Returns
    -------
    Calibrated
        Electrons, uncertainty, mask.

    Raises
    ------
    Alert
        It is no image, a master is of another shape, or a number is outside its range.
    """
    frame = as_image(raw, "the raw frame")
    check_same_shape(frame.shape, master_bias=bias, master_dark=dark, master_flat=flat, bad_pixel_mask=bad_pixels)
    _check_numbers(exposure_s, gain, read_noise, flat_uncertainty)
    signal = frame.astype(np.float64)
    mask = np.zeros(frame.shape, np.uint16)
    mask[as_mask(bad_pixels, frame.shape)] |= np.uint16(MaskBit.BAD)
    mask[signal >= saturation] |= np.uint16(MaskBit.SATURATED)
    if bias is not None:
        signal -= np.asarray(bias)
    signal *= gain
    variance = np.maximum(signal, 0)
    variance += read_noise**2
    if dark is not None:
        signal -= np.asarray(dark) * (exposure_s * gain)
    if flat is not None:
        sensitivity = np.asarray(flat, np.float64)
        known = np.isfinite(sensitivity) & (sensitivity >= LEAST_FLAT)
        mask[~known] |= np.uint16(MaskBit.NO_FLAT)
        np.divide(signal, sensitivity, out=signal, where=known)
        np.divide(variance, np.square(sensitivity, where=known, out=np.ones(frame.shape)), out=variance)
    variance += np.square(signal * flat_uncertainty)
    lost = ~np.isfinite(signal)
    mask[lost] |= np.uint16(MaskBit.NO_DATA)
    signal[lost] = np.nan
    variance[lost] = np.nan
    return Calibrated(signal.astype(np.float32), np.sqrt(variance).astype(np.float32), mask)


def _check_numbers(exposure_s: float, gain: float, read_noise: float, flat_uncertainty: float) -> None:
    ranges = {
        "exposure time": exposure_s >= 0 and math.isfinite(exposure_s),
        "gain": gain > 0 and math.isfinite(gain),
        "read noise": read_noise >= 0 and math.isfinite(read_noise),
        "uncertainty of the flat field": flat_uncertainty >= 0 and math.isfinite(flat_uncertainty),
    }
    values = (exposure_s, gain, read_noise, flat_uncertainty)
    for (name, is_right), value in zip(ranges.items(), values, strict=True):
        if not is_right:
            message = f"the {name} is {value}."
            raise Alert(message, "Check the header: it is a finite number, the gain above 0, the others not below.")
