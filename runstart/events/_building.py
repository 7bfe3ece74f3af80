"""Builds FlatBuffers payloads from values that are checked against their fields first.

What does not fit raises `MalformedMessage`, as reading it would; each payload is decoded before it is handed
over, so nothing leaves that `decode` would refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import ArrayLike, NDArray

from runstart.events.decoding import decode
from runstart.events.messages import MalformedMessage

__all__ = [
    "add_offsets",
    "add_string",
    "add_strings",
    "add_table",
    "as_little_endian",
    "finish",
    "new_builder",
    "vector",
    "whole",
]


def new_builder(array_bytes: int = 0) -> Any:
    """Return a builder with room for arrays of so many bytes, which writes fields of default values too."""
    builder = flatbuffers.Builder(512 + array_bytes)
    builder.ForceDefaults(True)
    return builder


def add_string(builder: Any, text: str) -> int:
    """Write a string and return its offset.

    Raises
    ------
    MalformedMessage
        If it is not Unicode text.
    """
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise MalformedMessage(f"a string is not Unicode text: {error}") from error
    return int(builder.CreateString(encoded))


def add_strings(builder: Any, texts: Sequence[str]) -> int:
    """Write a vector of strings and return its offset. Raises as `add_string`."""
    return add_offsets(builder, [add_string(builder, text) for text in texts])


def add_offsets(builder: Any, offsets: Sequence[int]) -> int:
    """Write a vector that leads to strings or tables which are written already, and return its offset."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def add_table(builder: Any, table: Any, **fields: Any) -> int:
    """Write a table and return its offset.

    Parameters
    ----------
    builder : flatbuffers.Builder
        Where to write.
    table : module
        One of `runstart.schemas.generated`.
    **fields
        Values, or offsets of what is written already, by the module's name of the field; None leaves it out.
    """
    table.Start(builder)
    for name, value in fields.items():
        if value is not None:
            getattr(table, f"Add{name}")(builder, value)
    return int(table.End(builder))


def vector(name: str, values: ArrayLike, dtype: type[np.integer[Any]]) -> NDArray[Any]:
    """Return whole numbers as an array of a field's type, shape (n,).

    Raises
    ------
    MalformedMessage
        If they are not in one dimension, not whole, or do not fit.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise MalformedMessage(f"{name} has {array.ndim} dimensions, not one")
    if array.dtype == dtype or array.size == 0:
        return array.astype(dtype, copy=False)
    if array.dtype.kind not in "iu":
        raise MalformedMessage(f"{name} holds {array.dtype}, not whole numbers")
    limits = np.iinfo(dtype)
    if int(array.min()) < limits.min or int(array.max()) > limits.max:
        raise MalformedMessage(f"{name} does not fit {limits.dtype}")
    return array.astype(dtype)


def whole(name: str, value: int, dtype: type[np.integer[Any]]) -> int:
    """Return a whole number if a field's type can hold it.

    Raises
    ------
    MalformedMessage
        If it cannot.
    """
    limits = np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise MalformedMessage(f"{name} = {value} does not fit {limits.dtype}")
    return int(value)


def as_little_endian(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as it travels: little-endian, contiguous, of the same shape."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little if little.flags.c_contiguous else little.copy()


def finish(builder: Any, table: int, identifier: bytes) -> bytes:
    """Return the payload whose root is a table.

    Raises
    ------
    MalformedMessage
        If the message breaks a rule of its schema.
    """
    builder.Finish(table, file_identifier=identifier)
    payload = bytes(builder.Output())
    decode(payload)
    return payload
