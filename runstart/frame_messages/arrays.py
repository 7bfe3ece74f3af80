"""Arrays as messages: bytes in C order, little-endian, whose meta has `shape` and `dtype`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.operators import BytesMessage, MessageHeader

_KINDS = "biuf"
_REMEDY = "Wire an operator that sends arrays to this input."


def array_message(array: NDArray[Any], meta: Mapping[str, Any] | None = None) -> BytesMessage:
    """Return an array as a message.

    Parameters
    ----------
    array : ndarray of truth values or numbers
        Of any shape.
    meta : mapping of str to Any, optional
        What is said about it besides.
    """
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    about = {**(meta or {}), "shape": list(array.shape), "dtype": array.dtype.name}
    return BytesMessage(MessageHeader(meta=about), plain.tobytes())


def read_meta(message: BytesMessage) -> dict[str, Any]:
    """Return what stands about a message, as JSON; nothing if it is of another form."""
    meta = message.header.meta
    if isinstance(meta, dict):
        return meta
    try:
        found = json.loads(bytes(meta))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_array(message: BytesMessage) -> bool:
    """Tell whether a message says that it is an array."""
    return {"shape", "dtype"} <= read_meta(message).keys()


def read_array(message: BytesMessage) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the array of a message, which is not to be written to, and its meta.

    Raises
    ------
    Alert
        If it is none, or has another size than its shape says.
    """
    meta = read_meta(message)
    if not {"shape", "dtype"} <= meta.keys():
        raise Alert("The message is no array: its meta has no shape and dtype.", _REMEDY)
    shape, dtype = _shape(meta["shape"]), _dtype(meta["dtype"])
    wanted = math.prod(shape) * dtype.itemsize
    if len(message.data) != wanted:
        told = f"{' x '.join(map(str, shape))} of {dtype.name}"
        raise Alert(f"The array of {told} needs {wanted} bytes, but the message has {len(message.data)}.", _REMEDY)
    return np.frombuffer(message.data, dtype.newbyteorder("<")).reshape(shape), meta


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not all(type(length) is int and length >= 0 for length in value):
        raise Alert(f"The shape {str(value)[:60]} of the array cannot be.", _REMEDY)
    return tuple(value)


def _dtype(value: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError as error:
        raise Alert(f"The dtype {str(value)[:60]!r} of the array is none.", _REMEDY) from error
    if dtype.kind not in _KINDS:
        raise Alert(f"The array is of {dtype}, which is no number.", _REMEDY)
    return dtype
