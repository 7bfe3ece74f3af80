"""The HDUs of a FITS file, from its headers alone: what there is, where, and whether the file is whole.

Follows the FITS standard 4.0, section 3 (blocks of 2880 bytes), 4.4.1 (sizes) and 10.1 (tiled images). Plain files
and files packed with gzip are read. Costs no more than the headers, and does not need astropy.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from runstart.errors import Alert

__all__ = ["HduInfo", "check_structure", "find_hdu", "find_image", "image_shape", "is_whole", "scan"]

_BLOCK = 2880
_CARD = 80
_MOST_HEADER_BLOCKS = 20_000
_MOST_AXES = 999
_BITPIX = {8, 16, 32, 64, -32, -64}
_TEXT = re.compile(r"\s*'((?:[^']|'')*)'")
_NUMBER = re.compile(r"\s*([+-]?[0-9]+)\s*(?:/.*)?")
_GZIP = b"\x1f\x8b"


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
    """

    index: int
    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    data_offset: int
    data_bytes: int

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
        raise _truncated(label, f"its gzip packing is damaged ({error})") from error
    except FileNotFoundError as error:
        raise Alert(f"There is no file {label}.", "Look at the spelling.") from error


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
        science = [hdu for hdu in hdus if hdu.name == "SCI"]
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
        raise Alert(what, "Give a single image of two dimensions.")
    return found


def _scan(file: BinaryIO, label: str, size: int | None) -> list[HduInfo]:
    hdus: list[HduInfo] = []
    offset = 0
    while True:
        file.seek(offset)
        block = file.read(_BLOCK)
        if not block and hdus:
            return hdus
        if not block:
            raise Alert(f"{label} is empty: 0 bytes.", "Give a FITS file, or copy it again.")
        first = b"XTENSION=" if hdus else b"SIMPLE  ="
        if not block.startswith(first):
            if not hdus:
                raise Alert(f"{label} is not a FITS file: it does not begin with SIMPLE.", "Give a FITS file.")
            raise _truncated(label, f"after HDU {hdus[-1].index} come bytes that are no HDU")
        cards, data_offset = _read_header(file, block, offset, label)
        hdu = _describe(cards, len(hdus), offset, data_offset, label)
        offset = data_offset + -(-hdu.data_bytes // _BLOCK) * _BLOCK
        if not _reaches(file, offset, size):
            have = f"it has {size} bytes" if size is not None else "it ends before"
            raise _truncated(label, f"HDU {_title(hdu)} ends at byte {offset}, but {have}")
        hdus.append(hdu)


def _reaches(file: BinaryIO, end: int, size: int | None) -> bool:
    if size is not None:
        return end <= size
    file.seek(end - 1)
    return len(file.read(1)) == 1


def _read_header(file: BinaryIO, block: bytes, offset: int, label: str) -> tuple[dict[str, str], int]:
    """Return the values of a header's cards, as they stand there, and where it ends."""
    cards: dict[str, str] = {}
    for n_blocks in range(1, _MOST_HEADER_BLOCKS):
        if len(block) < _BLOCK:
            raise _truncated(label, f"the header at byte {offset} has no end")
        for start in range(0, _BLOCK, _CARD):
            card = block[start : start + _CARD]
            if card[:8] == b"END     ":
                return cards, offset + n_blocks * _BLOCK
            if card[8:10] == b"= ":
                cards.setdefault(card[:8].rstrip().decode("latin-1"), card[10:].decode("latin-1"))
        block = file.read(_BLOCK)
    raise _malformed(label, f"the header at byte {offset} is longer than {_MOST_HEADER_BLOCKS} blocks")


def _describe(cards: dict[str, str], index: int, offset: int, data_offset: int, label: str) -> HduInfo:
    extension = _text(cards, "XTENSION").upper()
    packed = extension in ("BINTABLE", "A3DTABLE") and cards.get("ZIMAGE", "").strip()[:1] == "T"
    kinds = {"IMAGE": "image", "BINTABLE": "table", "A3DTABLE": "table", "TABLE": "table"}
    kind = "compressed image" if packed else kinds.get(extension, extension) if extension else "image"
    shape = _axes(cards, "NAXIS", label)
    bits, groups, extra = (_integer(cards, key, label, default) for key, default in _SIZES.items())
    if bits not in _BITPIX or groups < 1 or extra < 0:
        raise _malformed(label, f"BITPIX = {bits}, GCOUNT = {groups}, PCOUNT = {extra}")
    counted = shape[:-1] if shape and shape[-1] == 0 and cards.get("GROUPS", "").strip()[:1] == "T" else shape
    n_elements = math.prod(counted) if counted else 0
    n_bytes = abs(bits) // 8 * groups * (extra + n_elements)
    image = _axes(cards, "ZNAXIS", label) if packed else shape if kind == "image" else ()
    name = _text(cards, "EXTNAME").upper() or ("PRIMARY" if index == 0 else "")
    return HduInfo(index, name, kind, image, offset, data_offset, n_bytes)


_SIZES = {"BITPIX": None, "GCOUNT": 1, "PCOUNT": 0}


def _axes(cards: dict[str, str], key: str, label: str) -> tuple[int, ...]:
    """Return the lengths of axes, the slowest first."""
    n_axes = _integer(cards, key, label)
    if not 0 <= n_axes <= _MOST_AXES:
        raise _malformed(label, f"{key} = {n_axes}")
    lengths = [_integer(cards, f"{key}{number}", label) for number in range(n_axes, 0, -1)]
    if any(length < 0 for length in lengths):
        raise _malformed(label, f"an axis of {key} has a negative length")
    return tuple(lengths)


def _integer(cards: dict[str, str], key: str, label: str, default: int | None = None) -> int:
    if key not in cards and default is not None:
        return default
    number = _NUMBER.fullmatch(cards.get(key, ""))
    if number is None:
        raise _malformed(label, f"{key} is {cards[key].strip()[:30]!a}" if key in cards else f"{key} is missing")
    return int(number[1])


def _text(cards: dict[str, str], key: str) -> str:
    text = _TEXT.match(cards.get(key, ""))
    return text[1].replace("''", "'").strip() if text else ""


def _title(hdu: HduInfo) -> str:
    return f"{hdu.index} ({ascii(hdu.name)[1:-1]})" if hdu.name else str(hdu.index)


def _listed(hdus: list[HduInfo]) -> str:
    named = []
    for hdu in hdus[:10]:
        holds = hdu.kind if hdu.shape or hdu.kind == "table" else "no data"
        named.append(f"{ascii(hdu.name)[1:-1] or f'HDU {hdu.index}'} ({holds})")
    return ", ".join(named) + (f" and {len(hdus) - 10} more" if len(hdus) > 10 else "")


def _truncated(label: str, reason: str) -> Alert:
    return Alert(
        f"FITS file {label} is truncated or damaged: {reason}.", "Copy it again, or wait until it is written."
    )


def _malformed(label: str, reason: str) -> Alert:
    return Alert(f"FITS file {label} is malformed: {reason}.", "Have it written anew, by the FITS standard.")
