"""Arrays as an uncompressed `.npz` archive that is the same for the same arrays, and that is read with suspicion.

`numpy.load` reads these archives too. Reading here accepts less than it does: stored members of whole numbers and floats,
whose sizes agree with their headers and their checksums. Nothing is evaluated, and nothing is allocated that the data do
not hold.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '(\|[iu]1|<[iu][248]|<f[248])', 'fortran_order': False,"
    rb" 'shape': \(((?:\d{1,15}(?:, \d{1,15})*,?)?)\), \} *\n"
)
_LONGEST_HEADER = 1024
_LIST, _END = b"PK\x01\x02", b"PK\x05\x06"
_DAMAGE = (zipfile.BadZipFile, RuntimeError, OSError, EOFError, LookupError, OverflowError, struct.error)


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays of whole numbers or floats as an archive, in the order given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # Of a date that is always the same.
            information = zipfile.ZipInfo(f"{name}.npy")
            information.create_system = 3
            plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            with archive.open(information, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, plain, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def unpack_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive by name.

    Raises
    ------
    ValueError
        If it is damaged, or is not as `pack_arrays` writes it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if any(one.compress_type != zipfile.ZIP_STORED for one in members):
                raise ValueError("a member is compressed")
            if sum(one.file_size for one in members) > len(data):
                raise ValueError("its members are larger than it is")
            _check_that_none_is_lost(data, members)
            arrays = {}
            for one in members:
                with archive.open(one) as member:
                    arrays[one.filename.removesuffix(".npy")] = _read_array(member, one)
    except _DAMAGE as error:
        raise ValueError(f"the archive is damaged: {error}") from error
    if len(arrays) < len(members):
        raise ValueError("two members have the same name")
    return arrays


def _check_that_none_is_lost(data: bytes, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise ValueError unless the members follow each other from the beginning to the list of members."""
    end = 0
    for one in members:
        if one.header_offset != end:
            raise ValueError("its members do not follow each other")
        name_length, extra_length = struct.unpack_from("<HH", data, end + 26)
        end += 30 + name_length + extra_length + one.file_size
    if data[end : end + 4] not in (_LIST, _END):
        raise ValueError("members are missing from its list")


def _read_array(member: IO[bytes], information: zipfile.ZipInfo) -> NDArray[Any]:
    start = member.read(len(_MAGIC) + 2)
    length = int.from_bytes(start[len(_MAGIC) :], "little")
    if not start.startswith(_MAGIC) or length > _LONGEST_HEADER:
        raise ValueError(f"{information.filename} is no array")
    found = _HEADER.fullmatch(member.read(length))
    if found is None:
        raise ValueError(f"{information.filename} has a header that cannot be read")
    shape = tuple(int(size) for size in re.findall(rb"\d+", found[2]))
    dtype = np.dtype(found[1].decode())
    if math.prod(shape) * dtype.itemsize != information.file_size - len(start) - length:
        raise ValueError(f"{information.filename} does not have the size that its header says")
    array = np.empty(shape, dtype)
    _read_into(member, array.reshape(-1).view(np.uint8).data)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_into(member: IO[bytes], buffer: memoryview) -> None:
    # With the last part, the archive's reader compares the checksum.
    done = 0
    while done < len(buffer):
        part = member.read(min(len(buffer) - done, 1 << 24))
        if not part:
            raise EOFError("it ends early")
        buffer[done : done + len(part)] = part
        done += len(part)
