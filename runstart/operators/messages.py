"""Messages between operators, and how they look on the wire: version 1.2 of the reference's format.

A message is multipart: a header in JSON and its data, with the meta between them where it is bytes. Header fields that are
not known are left alone; a message that is not as it should be is refused with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

BytesLike: TypeAlias = bytes | bytearray | memoryview
Entries: TypeAlias = list[dict[str, Any]]

_EMPTY_META = b"{}"
# The header of nearly all messages with a meta of bytes: neither made nor read anew each time.
_PLAIN_HEADER = b'{"subject":"bytes","tracking":null}'


class BrokenMessage(Exception):
    """Parts that are no message which an operator takes, and why."""


@dataclass(slots=True)
class MessageHeader:
    """What a message says of its data.

    Parameters
    ----------
    subject : str, optional
        Only `bytes` is handled.
    meta : bytes or dict, optional
        For the receiver; a dict holds what JSON can.
    tracking : list of dict or None, optional
        Times on the message's way; the kit adds to them, authors leave them alone.
    """

    subject: str = "bytes"
    meta: bytes | dict[str, Any] = _EMPTY_META
    tracking: Entries | None = None


@dataclass(slots=True)
class BytesMessage:
    """A message.

    Parameters
    ----------
    header : MessageHeader
        What it says of its data.
    data : bytes-like
        A received message's is a read-only `memoryview`, so that large data are not copied: `bytes(message.data)`
        copies, `numpy.frombuffer(message.data, ...)` does not.
    port : str, optional
        The input port by which it came.
    """

    header: MessageHeader
    data: BytesLike
    port: str = field(default="", compare=False)


def encode(message: BytesMessage, entries: Entries | None = None) -> list[BytesLike]:
    """Return a message's parts.

    Parameters
    ----------
    message : BytesMessage
        To be sent.
    entries : list of dict, optional
        Its tracking; that of its header is not sent.

    Returns
    -------
    list of bytes-like
        Two parts, or three if its meta is bytes; the data are the last, and are not copied.

    Raises
    ------
    TypeError
        If data are not contiguous bytes, or JSON cannot hold the meta.
    """
    subject, meta = message.header.subject, message.header.meta
    if isinstance(meta, dict):
        header = {"subject": subject, "meta": meta, "tracking": _wrap(entries)}
        return [json.dumps(header, separators=(",", ":")).encode(), _as_bytes(message.data)]
    if not isinstance(meta, bytes | bytearray | memoryview):
        raise TypeError(f"The meta of a message is bytes or a dict, not {type(meta).__name__}.")
    return [_bare_header(subject, entries), meta, _as_bytes(message.data)]


def decode(parts: Sequence[BytesLike], port: str = "") -> BytesMessage:
    """Return the message of some parts.

    Parameters
    ----------
    parts : sequence of bytes-like
        As they came.
    port : str, optional
        The input port by which they came.

    Raises
    ------
    BrokenMessage
        With the reason.
    """
    if len(parts) not in {2, 3}:
        raise BrokenMessage(f"A message has 2 or 3 parts, and this one has {len(parts)}.")
    first = bytes(parts[0])
    if first == _PLAIN_HEADER:
        header = MessageHeader()
    else:
        fields = _read_header(first)
        header = MessageHeader("bytes", _read_meta(fields), _read_tracking(fields))
    if len(parts) == 3:
        header.meta = bytes(parts[1])
    data = parts[-1]
    view = data if isinstance(data, memoryview) else memoryview(data)
    return BytesMessage(header, view if view.readonly else view.toreadonly(), port)


def show_header(header: MessageHeader) -> bytes:
    """Return a header with its meta as one text of JSON, for people who look into what broke an operator."""
    meta = header.meta if isinstance(header.meta, dict) else bytes(header.meta).decode(errors="replace")
    fields = {"subject": header.subject, "meta": meta, "tracking": _wrap(header.tracking)}
    return json.dumps(fields, default=repr).encode()


def count_bytes(data: BytesLike) -> int:
    """Return the size of data in bytes."""
    return data.nbytes if isinstance(data, memoryview) else len(data)


def _bare_header(subject: str, entries: Entries | None) -> bytes:
    if entries is None and subject == "bytes":
        return _PLAIN_HEADER
    return json.dumps({"subject": subject, "tracking": _wrap(entries)}, separators=(",", ":")).encode()


def _as_bytes(data: Any) -> BytesLike:
    if isinstance(data, bytes):
        return data
    try:
        view = memoryview(data)
        # An empty array cannot be cast.
        return view.cast("B") if view.nbytes else b""
    except (TypeError, BufferError) as error:
        raise TypeError(
            f"The data of a message are contiguous bytes, not {type(data).__name__}: {error}."
        ) from error


def _wrap(entries: Entries | None) -> dict[str, Entries] | None:
    return None if entries is None else {"metadatas": entries}


def _read_header(text: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise BrokenMessage(f"The header is no JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise BrokenMessage(f"The header is no JSON object, but of the type {type(fields).__name__}.")
    if fields.get("subject") != "bytes":
        raise BrokenMessage(f"The subject is {fields.get('subject')!r}, and only 'bytes' is handled.")
    return fields


def _read_meta(fields: dict[str, Any]) -> bytes | dict[str, Any]:
    meta = fields.get("meta", _EMPTY_META)
    if isinstance(meta, str):
        return meta.encode("utf-8", "surrogatepass")
    if not isinstance(meta, bytes | dict):
        raise BrokenMessage(f"The meta is of the type {type(meta).__name__}, not an object or a text.")
    return meta


def _read_tracking(fields: dict[str, Any]) -> Entries | None:
    tracking = fields.get("tracking")
    if tracking is None:
        return None
    entries = tracking.get("metadatas") if isinstance(tracking, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BrokenMessage('The tracking is not null or of the form {"metadatas": [{...}, ...]}.')
    return entries
