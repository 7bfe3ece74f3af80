"""Reads da00, hs00 and hs01, by the rules that `runstart.events.decoding` states."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runstart.events._tables import (
    Budget,
    Buffer,
    Schema,
    align_array,
    read_array,
    read_child,
    read_offsets,
    read_string,
    read_text,
)
from runstart.events._values import HISTOGRAM_ARRAYS, read_typed_array
from runstart.events.array_messages import DataArrayMessage, HistogramAxis, HistogramMessage, Variable
from runstart.events.messages import MalformedMessage

__all__ = [
    "DA00_SCHEMA",
    "DATA_TEXT",
    "DATA_TYPES",
    "HS00_SCHEMA",
    "HS01_SCHEMA",
    "read_da00",
    "read_histogram",
]

DA00_SCHEMA = Schema("IqI", (0, 0, 0))
HS00_SCHEMA = Schema("IQIQIIBIBII", (0,) * 11)
HS01_SCHEMA = Schema("IqIqIIBIBII", (0,) * 11)
_VARIABLE_SCHEMA = Schema("IIIIbIII", (0,) * 8)
_AXIS_SCHEMAS = {"hs00": Schema("IIIBI", (0,) * 5), "hs01": Schema("iIIBI", (0,) * 5)}

_NUMBERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
DATA_TYPES = {number: np.dtype(f"<{code}") for number, code in enumerate(_NUMBERS, start=1)}
"""Type of an item by its number in da00."""
DATA_TEXT = 11
"""The number of a text in da00."""

_BYTE = np.dtype("u1")
_INT64 = np.dtype("<i8")
_SHAPE_TYPES = {"hs00": np.dtype("<u4"), "hs01": np.dtype("<i4")}
_LARGEST_INT64 = 2**63 - 1
_MOST_DIMENSIONS = 32
_TABLE_COST = 128  # bytes of a variable or an axis at the very least, with its vectors' headers


def read_da00(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> DataArrayMessage:
    """Return an array with its axes (da00) from the values of its table's fields and their positions."""
    source, time_ns, data = values
    budget = Budget(buffer)
    variables = tuple(
        _read_variable(buffer, position, ahead, budget)
        for position, ahead in read_offsets(buffer, positions[2], data, budget)
    )
    if not variables:
        raise MalformedMessage("an array message without an array")
    return DataArrayMessage(read_text(buffer, positions[0], source), time_ns, variables)


def read_histogram(schema: Literal["hs00", "hs01"]) -> Callable[..., HistogramMessage]:
    """Return the reader of hs00 or hs01."""

    def read(buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]) -> HistogramMessage:
        return _read_histogram(schema, buffer, values, positions)

    return read


def _read_variable(buffer: Buffer, field: int, distance: int, budget: Budget) -> Variable:
    budget.spend(_TABLE_COST)
    values, positions = read_child(buffer, field, distance, _VARIABLE_SCHEMA)
    data_type = values[4]
    if not (positions[0] and positions[7]):
        raise MalformedMessage("an array without its name or its data")
    raw = read_array(buffer, positions[7], values[7], _BYTE)
    axes = tuple(
        _read_paid_text(buffer, position, ahead, budget)
        for position, ahead in read_offsets(buffer, positions[5], values[5], budget)
    )
    data: NDArray[Any] | str
    if data_type == DATA_TEXT:
        if axes:
            raise MalformedMessage("a text with axes")
        budget.spend(raw.size)
        data = _as_text(raw)
    elif data_type in DATA_TYPES:
        shape = read_array(buffer, positions[6], values[6], _INT64) if positions[6] else None
        data = _in_shape(_as_numbers(raw, DATA_TYPES[data_type], budget), shape, axes)
    else:
        raise MalformedMessage(f"data of the unknown type {data_type}")
    name, unit, label, source = (
        _read_paid_text(buffer, positions[field], values[field], budget) if positions[field] else None
        for field in range(4)
    )
    return Variable(name or "", data, axes, unit, label, source)


def _read_paid_text(buffer: Buffer, field: int, distance: int, budget: Budget) -> str:
    text = read_string(buffer, field, distance)
    budget.spend(len(text))
    return text


