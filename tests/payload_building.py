"""Builds payloads field by field, whether their schema likes it or not."""

from __future__ import annotations

import flatbuffers
import numpy as np

__all__ = ["HUGE", "PULSE_TIME_NS", "build_payload"]

HUGE = 0xFFFF_FFF0
PULSE_TIME_NS = 1_700_000_000_123_456_789
_MOST_FIELDS = 8  # of a table that a field leads to


def build_payload(identifier: bytes, n_fields: int, fields: dict[int, object]) -> bytes:
    """Return a payload.

    Parameters
    ----------
    identifier : bytes
        Of the schema.
    n_fields : int
        Fields that the schema has.
    fields : dict of int to object
        By number: None leaves a field out, a text, a vector, a table (dict) or a vector of texts or tables (list) is
        led to, a number comes with its struct code.
    """
    builder = flatbuffers.Builder(256)
    builder.Finish(_add_table(builder, n_fields, fields), file_identifier=identifier)
    return bytes(builder.Output())


def _add_table(builder: flatbuffers.Builder, n_fields: int, fields: dict[int, object]) -> int:
    builder.ForceDefaults(True)
    offsets = {}
    for field, value in fields.items():
        if isinstance(value, str | bytes):
            offsets[field] = builder.CreateString(value)
        elif isinstance(value, np.ndarray):
            offsets[field] = builder.CreateNumpyVector(value)
        elif isinstance(value, dict):
            offsets[field] = _add_table(builder, _MOST_FIELDS, value)
        elif isinstance(value, list):
            offsets[field] = _add_pieces(builder, value)
    builder.StartObject(n_fields)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, value in fields.items():
        if isinstance(value, tuple):
            prepend = {
                "b": builder.PrependInt8Slot,
                "B": builder.PrependUint8Slot,
                "h": builder.PrependInt16Slot,
                "H": builder.PrependUint16Slot,
                "i": builder.PrependInt32Slot,
                "I": builder.PrependUint32Slot,
                "q": builder.PrependInt64Slot,
                "Q": builder.PrependUint64Slot,
            }[value[0]]
            prepend(field, value[1], 0)
    return builder.EndObject()


def _add_pieces(builder: flatbuffers.Builder, pieces: list[object]) -> int:
    """Add a vector of strings or tables; one that is in the list twice is in the message once."""
    offsets: dict[int, int] = {}
    for piece in pieces:
        if id(piece) not in offsets:
            add = (
                _add_table(builder, _MOST_FIELDS, piece) if isinstance(piece, dict) else builder.CreateString(piece)
            )
            offsets[id(piece)] = add
    builder.StartVector(4, len(pieces), 4)
    for piece in reversed(pieces):
        builder.PrependUOffsetTRelative(offsets[id(piece)])
    return int(builder.EndVector())
