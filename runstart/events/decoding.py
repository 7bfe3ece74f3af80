"""Turns payloads into messages, believing nothing: what is not a valid message raises `MalformedMessage`.

Rules beyond the bounds of the format. Optional strings that were left out are empty, optional vectors too;
what ev44 marks as required (source name, reference times and their indices) must be there. Strings must be
UTF-8. A run has at least one period. The two vectors of a detector-spectrum map are equally long. ev42:
detector ids are as many as times of flight; the pulse time fits a signed 64-bit integer; facility data are
is84, or dtdb (ignored), or absent, an is84 run state is 0 or 1. ev44: pixel ids are as many as times of
flight; reference times and indices are as many as each other; the indices begin at 0, never fall, and stay
within [0, events]; events have a pulse. In both, detector ids that were left out, or that are empty
although there are events, mean a source without pixels: None.

f142, f144 and se00: there is a value, of a type that the schema knows; times of samples are as many as the samples,
or none. Times fit signed 64-bit integers, enumerations have a member for each number. da00: there is an array, each
has a name and data, which fill its shape exactly; axes are as many as dimensions, or none. hs00 and hs01: there is
an axis, shape and offset have a number for each, counts and errors fill the shape, edges are one more than bins.

Arrays are views on the payload, which they keep alive; who passes a bytearray must not change it
afterwards. Only the `pulse_index` of a message of one pulse is none: it is [0], always the same array.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any, TypeAlias

from runstart.events._array_tables import DA00_SCHEMA, HS00_SCHEMA, HS01_SCHEMA, read_da00, read_histogram
from runstart.events._event_tables import EV42_SCHEMA, EV44_SCHEMA, read_ev42, read_ev44
from runstart.events._log_tables import (
    AL00_SCHEMA,
    F142_SCHEMA,
    F144_SCHEMA,
    SE00_SCHEMA,
    X5F2_SCHEMA,
    read_al00,
    read_f142,
    read_f144,
    read_se00,
    read_x5f2,
)
from runstart.events._run_tables import (
    MAP_SCHEMA,
    RUN_START_SCHEMA,
    RUN_STOP_SCHEMA,
    read_detector_spectrum_map,
    read_run_start,
    read_run_stop,
)
from runstart.events._tables import SMALLEST_MESSAGE, Buffer, Layout, Schema, find_layout, read_buffer
from runstart.events.messages import ForeignMessage, MalformedMessage, Message

__all__ = ["decode"]

_Reader: TypeAlias = Callable[[Buffer, tuple[Any, ...], tuple[int, ...]], Message]
_Root: TypeAlias = tuple[
    _Reader,
    int,  # end of the table
    Callable[[Buffer, int], tuple[Any, ...]],
    tuple[int | float, ...],
    Callable[[tuple[Any, ...]], tuple[Any, ...]],
    tuple[int, ...],  # positions of the fields
]

_READERS: dict[bytes, tuple[_Reader, Schema]] = {
    b"pl72": (read_run_start, RUN_START_SCHEMA),
    b"6s4t": (read_run_stop, RUN_STOP_SCHEMA),
    b"df12": (read_detector_spectrum_map, MAP_SCHEMA),
    b"ev42": (read_ev42, EV42_SCHEMA),
    b"ev44": (read_ev44, EV44_SCHEMA),
    b"f142": (read_f142, F142_SCHEMA),
    b"f144": (read_f144, F144_SCHEMA),
    b"se00": (read_se00, SE00_SCHEMA),
    b"al00": (read_al00, AL00_SCHEMA),
    b"x5f2": (read_x5f2, X5F2_SCHEMA),
    b"da00": (read_da00, DA00_SCHEMA),
    b"hs00": (read_histogram("hs00"), HS00_SCHEMA),
    b"hs01": (read_histogram("hs01"), HS01_SCHEMA),
}
_LONGEST_HEAD = 128
_REMEMBERED_HEADS = 256
_uint32 = Struct("<I").unpack_from


def decode(payload: bytes | bytearray | memoryview) -> Message:
    """Return the message that a payload holds, its arrays as read-only views on the payload.

    Parameters
    ----------
    payload : bytes, bytearray or memoryview
        The value of a Kafka record: pl72, 6s4t, df12, ev42, ev44, f142, f144, se00, al00, x5f2, da00, hs00 or hs01.

    Returns
    -------
    Message
        Of the type that the schema's identifier says. Arrays are copied only where the payload is not aligned in memory.

    Raises
    ------
    ForeignMessage
        If it carries another schema's identifier: four printable ASCII characters.
    MalformedMessage
        If it is anything else. No other exception comes out, whatever the payload is.
    """
    buffer = payload if type(payload) is bytes and len(payload) >= SMALLEST_MESSAGE else read_buffer(payload)
    root = _uint32(buffer)[0]
    found = None
    if root <= _LONGEST_HEAD and root + 4 <= len(buffer):
        found = _find_root(bytes(buffer[: root + 4]))
    if found is None:
        found = _find_distant_root(buffer, root)
    read, end, unpack, defaults, pick, positions = found
    if end > len(buffer):
        raise MalformedMessage("the root table lies outside the message")
    return read(buffer, pick(unpack(buffer, root) + defaults), positions)


@lru_cache(_REMEMBERED_HEADS)
def _find_root(head: bytes) -> _Root | None:
    # All bytes up to the root table are the same in message after message of a producer.
    read, schema = _reader_of(head)
    return _place(read, len(head) - 4, find_layout(head, len(head) - 4, schema))


def _find_distant_root(buffer: Buffer, table: int) -> _Root:
    read, schema = _reader_of(buffer)
    root = _place(read, table, find_layout(buffer, table, schema))
    if root is None:
        raise MalformedMessage("a vtable lies outside the message")
    return root


def _place(read: _Reader, table: int, layout: Layout | None) -> _Root | None:
    if layout is None:
        return None
    return read, table + layout.size, layout.unpack, layout.defaults, layout.pick, layout.positions(table)


def _reader_of(buffer: Buffer) -> tuple[_Reader, Schema]:
    identifier = bytes(buffer[4:8])
    reader = _READERS.get(identifier)
    if reader is not None:
        return reader
    if len(identifier) == 4 and identifier.isascii() and identifier.decode().isprintable():
        raise ForeignMessage(identifier.decode())
    raise MalformedMessage(f"{identifier!r} identifies no schema")
