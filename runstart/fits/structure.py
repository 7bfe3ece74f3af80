"""The HDUs of a FITS file, from its headers alone: what there is, where, and whether the file is whole.

Follows the FITS standard 4.0, section 3 (blocks of 2880 bytes), 4.4.1 (sizes) and 10.1 (tiled images). Plain files
and files packed with gzip are read. Costs no more than the headers, and does not need astropy.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from runstart.errors import Alert
from runstart.fits.file_errors import malformed, reported, truncated
from runstart.fits.header_cards import BLOCK, Cards, integer, is_true, read_cards, text

__all__ = [
    "BITPIX",
    "PIXEL_CARDS",
    "HduInfo",
    "check_structure",
    "find_hdu",
    "find_image",
    "image_shape",
    "is_whole",
    "locate_image",
    "scan",
]

BITPIX = frozenset({8, 16, 32, 64, -32, -64})
"""What BITPIX may be."""

PIXEL_CARDS = ("BITPIX", "ZBITPIX", "BSCALE", "BZERO", "BLANK", "ZBLANK", "ZTILE2")
"""Keywords that say how pixels are stored."""

_MOST_AXES = 999
_GZIP = b"\x1f\x8b"
_SCIENCE = "SCI"
_SIZES = {"BITPIX": None, "GCOUNT": 1, "PCOUNT": 0}


@dataclass(frozen=True, slots=True)
class HduInfo:
    """One HDU of a file.

    Attributes
    ----------
    index : int
        Its place in the file; 0 is the primary HDU.
    name : str
        Its EXTNAME in capitals; `PRIMARY` if the primary HDU has none, otherwise empty.
    kind : str
        `image`, `compressed image`, `table`, or the XTENSION of anything else.
    shape : tuple of int
        Of an image's array, rows before columns; empty if there is no image.
    offset : int
        Where its header begins, in bytes.
    data_offset : int
        Where its data begins.
    data_bytes : int
        Size of its data without the fill of the last block.
    cards : mapping of str to str
        Those about the storing of pixels (`PIXEL_CARDS`), as they stand in the header.
    """

    index: int
    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    data_offset: int
    data_bytes: int
    cards: Cards = field(repr=False, compare=False)

    @property
    def end(self) -> int:
        """Where the next HDU begins."""
        return self.data_offset + -(-self.data_bytes // BLOCK) * BLOCK

    @property
    def is_compressed(self) -> bool:
        """Whether it is an image in tiles, by fpack."""
        return self.kind == "compressed image"

    @property
    def is_image(self) -> bool:
        """Whether it holds pixels."""
        return self.kind.endswith("image") and bool(self.shape) and 0 not in self.shape


def scan(path: Path | str, *, label: str | None = None) -> list[HduInfo]:
    """Return the HDUs of a whole file.

    Parameters
    ----------
    path : Path
        The file.
    label : str, optional
        Its name in messages; by default that of the path.

    Returns
    -------
    list of HduInfo
        In the order of the file.

    Raises
    ------
    Alert
        The file is empty, no FITS file, truncated or malformed.
    """
    path = Path(path)
    label = label or path.name
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            if not packed:
                return _scan(file, label, os.fstat(file.fileno()).st_size)
            with gzip.open(file) as unpacked:
                return _scan(cast(BinaryIO, unpacked), label, None)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise truncated(label, f"its gzip packing is damaged ({error})") from error
    except FileNotFoundError as error:
        raise reported(label, error) from error


def locate_image(path: Path | str, *, label: str | None = None) -> HduInfo:
    """Return the HDU of the image that `read_image` would give, for reading parts of it where they lie.

    Reads no header behind that of an HDU named SCI. What lies behind the image may be missing.

    Parameters
    ----------
    path : Path
        The file, not packed with gzip.
    label : str, optional
        Its name in messages; by default that of the path.

    Returns
    -------
    HduInfo
        An image of two dimensions, all of whose pixels are there.

    Raises
    ------
    Alert
        There is no such file, it cannot be read, is empty, no FITS file, packed with gzip, malformed, ends before its
        image does, or has no image of two dimensions.
    Transient
        The file system does not answer.
    """
    label = label or Path(path).name
    try:
        with Path(path).open("rb") as file:
            return _locate(file, label, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise reported(label, error) from error


def check_structure(path: Path | str, *, label: str | None = None) -> None:
    """Check that a file is a whole FITS file, from its headers and its size.

    Parameters
    ----------
    path : Path
        The file.
    label : str, optional
        Its name in messages; by default that of the path.

    Raises
    ------
    Alert
        The file is empty, no FITS file, truncated or malformed.
    """
    scan(path, label=label)


def is_whole(path: Path | str) -> bool:
    """Tell whether a file is a whole FITS file: False while it is being written.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
        Whether `check_structure` finds nothing.
    """
    try:
        scan(path)
    except Alert:
        return False
    return True


def image_shape(path: Path | str, name: str | None = None, *, label: str | None = None) -> tuple[int, int]:
    """Return the shape of the image that `read_image` would give.

    Parameters
    ----------
    path : Path
        The file.
    name : str, optional
        The image's HDU.
    label : str, optional
        The file's name in messages; by default that of the path.

    Returns
    -------
    rows, columns : int
        In pixels.

    Raises
    ------
    Alert
        As `read_image`.
    """
    label = label or Path(path).name
    rows, columns = find_image(scan(path, label=label), name, label).shape
    return rows, columns


def find_hdu(hdus: list[HduInfo], name: str, label: str) -> HduInfo:
    """Return the first HDU with a name, in whatever case.

    Parameters
    ----------
    hdus : list of HduInfo
        Of the file.
    name : str
        The HDU's name.
    label : str
        The file's name in messages.

    Returns
    -------
    HduInfo
        The HDU.

    Raises
    ------
    Alert
        There is none.
    """
    for hdu in hdus:
        if hdu.name == name.strip().upper():
            return hdu
    what = f"{name.upper()} header not found in FITS file {label}; it has {_listed(hdus)}."
    raise Alert(what, f"Give a file with an HDU whose EXTNAME is {name.upper()}.")


def find_image(hdus: list[HduInfo], name: str | None, label: str) -> HduInfo:
    """Return the HDU of an image: the one with a name, else `SCI`, else the first with two dimensions.

    Parameters
    ----------
    hdus : list of HduInfo
        Of the file.
    name : str or None
        The HDU's name.
    label : str
        The file's name in messages.

    Returns
    -------
    HduInfo
        An image of two dimensions.

    Raises
    ------
    Alert
        There is none, or it has other dimensions.
    """
    if name is not None:
        found = find_hdu(hdus, name, label)
    else:
        images = [hdu for hdu in hdus if hdu.is_image]
        science = [hdu for hdu in hdus if hdu.name == _SCIENCE]
        flat = [hdu for hdu in images if len(hdu.shape) == 2]
        candidates = science or flat or images
        if not candidates:
            what = f"FITS file {label} holds no image; it has {_listed(hdus)}."
            raise Alert(what, "Give a file with an image HDU.")
        found = candidates[0]
    if not found.is_image:
        what = f"HDU {_title(found)} of FITS file {label} holds no image; the file has {_listed(hdus)}."
        raise Alert(what, "Give a file with pixels in it.")
    if len(found.shape) != 2:
        shape = " x ".join(map(str, found.shape))
        what = f"HDU {_title(found)} of FITS file {label} has {len(found.shape)} dimensions ({shape})."
        raise Alert(what, "Give one image of two dimensions for each file, or cut the planes out first.")
    return found


def _scan(file: BinaryIO, label: str, size: int | None) -> list[HduInfo]:
    hdus: list[HduInfo] = []
    for hdu in _walk(file, label):
        if not _reaches(file, hdu.end, size):
            have = f"it has {size} bytes" if size is not None else "it ends before"
            raise truncated(label, f"HDU {_title(hdu)} ends at byte {hdu.end}, but {have}")
        hdus.append(hdu)
    file.seek(hdus[-1].end)
    if file.read(1):
        raise truncated(label, f"after HDU {hdus[-1].index} come bytes that are no HDU")
    return hdus


def _locate(file: BinaryIO, label: str, size: int) -> HduInfo:
    if file.read(2) == _GZIP:
        raise Alert(
            f"FITS file {label} is packed with gzip, and is read in parts here.", "Unpack it with gunzip first."
        )
    hdus: list[HduInfo] = []
    for hdu in _walk(file, label):
        hdus.append(hdu)
        if hdu.name == _SCIENCE or hdu.end >= size:
            break
    found = find_image(hdus, None, label)
    end = found.data_offset + found.data_bytes
    if end > size:
        raise truncated(label, f"the image in HDU {_title(found)} ends at byte {end}, but it has {size} bytes")
    return found


def _walk(file: BinaryIO, label: str) -> Iterator[HduInfo]:
    """Yield HDUs until the file ends or something else follows; before asking for more, compare `end` with its size."""
    offset = index = 0
    while True:
        file.seek(offset)
        block = file.read(BLOCK)
        if index and not block.startswith(b"XTENSION="):
            return
        if not block:
            raise Alert(f"FITS file {label} is empty: 0 bytes.", "Give a FITS file, or copy it again.")
        if not index and not block.startswith(b"SIMPLE  ="):
            raise Alert(f"{label} is not a FITS file: it does not begin with SIMPLE.", "Give a FITS file.")
        cards, data_offset = read_cards(file, block, offset, label)
        hdu = _describe(cards, index, offset, data_offset, label)
        yield hdu
        offset = hdu.end
        index += 1


def _reaches(file: BinaryIO, end: int, size: int | None) -> bool:
    if size is not None:
        return end <= size
    file.seek(end - 1)
    return len(file.read(1)) == 1


def _describe(cards: Cards, index: int, offset: int, data_offset: int, label: str) -> HduInfo:
    extension = text(cards, "XTENSION").upper()
    packed = extension in ("BINTABLE", "A3DTABLE") and is_true(cards, "ZIMAGE")
    kinds = {"IMAGE": "image", "BINTABLE": "table", "A3DTABLE": "table", "TABLE": "table"}
    kind = "compressed image" if packed else kinds.get(extension, extension) if extension else "image"
    shape = _axes(cards, "NAXIS", label)
    bits, groups, extra = (integer(cards, key, label, default) for key, default in _SIZES.items())
    if bits not in BITPIX or groups < 1 or extra < 0:
        raise malformed(label, f"BITPIX = {bits}, GCOUNT = {groups}, PCOUNT = {extra}")
    counted = shape[:-1] if shape and shape[-1] == 0 and is_true(cards, "GROUPS") else shape
    n_elements = math.prod(counted) if counted else 0
    n_bytes = abs(bits) // 8 * groups * (extra + n_elements)
    image = _axes(cards, "ZNAXIS", label) if packed else shape if kind == "image" else ()
    kept = {key: cards[key] for key in PIXEL_CARDS if key in cards}
    name = text(cards, "EXTNAME").upper() or ("PRIMARY" if index == 0 else "")
    return HduInfo(index, name, kind, image, offset, data_offset, n_bytes, kept)


def _axes(cards: Cards, key: str, label: str) -> tuple[int, ...]:
    """Return the lengths of axes, the slowest first."""
    n_axes = integer(cards, key, label)
    if not 0 <= n_axes <= _MOST_AXES:
        raise malformed(label, f"{key} = {n_axes}")
    lengths = [integer(cards, f"{key}{number}", label) for number in range(n_axes, 0, -1)]
    for number, length in enumerate(reversed(lengths), start=1):
        if length < 0:
            raise malformed(label, f"{key}{number} is {length}, a negative length")
    return tuple(lengths)


def _title(hdu: HduInfo) -> str:
    return f"{hdu.index} ({ascii(hdu.name)[1:-1]})" if hdu.name else str(hdu.index)


def _listed(hdus: list[HduInfo]) -> str:
    named = []
    for hdu in hdus[:10]:
        holds = hdu.kind if hdu.shape or hdu.kind == "table" else "no data"
        named.append(f"{ascii(hdu.name)[1:-1] or f'HDU {hdu.index}'} ({holds})")
    return ", ".join(named) + (f" and {len(hdus) - 10} more" if len(hdus) > 10 else "")
