"""From the bytes of a FITS image to numbers: byte order, BZERO, BSCALE and BLANK.

Float32, float64 and uint16 by BZERO, which is nearly every image, are compiled; the first two and uint16 that
stays uint16 are turned around in place.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from runstart.images._fits_layout import ImageLayout
from runstart.images._networks import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

_SIGN_16 = np.uint16(0x8000)


def is_decoded_in_place(layout: ImageLayout, dtype: np.dtype[Any]) -> bool:
    """Return whether `decode_in_place` can make values of a dtype from a file's bytes."""
    if sys.byteorder != "little" or layout.stored.is_compressed or layout.dtype != dtype:
        return False
    if layout.stored.bitpix < 0:
        return not layout.is_scaled
    return dtype == np.uint16


def decode_in_place(values: npt.NDArray[Any]) -> None:
    """Turn the bytes of a file into values where they lie.

    Parameters
    ----------
    values : float32, float64 or uint16[pixels]
        Contiguous; holds the bytes as they were read.
    """
    if values.dtype == np.float32:
        _swap_4(values.view(np.uint32))
    elif values.dtype == np.float64:
        _swap_8(values.view(np.uint64))
    else:
        _swap_2_and_flip(values.view(np.uint16))


def decode(raw: npt.NDArray[Any], layout: ImageLayout, out: npt.NDArray[Any]) -> None:
    """Write the values that stored ones mean.

    Parameters
    ----------
    raw : real[rows, columns]
        Stored values, in any byte order.
    layout : ImageLayout
        Says how they are scaled.
    out : real[rows, columns]
        Of a dtype that holds `layout.dtype`.
    """
    if layout.is_offset:
        # The other signedness is the other sign bit.
        bits = raw.astype(raw.dtype.newbyteorder("="), copy=False).view(f"u{raw.dtype.itemsize}")
        if bits.dtype == np.uint16 and out.dtype == np.float32:
            _flip_to_float(bits, out)
        else:
            sign = bits.dtype.type(1 << (8 * raw.dtype.itemsize - 1))
            out[...] = (bits ^ sign).view(layout.dtype)
        return
    if not layout.is_scaled:
        out[...] = raw
        return
    # In the precision of the meant type, as astropy scales.
    values = raw.astype(layout.dtype)
    if layout.stored.scale != 1:
        values *= layout.stored.scale
    if layout.stored.zero != 0:
        values += layout.stored.zero
    if layout.stored.blank is not None:
        values[raw == layout.stored.blank] = np.nan
    out[...] = values


@compiled
def _swap_4(words: npt.NDArray[np.uint32]) -> None:
    for i in range(words.size):
        w = words[i]
        words[i] = (
            ((w >> np.uint32(24)) & np.uint32(0xFF))
            | ((w >> np.uint32(8)) & np.uint32(0xFF00))
            | ((w << np.uint32(8)) & np.uint32(0xFF0000))
            | (w << np.uint32(24))
        )


@compiled
def _swap_8(words: npt.NDArray[np.uint64]) -> None:
    low = np.uint64(0x00FF00FF00FF00FF)
    pairs = np.uint64(0x0000FFFF0000FFFF)
    for i in range(words.size):
        w = words[i]
        w = ((w >> np.uint64(8)) & low) | ((w & low) << np.uint64(8))
        w = ((w >> np.uint64(16)) & pairs) | ((w & pairs) << np.uint64(16))
        words[i] = (w >> np.uint64(32)) | (w << np.uint64(32))


@compiled
def _swap_2_and_flip(words: npt.NDArray[np.uint16]) -> None:
    for i in range(words.size):
        w = words[i]
        words[i] = np.uint16(((w >> np.uint16(8)) | (w << np.uint16(8))) ^ _SIGN_16)


@compiled
def _flip_to_float(words: npt.NDArray[np.uint16], out: npt.NDArray[np.float32]) -> None:
    for r in range(words.shape[0]):
        row = words[r]
        to = out[r]
        for i in range(row.size):
            to[i] = np.float32(row[i] ^ _SIGN_16)
