"""Frames in a NumPy file (`.npy`), versions 1 and 2 of the format, of three or four dimensions; never a pickle.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Its header is read here, not by
numpy, whose reader warns, and raises whatever Python's parser does.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

import numpy as np

from runstart.frame_files._limits import check_header, kept_dtype, refused, split_shape
from runstart.frame_files._strided import Layout, StridedSource
from runstart.frame_files.blob import Blob
from runstart.frame_files.source import FrameSource, ScanHeader
from runstart.frames import Shape

__all__ = ["MAGIC", "open_numpy"]

MAGIC = b"\x93NUMPY"
_LENGTHS: dict[int, np.dtype[Any]] = {1: np.dtype("<u2"), 2: np.dtype("<u4")}
_LONGEST = 10_000
_DTYPE = re.compile(r"[<>=|][biuf][1-8]")
_SAVE_AGAIN = "Save it again with numpy.save(path, numpy.ascontiguousarray(frames))."


def open_numpy(blob: Blob, scan_shape: Shape | None = None) -> FrameSource:
    """Return the frames of a NumPy file, which owns the blob from now on.

    Parameters
    ----------
    blob : Blob
        The file.
    scan_shape : tuple of int, optional
        Rows and columns of the scan; without it four dimensions say it, and three are a scan of one row.

    Raises
    ------
    Alert
        If the file ends within its header, is longer than that says, or its array is no frames that can be read.
    """
    shape, stored, start = _read_header(blob)
    scan_shape, frame_shape, each = split_shape(shape, scan_shape, blob.name)
    kept = kept_dtype(stored, blob.name)
    header = check_header(ScanHeader(scan_shape, frame_shape, kept.name, each), blob.name)
    return StridedSource(blob, header, Layout(start, frame_shape, stored), math.prod(shape[:-2]))


def _read_header(blob: Blob) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return the array's shape, its type, and where it begins."""
    begin = blob.read(0, 12)
    version = begin[len(MAGIC)] if len(begin) == 12 else 0
    if len(begin) < 12 or not begin.startswith(MAGIC):
        raise refused(blob.name, "ends within the header of a NumPy file", "Copy it again.")
    if version not in _LENGTHS:
        raise refused(blob.name, f"is a NumPy file of version {version}", _SAVE_AGAIN)
    kind = _LENGTHS[version]
    start, length = 8 + kind.itemsize, int(np.frombuffer(begin, kind, 1, 8)[0])
    if length > _LONGEST:
        raise refused(blob.name, f"claims a header of {length} bytes; the longest has {_LONGEST}")
    text = blob.read(start, length)
    if len(text) < length:
        raise refused(blob.name, f"claims a header of {length} bytes, but ends before", "Copy it again.")
    fields = _fields(text, blob.name)
    if fields["fortran_order"] is not False:
        raise refused(blob.name, "holds its array in Fortran order", _SAVE_AGAIN)
    return fields["shape"], fields["descr"], start + length


def _fields(text: bytes, name: str) -> dict[str, Any]:
    """Return the header's fields, checked."""
    try:
        fields = ast.literal_eval(text.decode("latin1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise refused(name, "has a header that NumPy does not write", _SAVE_AGAIN) from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise refused(name, "has a header without descr, fortran_order and shape", _SAVE_AGAIN)
    descr, shape = fields["descr"], fields["shape"]
    if not isinstance(descr, str) or not _DTYPE.fullmatch(descr):
        raise refused(name, f"holds elements of type {str(descr)[:60]!r}", "Give an array of numbers.")
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise refused(name, f"claims the shape {str(shape)[:60]}, which cannot be", _SAVE_AGAIN)
    try:
        return fields | {"descr": np.dtype(descr)}
    except TypeError as error:
        raise refused(name, f"holds elements of type {descr!r}", "Give an array of numbers.") from error
