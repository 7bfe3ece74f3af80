"""Turns arrays with axes and histograms into payloads, by the rules of `runstart.events.encoding`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.events._array_tables import DATA_TEXT, DATA_TYPES
from runstart.events._building import (
    add_offsets,
    add_string,
    add_strings,
    add_table,
    as_little_endian,
    finish,
    new_builder,
    vector,
    whole,
)
from runstart.events._log_encoding import add_typed_array
from runstart.events._values import HISTOGRAM_ARRAYS
from runstart.events.array_messages import DataArrayMessage, HistogramAxis, HistogramMessage, Variable
from runstart.events.messages import MalformedMessage
from runstart.schemas.generated import (
    DataArray,
    DataVariable,
    Histogram00,
    Histogram01,
    HistogramDimension00,
    HistogramDimension01,
)

__all__ = ["encode_data_array", "encode_histogram"]

_HISTOGRAMS: dict[str, tuple[Any, Any, type[np.integer[Any]], type[np.integer[Any]]]] = {
    "hs00": (Histogram00, HistogramDimension00, np.uint32, np.uint64),
    "hs01": (Histogram01, HistogramDimension01, np.int32, np.int64),
}


def encode_data_array(message: DataArrayMessage) -> bytes:
    """Return a da00 payload.

    Raises
    ------
    MalformedMessage
        If there is no array, the type of one is not in the schema, axes and dimensions differ in number, or a
        number does not fit its field.
    """
    arrays = [variable.data for variable in message.variables if isinstance(variable.data, np.ndarray)]
    builder = new_builder(sum(array.nbytes for array in arrays))
    variables = add_offsets(builder, [_add_variable(builder, variable) for variable in message.variables])
    data_array = add_table(
        builder,
        DataArray,
        SourceName=add_string(builder, message.source_name),
        Timestamp=whole("time_ns", message.time_ns, np.int64),
        Data=variables,
    )
    return finish(builder, data_array, b"da00")


def encode_histogram(message: HistogramMessage) -> bytes:
    """Return an hs00 or hs01 payload.

    Raises
    ------
    MalformedMessage
        If the shapes do not fit together, the schema has no such type, or a number does not fit its field.
    """
    table, axis_table, length_type, time_type = _HISTOGRAMS[message.schema]
    types = HISTOGRAM_ARRAYS[message.schema]
    builder = new_builder(message.counts.nbytes * 2)
    axes = add_offsets(builder, [_add_axis(builder, message.schema, axis_table, axis) for axis in message.axes])
    counts_kind, counts = add_typed_array(builder, "counts", message.counts, types)
    fields: dict[str, Any] = {
        "Source": add_string(builder, message.source_name),
        "Timestamp": whole("time_ns", message.time_ns, time_type),
        "DimMetadata": axes,
        "LastMetadataTimestamp": whole("metadata_time_ns", message.metadata_time_ns, time_type),
        "CurrentShape": builder.CreateNumpyVector(vector("shape", message.counts.shape, length_type)),
        "DataType": counts_kind,
        "Data": counts,
        "Info": add_string(builder, message.info),
    }
    if message.offset is not None:
        fields["Offset"] = builder.CreateNumpyVector(vector("offset", message.offset, length_type))
    if message.errors is not None:
        if message.errors.shape != message.counts.shape:
            raise MalformedMessage(f"errors of shape {message.errors.shape} of counts {message.counts.shape}")
        fields["ErrorsType"], fields["Errors"] = add_typed_array(builder, "errors", message.errors, types)
    return finish(builder, add_table(builder, table, **fields), message.schema.encode())


def _add_variable(builder: Any, variable: Variable) -> int:
    shape: tuple[int, ...]
    if isinstance(variable.data, str):
        raw = _text_bytes(variable.data)
        data_type, shape = DATA_TEXT, raw.shape
    else:
        numbers = as_little_endian(np.asarray(variable.data))
        data_type, shape = _data_type(numbers), numbers.shape
        raw = numbers.reshape(-1).view(np.uint8)
    texts = {"Unit": variable.unit, "Label": variable.label, "Source": variable.source}
    fields = {name: None if text is None else add_string(builder, text) for name, text in texts.items()}
    return add_table(
        builder,
        DataVariable,
        Name=add_string(builder, variable.name),
        **fields,
        DataType=data_type,
        Axes=add_strings(builder, variable.axes),
        Shape=builder.CreateNumpyVector(vector("shape", shape, np.int64)),
        Data=builder.CreateNumpyVector(raw),
    )


def _text_bytes(text: str) -> NDArray[np.uint8]:
    try:
        return np.frombuffer(text.encode(), np.uint8)
    except UnicodeEncodeError as error:
        raise MalformedMessage(f"a string is not Unicode text: {error}") from error


def _data_type(numbers: NDArray[Any]) -> int:
    for number, dtype in DATA_TYPES.items():
        if dtype == numbers.dtype:
            return number
    raise MalformedMessage(f"data of {numbers.dtype}, which da00 has not")


def _add_axis(builder: Any, schema: str, table: Any, axis: HistogramAxis) -> int:
    length_type = _HISTOGRAMS[schema][2]
    fields: dict[str, Any] = {
        "Length": whole("length", axis.length, length_type),
        "Unit": add_string(builder, axis.unit),
        "Label": add_string(builder, axis.label),
    }
    if axis.edges is not None:
        fields["BinBoundariesType"], fields["BinBoundaries"] = add_typed_array(
            builder, "edges", axis.edges, HISTOGRAM_ARRAYS[schema]
        )
    return add_table(builder, table, **fields)
