"""Reads FlatBuffers tables from bytes that nobody has checked.

A buffer is little-endian. A table starts with the distance back to its vtable; the vtable holds its own size,
the table's size, and for each field the field's offset in the table, or 0 if it was left out. Strings and
vectors are reached by a forward distance and begin with their length. Each read here is checked against the
buffer, by hand or by struct and numpy, each field against its table and its neighbours, and a string must end
with the zero byte that the format asks for. Nothing is allocated but strings and array headers, and where a
vector leads to strings or tables, which may be one and the same a thousand times, a `Budget` bounds what comes
of it, so that no buffer can make reading slow or big. Scalars may be misaligned; misaligned vectors are copied,
because kernels may not read them in place.

Producers repeat the same vtable in message after message: what it says is worked out once and remembered for
a bounded number of vtables.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runstart.events.messages import MalformedMessage

__all__ = [
    "Budget",
    "Buffer",
    "Layout",
    "Schema",
    "align_array",
    "find_layout",
    "read_array",
    "read_buffer",
    "read_child",
    "read_offsets",
    "read_string",
    "read_table",
    "read_text",
]

Buffer = bytes | memoryview

SMALLEST_MESSAGE = 8
"""Bytes of the shortest payload that names its schema: the distance to the root table, and the identifier."""

_LARGEST_ALIGNMENT = 8
_REMEMBERED_LAYOUTS = 256
_PIECES_IN_ALL = 8  # bytes that may come of each byte of a message
_int32 = Struct("<i").unpack_from
_uint32 = Struct("<I").unpack_from
_uint16 = Struct("<H").unpack_from
_DISTANCE = np.dtype("<u4")


@dataclass(frozen=True, eq=False)
class Schema:
    """The fields of a table, in the schema's order."""

    codes: str
    """One struct code for each field; `I` also for the distance to a string, vector or table."""
    defaults: tuple[int | float, ...]
    """The value of each field where it was left out."""


class Layout(NamedTuple):
    """What one vtable says about the tables that use it."""

    size: int
    """Bytes that the table takes."""
    unpack: Callable[[Buffer, int], tuple[Any, ...]]
    """Reads the fields that were sent, ordered by offset, from a buffer and the table's position."""
    defaults: tuple[int | float, ...]
    """Values of the fields that were left out."""
    pick: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    """Puts what was read, followed by the defaults, in the schema's order."""
    offsets: tuple[int, ...]
    """Offset of each field in the table, in the schema's order; 0 for one that was left out."""

    def positions(self, table: int) -> tuple[int, ...]:
        """Return the position of each field in the buffer, 0 for one that was left out."""
        return tuple(table + offset if offset else 0 for offset in self.offsets)


class Budget:
    """What may still be made of a buffer that leads to its pieces by vectors, in bytes.

    Producers share strings among tables, so a piece that is reached twice is legal; one that is reached ten
    thousand times is not.

    Parameters
    ----------
    buffer : bytes or memoryview
        The message: its length sets the budget.
    """

    __slots__ = ("left",)

    def __init__(self, buffer: Buffer) -> None:
        self.left = _PIECES_IN_ALL * len(buffer)

    def spend(self, n_bytes: int) -> None:
        """Take bytes from the budget.

        Raises
        ------
        MalformedMessage
            If there are not that many left.
        """
        self.left -= n_bytes
        if self.left < 0:
            raise MalformedMessage("the message leads to the same pieces again and again")


def read_buffer(payload: object) -> Buffer:
    """Return the payload as contiguous read-only bytes that start at an aligned address.

    It is copied only if it is not so already.

    Raises
    ------
    MalformedMessage
        If it is no bytes-like object (Kafka's null value is None) or too short for any message.
    """
    if type(payload) is bytes:
        buffer: Buffer = payload
    elif isinstance(payload, bytes | bytearray | memoryview):
        view = memoryview(payload)
        buffer = view.cast("B").toreadonly() if view.c_contiguous and view.nbytes else view.tobytes()
        if np.frombuffer(buffer, np.uint8).ctypes.data % _LARGEST_ALIGNMENT:
            buffer = bytes(buffer)
    else:
        raise MalformedMessage(f"the payload is {type(payload).__name__}, not bytes")
    if len(buffer) < SMALLEST_MESSAGE:
        raise MalformedMessage(f"{len(buffer)} bytes are too short for a message")
    return buffer


def find_layout(buffer: Buffer, table: int, schema: Schema) -> Layout | None:
    """Return what the vtable of a table says, or None if the vtable lies outside the buffer.

    Whether the buffer holds the whole table is left to the caller. Fields that a newer schema adds behind the
    known ones are ignored.

    Raises
    ------
    MalformedMessage
        If the table begins outside the buffer, a field lies outside its table, or fields overlap.
    """
    if table < 4 or table + 4 > len(buffer):
        raise MalformedMessage("a table lies outside the message")
    vtable = table - _int32(buffer, table)[0]
    if vtable < 0 or vtable + 4 > len(buffer):
        return None
    vtable_size = _uint16(buffer, vtable)[0]
    if vtable_size < 4 or vtable_size % 2:
        raise MalformedMessage("a vtable's size is wrong")
    if vtable + vtable_size > len(buffer):
        return None
    known_size = min(vtable_size, 4 + 2 * len(schema.codes))
    return _read_vtable(bytes(buffer[vtable : vtable + known_size]), schema)


