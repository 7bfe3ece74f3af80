"""The unions of numbers, vectors and texts that logs, samples and histograms share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.events._tables import (
    Budget,
    Buffer,
    Schema,
    read_array,
    read_child,
    read_offsets,
    read_string,
    read_text,
)
from runstart.events.log_messages import LogValue
from runstart.events.messages import MalformedMessage

__all__ = [
    "HISTOGRAM_ARRAYS",
    "LOG_NUMBERS",
    "LOG_TEXT",
    "LOG_TEXTS",
    "SAMPLE_ARRAYS",
    "NumberTypes",
    "read_log_value",
    "read_typed_array",
]

NumberTypes = dict[int, np.dtype[Any]]
"""Types of the items by the number that the union has for them."""


def _numbered(*codes: str) -> NumberTypes:
    return {number: np.dtype(f"<{code}") for number, code in enumerate(codes, start=1)}


LOG_NUMBERS = _numbered("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
"""Of f142 and f144: single numbers; a vector of the same type has the number + 10."""
LOG_TEXT, LOG_TEXTS = 21, 22
"""Of f142: one text, several texts."""
SAMPLE_ARRAYS = _numbered("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f8", "f4")
"""Of se00."""
HISTOGRAM_ARRAYS = {"hs00": _numbered("u4", "u8", "f8", "f4"), "hs01": _numbered("i4", "i8", "f8", "f4")}

_ARRAY = Schema("I", (0,))
_SCALARS = {
    number: Schema(code, (0.0 if code in "fd" else 0,)) for number, code in enumerate("bBhHiIqQfd", start=1)
}
_VECTORS = {number + len(LOG_NUMBERS): dtype for number, dtype in LOG_NUMBERS.items()}


def read_log_value(buffer: Buffer, kind: int, field: int, distance: int) -> LogValue:
    """Return what the union of f142 and f144 leads to.

    Parameters
    ----------
    buffer : bytes or memoryview
        The message.
    kind : int
        Which member of the union was sent.
    field, distance : int
        Position and value of the union's field.

    Raises
    ------
    MalformedMessage
        If there is no value, its kind is unknown, or it lies outside.
    """
    if kind in _SCALARS:
        (number,), _ = read_child(buffer, field, distance, _SCALARS[kind])
        return number  # type: ignore[no-any-return]
    if kind == LOG_TEXT:
        (text,), (text_at,) = read_child(buffer, field, distance, _ARRAY)
        return read_text(buffer, text_at, text)
    if kind == LOG_TEXTS:
        return _read_texts(buffer, field, distance)
    return read_typed_array(buffer, kind, field, distance, _VECTORS)


def read_typed_array(buffer: Buffer, kind: int, field: int, distance: int, types: NumberTypes) -> NDArray[Any]:
    """Return the vector that a union of vectors leads to, shape (n,), as a read-only view.

    Parameters
    ----------
    buffer, kind, field, distance
        As in `read_log_value`.
    types : dict of int to numpy.dtype
        The union's members.

    Raises
    ------
    MalformedMessage
        If there is none, its type is unknown, or it lies outside.
    """
    dtype = types.get(kind)
    if dtype is None:
        raise MalformedMessage(f"a value of the unknown type {kind}")
    (vector,), (vector_at,) = read_child(buffer, field, distance, _ARRAY)
    return read_array(buffer, vector_at, vector, dtype) if vector_at else np.frombuffer(b"", dtype)


def _read_texts(buffer: Buffer, field: int, distance: int) -> tuple[str, ...]:
    (vector,), (vector_at,) = read_child(buffer, field, distance, _ARRAY)
    budget = Budget(buffer)
    texts = []
    for position, ahead in read_offsets(buffer, vector_at, vector, budget):
        text = read_string(buffer, position, ahead)
        budget.spend(len(text))
        texts.append(text)
    return tuple(texts)