def _as_text(raw: NDArray[np.uint8]) -> str:
    try:
        return str(raw.tobytes(), "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"a text is not UTF-8: {error}") from error


def _as_numbers(raw: NDArray[np.uint8], dtype: np.dtype[Any], budget: Budget) -> NDArray[Any]:
    if raw.size % dtype.itemsize:
        raise MalformedMessage(f"{raw.size} bytes are no whole number of {dtype}")
    numbers = raw.view(dtype)
    if not numbers.flags.aligned:
        budget.spend(raw.size)
    return align_array(numbers)


def _in_shape(numbers: NDArray[Any], shape: NDArray[np.int64] | None, axes: tuple[str, ...]) -> NDArray[Any]:
    """Return the numbers in the shape that was sent.

    Without axes some producers give the shape of the bytes, also for a single number.
    """
    if shape is None or (not axes and shape.tolist() == [numbers.nbytes] and numbers.itemsize > 1):
        dimensions: list[int] = [] if numbers.size == 1 and not axes else [numbers.size]
    else:
        if shape.size > _MOST_DIMENSIONS:
            raise MalformedMessage(f"an array of {shape.size} dimensions")
        dimensions = shape.tolist()
    if axes and len(axes) != len(dimensions):
        raise MalformedMessage(f"{len(axes)} axes of {len(dimensions)} dimensions")
    return _reshape(numbers, dimensions)


def _reshape(numbers: NDArray[Any], shape: list[int]) -> NDArray[Any]:
    if any(length < 0 for length in shape) or math.prod(shape) != numbers.size:
        raise MalformedMessage(f"{numbers.size} numbers do not fill the shape {shape}")
    try:
        return numbers.reshape(shape)
    except (ValueError, OverflowError) as error:  # nothing, in dimensions that no memory has
        raise MalformedMessage(f"the shape {shape} is too large") from error


def _read_histogram(
    schema: Literal["hs00", "hs01"], buffer: Buffer, values: tuple[Any, ...], positions: tuple[int, ...]
) -> HistogramMessage:
    source, time_ns, axes_field, metadata_time_ns, shape, offset, data_kind, data, errors_kind, errors, info = (
        values
    )
    if max(time_ns, metadata_time_ns) > _LARGEST_INT64:
        raise MalformedMessage("a time does not fit a signed 64-bit integer")
    budget = Budget(buffer)
    axes = tuple(
        _read_axis(schema, buffer, position, ahead, budget)
        for position, ahead in read_offsets(buffer, positions[2], axes_field, budget)
    )
    if not 1 <= len(axes) <= _MOST_DIMENSIONS:
        raise MalformedMessage(f"a histogram of {len(axes)} dimensions")
    lengths = _read_lengths(schema, buffer, positions[4], shape, len(axes))
    types = HISTOGRAM_ARRAYS[schema]
    counts = read_typed_array(buffer, data_kind, positions[7], data, types)
    error_bars = read_typed_array(buffer, errors_kind, positions[9], errors, types) if errors_kind else None
    return HistogramMessage(
        schema=schema,
        source_name=read_text(buffer, positions[0], source),
        time_ns=time_ns,
        axes=axes,
        counts=_reshape(counts, lengths),
        errors=None if error_bars is None else _reshape(error_bars, lengths),
        offset=tuple(_read_lengths(schema, buffer, positions[5], offset, len(axes))) if positions[5] else None,
        metadata_time_ns=metadata_time_ns,
        info=read_text(buffer, positions[10], info),
    )


def _read_axis(
    schema: Literal["hs00", "hs01"], buffer: Buffer, field: int, distance: int, budget: Budget
) -> HistogramAxis:
    budget.spend(_TABLE_COST)
    values, positions = read_child(buffer, field, distance, _AXIS_SCHEMAS[schema])
    length, _, _, kind, edges_field = values
    edges = None
    if kind:
        edges = read_typed_array(buffer, kind, positions[4], edges_field, HISTOGRAM_ARRAYS[schema])
        budget.spend(edges.nbytes)
        if edges.size != length + 1:
            raise MalformedMessage(f"{edges.size} edges of {length} bins")
    if length < 0:
        raise MalformedMessage(f"a histogram of {length} bins")
    unit_text, label_text = (
        _read_paid_text(buffer, positions[field], values[field], budget) if positions[field] else ""
        for field in (1, 2)
    )
    return HistogramAxis(length, edges, unit_text, label_text)


def _read_lengths(schema: str, buffer: Buffer, field: int, distance: int, n_axes: int) -> list[int]:
    lengths = read_array(buffer, field, distance, _SHAPE_TYPES[schema]) if field else np.zeros(0, np.int32)
    if lengths.size != n_axes:
        raise MalformedMessage(f"{lengths.size} lengths or offsets of {n_axes} axes")
    return [int(length) for length in lengths.tolist()]