def read_table(buffer: Buffer, table: int, schema: Schema) -> tuple[tuple[Any, ...], Layout]:
    """Return the values of a table's fields, and where they are.

    Raises
    ------
    MalformedMessage
        If table, vtable or a field lie outside, or fields overlap.
    """
    layout = find_layout(buffer, table, schema)
    if layout is None or table + layout.size > len(buffer):
        raise MalformedMessage("a table or its vtable lies outside the message")
    return layout.pick(layout.unpack(buffer, table) + layout.defaults), layout


def read_child(
    buffer: Buffer, field: int, distance: int, schema: Schema
) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Return the values and the positions of the fields of the table that a field leads to.

    Raises
    ------
    MalformedMessage
        If the field was left out or leads to itself, or the table or a field of it lies outside.
    """
    if not (field and distance):
        raise MalformedMessage("a table was left out, or its offset leads to itself")
    table = field + distance
    values, layout = read_table(buffer, table, schema)
    return values, layout.positions(table)


def read_offsets(buffer: Buffer, field: int, distance: int, budget: Budget) -> list[tuple[int, int]]:
    """Return where the items of a vector of strings or tables are: position and distance ahead of each.

    Parameters
    ----------
    buffer : bytes or memoryview
        The message.
    field : int
        Position of the field in the message; 0 for one that was left out, which is an empty vector.
    distance : int
        The field's value.
    budget : Budget
        Pays 16 bytes for each item.

    Raises
    ------
    MalformedMessage
        If the vector lies outside, or the budget is spent.
    """
    if not field:
        return []
    distances = read_array(buffer, field, distance, _DISTANCE)
    budget.spend(16 * distances.size)
    start = field + distance + 4
    return [(start + 4 * item, ahead) for item, ahead in enumerate(distances.tolist())]


def read_text(buffer: Buffer, field: int, distance: int) -> str:
    """Return the string that a field leads to; empty if the field was left out. Raises as `read_string`."""
    return read_string(buffer, field, distance) if field else ""


def read_string(buffer: Buffer, field: int, distance: int) -> str:
    """Return the string that a field leads to.

    Parameters
    ----------
    buffer : bytes or memoryview
        The message.
    field : int
        Position of the field in the message.
    distance : int
        The field's value: how far ahead the string is.

    Raises
    ------
    MalformedMessage
        If it lies outside, is not closed by a zero byte, or is not UTF-8.
    """
    start = field + distance + 4
    try:
        end = start + _uint32(buffer, start - 4)[0]
        if buffer[end] or not distance:
            raise MalformedMessage("a string is not closed by a zero byte, or its offset leads to itself")
        return str(buffer[start:end], "utf-8")
    except (struct.error, IndexError) as error:
        raise MalformedMessage("a string lies outside the message") from error
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"a string is not UTF-8: {error}") from error


def read_array(buffer: Buffer, field: int, distance: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the vector that a field leads to, as a read-only array on the buffer.

    Parameters
    ----------
    buffer : bytes or memoryview
        The message, at an aligned address.
    field : int
        Position of the field in the message.
    distance : int
        The field's value: how far ahead the vector is.
    dtype : numpy.dtype
        Type of an item.

    Raises
    ------
    MalformedMessage
        If it lies outside.
    """
    start = field + distance
    try:
        array = np.frombuffer(buffer, dtype, _uint32(buffer, start)[0], start + 4)
    except (struct.error, ValueError) as error:
        raise MalformedMessage("a vector lies outside the message") from error
    if not distance:
        raise MalformedMessage("the offset of a vector leads to itself")
    return align_array(array)


def align_array(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only array with aligned items: the array itself, or a copy if its items are not."""
    return array if array.flags.aligned else np.frombuffer(array.tobytes(), array.dtype)


@lru_cache(_REMEMBERED_LAYOUTS)
def _read_vtable(vtable: bytes, schema: Schema) -> Layout:
    _, table_size, *slots = Struct(f"<{len(vtable) // 2}H").unpack(vtable)
    slots.extend([0] * (len(schema.codes) - len(slots)))
    sent = sorted((offset, field) for field, offset in enumerate(slots) if offset)
    absent = [field for field, offset in enumerate(slots) if not offset]
    end, codes = 4, "<4x"
    for offset, field in sent:
        if offset < end:
            raise MalformedMessage("fields of a table overlap")
        codes += f"{offset - end}x{schema.codes[field]}"
        end = struct.calcsize(codes)
    if end > table_size:
        raise MalformedMessage("a field lies outside its table")
    order = [field for _, field in sent] + absent
    return Layout(
        table_size,
        Struct(codes).unpack_from,
        tuple(schema.defaults[field] for field in absent),
        _picker(sorted(range(len(order)), key=order.__getitem__)),
        tuple(slots),
    )


def _picker(order: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return itemgetter(*order) if len(order) > 1 else tuple  # an itemgetter of one item returns no tuple
