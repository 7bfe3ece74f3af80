"""The electronic level of a detector, read in its overscan and subtracted from its light-sensitive part.

An overscan beside the data (it spans their rows) gives a level per row: the median over the columns, then smoothed
along the rows by a running median and a running mean of 31 rows, because a level of ten pixels would add its own
noise to every pixel of the row. An overscan above or below the data gives a level per column likewise. One that
does neither gives one level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runstart.errors import Alert
from runstart.images._checks import as_image
from runstart.images.quality import robust_noise
from runstart.images.sections import Section, parse_section

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Overscan", "subtract_overscan"]

_SMOOTH = 31  # rows


class Overscan(NamedTuple):
    """An image without its electronic level.

    Attributes
    ----------
    image : float32[rows, columns]
        The data section, in the unit of the raw frame.
    level : float
        Median of the subtracted level.
    noise : float
        Standard deviation of a pixel of the overscan around that level: the read noise in that unit.
    """

    image: npt.NDArray[np.float32]
    level: float
    noise: float


def subtract_overscan(raw: npt.ArrayLike, bias_section: str | Section, data_section: str | Section) -> Overscan:
    """Return the data section of a raw frame without the level of its overscan.

    Parameters
    ----------
    raw : real[rows, columns]
        A raw frame, in ADU as a rule.
    bias_section, data_section : str or tuple of slice
        As in a FITS header (BIASSEC, and DATASEC or TRIMSEC), or slices of rows and columns.

    Raises
    ------
    Alert
        It is no image, a section is wrong, or the overscan has no finite value.
    """
    from scipy.ndimage import median_filter, uniform_filter1d

    array = as_image(raw, "the raw frame")
    bias_rows, bias_columns = _slices(bias_section, array.shape)
    data_rows, data_columns = _slices(data_section, array.shape)
    strip = array[bias_rows, bias_columns].astype(np.float64)
    strip[~np.isfinite(strip)] = np.nan
    if np.isnan(strip).all():
        message = f"the overscan {_text(bias_section)} has no finite value."
        raise Alert(message, "Check BIASSEC in the header.")
    data = array[data_rows, data_columns].astype(np.float64)
    if _spans(bias_rows, data_rows):
        axis, start, stop = 1, data_rows.start - bias_rows.start, data_rows.stop - bias_rows.start
    elif _spans(bias_columns, data_columns):
        axis, start, stop = 0, data_columns.start - bias_columns.start, data_columns.stop - bias_columns.start
    else:
        level = np.float64(np.nanmedian(strip))
        return Overscan((data - level).astype(np.float32), float(level), robust_noise(strip - level))
    rough = _medians(strip, axis)
    smooth = uniform_filter1d(median_filter(rough, _SMOOTH, mode="nearest"), _SMOOTH, mode="nearest")
    noise = robust_noise(strip - np.expand_dims(smooth, axis))
    profile = smooth[start:stop]
    image = (data - np.expand_dims(profile, axis)).astype(np.float32)
    return Overscan(image, float(np.median(profile)), noise)


def _medians(strip: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
    """Return the median along an axis; that of the whole strip where nothing is finite."""
    empty = np.isnan(strip).all(axis=axis)
    levels = np.full(empty.shape, np.nanmedian(strip))
    levels[~empty] = np.nanmedian(np.compress(~empty, strip, axis=1 - axis), axis=axis)
    return levels


def _spans(outer: slice, inner: slice) -> bool:
    return bool(outer.start <= inner.start and inner.stop <= outer.stop)


def _slices(section: str | Section, shape: tuple[int, ...]) -> Section:
    """Return slices with both ends, inside the image and not empty."""
    rows, columns = shape
    if isinstance(section, str):
        return parse_section(section, (rows, columns))
    slices = tuple(slice(*part.indices(n)) for part, n in zip(section, shape, strict=True))
    if any(part.step != 1 or part.start >= part.stop for part in slices):
        message = f"the section {_text(section)} is empty in an image of {columns} columns and {rows} rows."
        raise Alert(message, "Give slices inside the image.")
    return slices[0], slices[1]


def _text(section: str | Section) -> str:
    if isinstance(section, str):
        return section.strip()
    rows, columns = section
    return f"[rows {rows.start}:{rows.stop}, columns {columns.start}:{columns.stop}]"
