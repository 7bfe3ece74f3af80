"""Where the image lies in a FITS file, from the headers alone: HDUs are skipped, no data is read.

The image is the HDU named SCI if there is one, else the first HDU with two-dimensional data; a compressed image
(fpack) is an image like any other. FITS standard 4.0, sections 3 (organisation), 4 (headers), 5.3 (scaling) and
10.1 (compressed images).
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from runstart.errors import Alert, Transient

_BLOCK = 2880
_CARD = 80
_LONGEST_HEADER = 32 * 2**20
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE}
_RAW_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_OFFSETS = {8: -128.0, 16: 2.0**15, 32: 2.0**31, 64: 2.0**63}
_OFFSET_DTYPES = {8: "i1", 16: "u2", 32: "u4", 64: "u8"}
_AGAIN = "Fetch or write the file again."

Cards = dict[str, str | int | float | bool]


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
    bitpix : int
        Of the stored values.
    scale, zero : float
        BSCALE and BZERO.
    blank : int or None
        Stored value that means NaN.
    offset : int
        Byte where the data begins.
    is_compressed : bool
        In tiles, by fpack.
    tile_rows : int
        Rows of a tile; 1 if not compressed.
    """

    path: Path
    hdu: int
    rows: int
    columns: int
    bitpix: int
    scale: float
    zero: float
    blank: int | None
    offset: int
    is_compressed: bool
    tile_rows: int

    @cached_property
    def row_bytes(self) -> int:
        """Of a stored row, if not compressed."""
        return self.columns * self.raw_dtype.itemsize

    @property
    def raw_dtype(self) -> np.dtype[Any]:
        """Type of the stored values, big-endian."""
        return np.dtype(_RAW_DTYPES[self.bitpix])

    @property
    def is_offset(self) -> bool:
        """Whether BZERO only says that integers have the other signedness."""
        return self.bitpix > 0 and self.blank is None and self.scale == 1 and self.zero == _OFFSETS[self.bitpix]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values that are meant: what scales and blanks need, as astropy chooses it."""
        if self.bitpix < 0:
            return self.raw_dtype.newbyteorder("=")
        if self.is_offset:
            return np.dtype(_OFFSET_DTYPES[self.bitpix])
        if self.scale == 1 and self.zero == 0 and self.blank is None:
            return self.raw_dtype.newbyteorder("=")
        return np.dtype(np.float32 if self.bitpix <= 16 else np.float64)


def find_image(path: str | os.PathLike[str]) -> ImageLayout:
    """Return where the image lies.

    Parameters
    ----------
    path : str or os.PathLike
        A FITS file.

    Raises
    ------
    Alert
        There is no such file, it is no FITS file, it has no image of two dimensions, or it ends before its image.
    Transient
        The file system does not answer.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _find(path, file)
    except OSError as error:
        raise reported(path, error) from error


def reported(path: Path, error: OSError) -> Alert | Transient:
    """Return what the user, or the world, can do about what the file system says."""
    if isinstance(error, FileNotFoundError):
        return Alert(f"{path}: there is no such file.", "Check the name, or fetch the file.")
    if error.errno in _PASSING:
        return Transient(f"{path}: cannot be read now ({error.strerror}).")
    return Alert(f"{path}: cannot be read ({error.strerror or error}).", "Give a FITS file that can be read.")


def _find(path: Path, file: BinaryIO) -> ImageLayout:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise Alert(f"{path}: the file is empty (0 bytes).", _AGAIN)
    layout = _choose(path, file, size)
    if layout.offset + _stored_bytes(path, file, layout) > size:
        raise Alert(f"{path}: the file is truncated: it ends before its image does.", _AGAIN)
    return layout


def _choose(path: Path, file: BinaryIO, size: int) -> ImageLayout:
    chosen: ImageLayout | None = None
    other_dimensions = 0
    for hdu, cards, offset in _headers(path, file, size):
        axes = _axes(path, cards)
        is_science = cards.get("EXTNAME", "") == "SCI"
        if axes and len(axes) != 2:
            other_dimensions = other_dimensions or len(axes)
            if is_science:
                chosen = None
                break
        elif axes and (is_science or chosen is None):
            chosen = _layout(path, hdu, cards, axes, offset)
        if is_science:
            break
    if chosen is not None:
        return chosen
    if other_dimensions:
        raise Alert(
            f"{path}: the image has {other_dimensions} dimensions, not 2.",
            "Give one image for each file, or cut the planes out first.",
        )
    raise Alert(f"{path}: there is no image in this file.", "Give a FITS file with an image in it.")


