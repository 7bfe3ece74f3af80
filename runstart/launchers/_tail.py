"""The end of a task's output, in memory that its warden writes and its launcher reads: no file, so none is ever left.

Neither waits for the other, stopped or killed as it may be: there are two places, written in turn, each with its number
and a checksum; the newest that is whole is read.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import zlib

KEPT_OUTPUT = 64 * 1024
"""Bytes of output that are kept."""

_HEADER = struct.Struct("<QII")  # number, bytes, checksum; all zero is a whole and empty text
_PLACE = _HEADER.size + KEPT_OUTPUT
_ATTEMPTS = 10


def make_tail_file() -> int:
    """Return a new open file without a name, for one writer and any readers; it goes with the last of them."""
    if sys.platform == "linux":
        file = os.memfd_create("runstart-output")
    else:
        with tempfile.TemporaryFile() as made:
            file = os.dup(made.fileno())
    os.ftruncate(file, 2 * _PLACE)
    return file


class TailWriter:
    """Keeps the end of an output.

    Parameters
    ----------
    file : int
        From `make_tail_file`.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._text = b""
        self._number = 0
        self._is_written = True

    def add(self, text: bytes) -> None:
        """Append what was printed since."""
        if text:
            self._text = (self._text + text)[-KEPT_OUTPUT:]
            self._is_written = False

    def write(self) -> None:
        """Show the end as it is now to readers.

        Raises
        ------
        OSError
            There is no room; readers see an older end.
        """
        if self._is_written:
            return
        self._number += 1
        header = _HEADER.pack(self._number, len(self._text), zlib.crc32(self._text))
        os.pwrite(self._file, header + self._text, self._number % 2 * _PLACE)
        self._is_written = True


def read_tail(file: int) -> bytes:
    """Return the end of the output as last written."""
    for _ in range(_ATTEMPTS):
        places = (_read_place(file, place) for place in range(2))
        whole = [place for place in places if place is not None]
        if whole:
            return max(whole)[1]
    raise AssertionError("both ends of an output are torn, though they are written in turn")


def _read_place(file: int, place: int) -> tuple[int, bytes] | None:
    """Return number and text of a place, or None while it is being written."""
    data = os.pread(file, _PLACE, place * _PLACE)
    number, length, checksum = _HEADER.unpack_from(data)
    text = data[_HEADER.size : _HEADER.size + length]
    return (number, text) if zlib.crc32(text) == checksum else None
