"""When a file was made: it tells a file from one that has taken its place, even where that one got the same inode."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_HERE = -100  # AT_FDCWD
_BIRTH = 0x800  # STATX_BTIME
_SIZE, _OFFSET = 256, 80  # of `struct statx`, and of its `stx_btime`


def birth_of(path: Path) -> int:
    """Return when a file was made, in ns since 1970; 0 if the file system or the machine does not say.

    Python's `os.stat` does not tell it on Linux, `statx(2)` does.

    Raises
    ------
    OSError
        If the file is not there, or may not be looked at.
    """
    told: float | None = getattr(path.stat(), "st_birthtime", None)
    if told is not None:
        return int(told * 1_000_000_000)
    statx = getattr(ctypes.CDLL(None), "statx", None)
    if statx is None:
        return 0
    buffer = ctypes.create_string_buffer(_SIZE)
    if statx(_HERE, os.fsencode(path), 0, _BIRTH, buffer):
        return 0
    (known,) = struct.unpack_from("=I", buffer.raw)
    seconds, nanoseconds = struct.unpack_from("=qI", buffer.raw, _OFFSET)
    return int(seconds * 1_000_000_000 + nanoseconds) if known & _BIRTH else 0