def _headers(path: Path, file: BinaryIO, size: int) -> Iterator[tuple[int, Cards, int]]:
    """Yield index, cards and data offset of each HDU until the file ends or something else than HDUs follows."""
    position = 0
    hdu = 0
    while position < size:
        file.seek(position)
        start = file.read(_CARD)
        if hdu == 0 and not start.startswith(b"SIMPLE  ="):
            packed = start.startswith(b"\x1f\x8b")
            remedy = "Unpack it with gunzip first." if packed else "Give FITS files only."
            raise Alert(f"{path}: this is not a FITS file.", remedy)
        if hdu and not start.startswith(b"XTENSION="):
            return
        file.seek(position)
        cards, length = _read_header(path, file)
        yield hdu, cards, position + length
        position += length + -(-_data_bytes(path, cards) // _BLOCK) * _BLOCK
        hdu += 1


def _read_header(path: Path, file: BinaryIO) -> tuple[Cards, int]:
    cards: Cards = {}
    length = 0
    while length < _LONGEST_HEADER:
        block = file.read(_BLOCK)
        if len(block) < _BLOCK:
            break
        length += _BLOCK
        for start in range(0, _BLOCK, _CARD):
            keyword = block[start : start + 8]
            if keyword == b"END     ":
                return cards, length
            if block[start + 8 : start + 10] == b"= ":
                name = keyword.decode("latin-1").rstrip()
                cards.setdefault(name, _value(block[start + 10 : start + _CARD].decode("latin-1")))
    raise Alert(f"{path}: the file is truncated, or not FITS: a header has no end.", _AGAIN)


def _value(text: str) -> str | int | float | bool:
    text = text.strip()
    if text.startswith("'"):
        return text[1:].replace("''", "\0").partition("'")[0].replace("\0", "'").strip()
    text = text.partition("/")[0].strip()
    if text in ("T", "F"):
        return text == "T"
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text.replace("D", "E"))
    return text


def _axes(path: Path, cards: Cards) -> tuple[int, ...]:
    """Return the sizes of an image's axes, NAXIS1 first; none if the HDU is no image or has no data."""
    if cards.get("ZIMAGE") is True:
        prefix = "Z"
    elif cards.get("XTENSION", "IMAGE") in ("IMAGE", "IUEIMAGE"):
        prefix = ""
    else:
        return ()
    n_axes = _whole(path, cards, f"{prefix}NAXIS")
    axes = tuple(_whole(path, cards, f"{prefix}NAXIS{k}") for k in range(1, n_axes + 1))
    return axes if all(axes) else ()


def _layout(path: Path, hdu: int, cards: Cards, axes: tuple[int, ...], offset: int) -> ImageLayout:
    is_compressed = cards.get("ZIMAGE") is True
    key = "ZBITPIX" if is_compressed else "BITPIX"
    bitpix = cards.get(key)
    if not isinstance(bitpix, int) or bitpix not in _RAW_DTYPES:
        raise Alert(f"{path}: {key} is {bitpix!r}, which FITS does not know.", "Write the file again.")
    blank = cards.get("BLANK", cards.get("ZBLANK")) if bitpix > 0 else None
    return ImageLayout(
        path=path,
        hdu=hdu,
        rows=axes[1],
        columns=axes[0],
        bitpix=bitpix,
        scale=_number(path, cards, "BSCALE", 1.0),
        zero=_number(path, cards, "BZERO", 0.0),
        blank=blank if isinstance(blank, int) else None,
        offset=offset,
        is_compressed=is_compressed,
        tile_rows=min(_whole(path, cards, "ZTILE2", 1), axes[1]) if is_compressed else 1,
    )


def _stored_bytes(path: Path, file: BinaryIO, layout: ImageLayout) -> int:
    """Return how many bytes the chosen HDU's data takes."""
    if not layout.is_compressed:
        return layout.rows * layout.columns * layout.raw_dtype.itemsize
    for hdu, cards, _ in _headers(path, file, layout.offset):
        if hdu == layout.hdu:
            return _data_bytes(path, cards)
    return 0


def _data_bytes(path: Path, cards: Cards) -> int:
    axes = [_whole(path, cards, f"NAXIS{k}") for k in range(1, _whole(path, cards, "NAXIS") + 1)]
    if not axes:
        return 0
    if cards.get("GROUPS") is True and axes[0] == 0:
        axes = axes[1:]
    values = math.prod(axes) + _whole(path, cards, "PCOUNT", 0)
    bitpix = cards.get("BITPIX")
    if not isinstance(bitpix, int) or bitpix not in _RAW_DTYPES:
        raise Alert(f"{path}: BITPIX is {bitpix!r}, which FITS does not know.", "Write the file again.")
    return abs(bitpix) // 8 * _whole(path, cards, "GCOUNT", 1) * values


def _whole(path: Path, cards: Cards, key: str, default: int | None = None) -> int:
    value = cards.get(key, default)
    # Not even the largest file has 2**62 of anything.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        raise Alert(f"{path}: {key} is {value!r}, not a number of things.", "Write the file again.")
    return value


def _number(path: Path, cards: Cards, key: str, default: float) -> float:
    value = cards.get(key, default)
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise Alert(f"{path}: {key} is {value!r}, not a number.", "Correct the header.")
    return float(value)
