"""Lists of events in an HDF5 file, read from its global heap past the library.

The library keeps a lock while it reads, takes several times as long, and does not return from a damaged heap. HDF5 file
format, https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html, section III.E (global heap).
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.frame_files._limits import refused
from runstart.frame_files.blob import Blob, BlobFile

REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])
_EVENT = np.dtype("<u4")
_COLLECTION = struct.Struct("<4sB3xQ")  # signature, version, size with this header
_OBJECT = struct.Struct("<HHxxxxQ")  # index, references to it, size without this header
_BUFFER = 2**20


def read_lists(blob: Blob, references: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return where the events of each list start, shape (n + 1,), and the events.

    Parameters
    ----------
    blob : Blob
        The file.
    references : ndarray of `REFERENCE`, shape (n,)
        Lists that together are not larger than the file.

    Raises
    ------
    Alert
        If the heap is damaged.
    """
    lengths = references["length"].astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    events = np.empty(int(starts[-1]), np.uint32)
    filled = np.flatnonzero(lengths)
    order = filled[np.argsort(references["heap"][filled], kind="stable")]
    file = cast(BinaryIO, io.BufferedReader(BlobFile(blob), _BUFFER))
    address, body, objects = -1, b"", dict[int, tuple[int, int]]()
    rows = zip(order.tolist(), references[order].tolist(), starts[order].tolist(), strict=True)
    for row, (length, heap, index), start in rows:
        if heap != address:
            address = heap
            body = _collection(file, heap, blob)
            objects = _objects(body)
        place, size = objects.get(index, (0, 0))
        if length * _EVENT.itemsize > size:
            raise _damaged(blob, f"list {row} claims {length} events, but has {size} bytes")
        events[start : start + length] = np.frombuffer(body, _EVENT, length, place)
    return starts, events


def _collection(file: BinaryIO, address: int, blob: Blob) -> bytes:
    """Return a heap's collection with its header."""
    available = blob.size() - address
    if available < _COLLECTION.size:
        raise _damaged(blob, f"a heap at byte {address}, behind its end")
    file.seek(address)
    header = file.read(_COLLECTION.size)
    signature, version, size = _COLLECTION.unpack(header)
    if signature != b"GCOL" or version != 1 or not _COLLECTION.size <= size <= available:
        raise _damaged(blob, f"no heap at byte {address}")
    return header + file.read(size - len(header))


def _objects(body: bytes) -> dict[int, tuple[int, int]]:
    """Return place and size of each object of a collection."""
    found, offset = {}, _COLLECTION.size
    while offset + _OBJECT.size <= len(body):
        index, _, size = _OBJECT.unpack_from(body, offset)
        offset += _OBJECT.size
        if not index or size > len(body) - offset:
            break
        found[index] = (offset, size)
        offset += -(-size // 8) * 8
    return found


def _damaged(blob: Blob, reason: str) -> Alert:
    return refused(blob.name, f"is truncated or damaged: {reason}", "Copy it again.")
