"""Headers of frames in MessagePack, all of one length, so that they are written and read as one array.

A batch of a thousand frames has a thousand headers that differ in four whole numbers. Written as numbers of 32 bits they
stand at the same places in each header. Anyone's MessagePack reads them; these functions do so without a look at each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

NUMBERS = ("STEM_x_position_in_row", "STEM_row_in_scan", "data_size_bytes", "frame_number")
"""Fields in which the headers of a batch differ."""

_MARK = 2**32 - 1  # takes the five bytes of any number of 32 bits
_NUMBER = np.dtype(">u4")


@dataclass(frozen=True)
class _Template:
    """A header's bytes, and where its numbers stand in them."""

    data: NDArray[np.uint8]
    places: dict[str, int]

    @classmethod
    def of(cls, header: dict[str, Any]) -> _Template:
        data = msgpack.packb({key: _MARK if key in NUMBERS else value for key, value in header.items()})
        pairs = {key: msgpack.packb(key) + msgpack.packb(_MARK) for key in NUMBERS if key in header}
        places = {key: data.index(pair) + len(pair) - _NUMBER.itemsize for key, pair in pairs.items()}
        return cls(np.frombuffer(data, np.uint8), places)

    def numbers(self, rows: NDArray[np.uint8], key: str) -> NDArray[np.uint32]:
        """Return a view of a number in all headers, big-endian."""
        place = self.places[key]
        return rows[:, place : place + 4].view(_NUMBER)[:, 0]


def pack_headers(common: dict[str, Any], numbers: dict[str, NDArray[np.int64]]) -> bytes:
    """Return a MessagePack list of headers.

    Parameters
    ----------
    common : dict
        The fields that all have in common.
    numbers : dict of str to ndarray, shape (n,)
        Of `NUMBERS`, those that the headers have, from 0 to 2**32 - 1.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    count = len(next(iter(numbers.values())))
    template = _Template.of(common | dict.fromkeys(numbers, 0))
    rows = np.tile(template.data, (count, 1))
    for key, values in numbers.items():
        if count and not 0 <= values.min() <= values.max() < 2**32:
            raise ValueError(f"{key} is outside 32 bits")
        template.numbers(rows, key)[:] = values
    return bytes(msgpack.Packer().pack_array_header(count)) + rows.tobytes()


def unpack_headers(meta: bytes) -> tuple[dict[str, Any], dict[str, Any], dict[str, NDArray[np.int64]]] | None:
    """Return what stands about a batch, what its headers have in common, and their numbers.

    Returns
    -------
    tuple or None
        None unless the headers stand last and are as `pack_headers` writes them.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=0)
    unpacker.feed(meta)
    try:
        about, count = _about(unpacker)
        start = unpacker.tell()
        first = unpacker.unpack() if count else None
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    stride = unpacker.tell() - start
    if not isinstance(first, dict) or len(meta) != start + count * stride:
        return None
    rows = np.frombuffer(meta, np.uint8, offset=start).reshape(count, stride)
    found = _numbers(first, rows)
    return None if found is None else (about, {k: v for k, v in first.items() if k not in NUMBERS}, found)


def _about(unpacker: Any) -> tuple[dict[str, Any], int]:
    """Return the fields before the headers, and how many headers follow; 0 if they do not stand last."""
    about: dict[str, Any] = {}
    fields = unpacker.read_map_header()
    for left in range(fields, 0, -1):
        key = unpacker.unpack()
        if key == "headers":
            return about, unpacker.read_array_header() if left == 1 else 0
        about[key] = unpacker.unpack()
    return about, 0


def _numbers(first: dict[str, Any], rows: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]] | None:
    template = _Template.of(first)
    if len(template.data) != rows.shape[1]:
        return None
    start = 0
    # Slices between the numbers, not a mask: no bytes are copied.
    for place in (*sorted(template.places.values()), len(template.data)):
        if (rows[:, start:place] != template.data[start:place]).any():
            return None
        start = place + 4
    return {key: template.numbers(rows, key).astype(np.int64) for key in template.places}
