"""What the bytes of an image in a FITS file mean as numpy arrays; where they lie is told by `runstart.fits`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from runstart.fits import StoredPixels, locate_image, stored_pixels

_RAW_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_OFFSETS = {8: -128.0, 16: 2.0**15, 32: 2.0**31, 64: 2.0**63}
_OFFSET_DTYPES = {8: "i1", 16: "u2", 32: "u4", 64: "u8"}


@dataclass(frozen=True)
class ImageLayout:
    """A two-dimensional image in a FITS file.

    Attributes
    ----------
    path : Path
        The file.
    hdu : int
        Index of the HDU.
    rows, columns : int
        NAXIS2 and NAXIS1.
    offset : int
        Byte where the data begins.
    stored : StoredPixels
        How the values are stored.
    """

    path: Path
    hdu: int
    rows: int
    columns: int
    offset: int
    stored: StoredPixels

    @cached_property
    def row_bytes(self) -> int:
        """Of a stored row, if not compressed."""
        return self.columns * self.raw_dtype.itemsize

    @property
    def raw_dtype(self) -> np.dtype[Any]:
        """Type of the stored values, big-endian."""
        return np.dtype(_RAW_DTYPES[self.stored.bitpix])

    @property
    def is_offset(self) -> bool:
        """Whether BZERO only says that integers have the other signedness."""
        bitpix, blank = self.stored.bitpix, self.stored.blank
        return bitpix > 0 and blank is None and self.stored.scale == 1 and self.stored.zero == _OFFSETS[bitpix]

    @property
    def is_scaled(self) -> bool:
        """Whether the stored values are not those that are meant."""
        return not (self.stored.scale == 1 and self.stored.zero == 0 and self.stored.blank is None)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values that are meant: what scales and blanks need, as astropy chooses it."""
        bitpix = self.stored.bitpix
        if self.is_offset:
            return np.dtype(_OFFSET_DTYPES[bitpix])
        if bitpix < 0 or not self.is_scaled:
            return self.raw_dtype.newbyteorder("=")
        return np.dtype(np.float32 if bitpix <= 16 else np.float64)


def find_layout(path: str | os.PathLike[str]) -> ImageLayout:
    """Return the layout of a file's image; alerts name the file by its path.

    Parameters
    ----------
    path : str or os.PathLike
        A FITS file.

    Raises
    ------
    Alert, Transient
        As `runstart.fits.locate_image` and `stored_pixels`.
    """
    path = Path(path)
    hdu = locate_image(path, label=str(path))
    rows, columns = hdu.shape
    return ImageLayout(path, hdu.index, rows, columns, hdu.data_offset, stored_pixels(hdu, str(path)))
