from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.operators.messages import (
    BrokenMessage,
    BytesLike,
    BytesMessage,
    MessageHeader,
    decode,
    encode,
    show_header,
)

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(st.text(), _json, max_size=4)
_entries = st.none() | st.lists(_objects, max_size=3)


@given(meta=st.binary() | _objects, data=st.binary(), entries=_entries)
def test_what_is_sent_comes_in(meta: bytes | dict[str, Any], data: bytes, entries: Any) -> None:
    parts = [bytes(part) for part in encode(BytesMessage(MessageHeader(meta=meta), data), entries)]
    message = decode(parts, "frames")

    assert len(parts) == (2 if isinstance(meta, dict) else 3)
    assert message.header == MessageHeader("bytes", meta, entries)
    assert bytes(message.data) == data
    assert message.port == "frames"


@given(st.lists(st.binary() | _json.map(lambda value: json.dumps(value).encode()), max_size=4))
def test_parts_that_are_no_message_are_refused_and_nothing_else_happens(parts: list[BytesLike]) -> None:
    try:
        message = decode(parts)
    except BrokenMessage:
        return
    assert json.loads(bytes(parts[0]))["subject"] == "bytes"
    assert bytes(message.data) == parts[-1]


def test_fields_that_are_not_known_are_left_alone() -> None:
    header = {"subject": "bytes", "meta": {"a": 1}, "tracking": {"metadatas": [], "more": 1}, "priority": 7}
    assert decode([json.dumps(header).encode(), b"data"]).header == MessageHeader("bytes", {"a": 1}, [])


def test_a_header_without_meta_has_an_empty_one() -> None:
    assert decode([b'{"subject": "bytes"}', b""]).header == MessageHeader("bytes", b"{}", None)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([], "has 0"),
        ([b"{}"], "has 1"),
        ([b"{}", b"", b"", b""], "has 4"),
        ([b"\xff", b""], "no JSON"),
        ([b"[" * 100_000, b""], "no JSON"),
        ([b"[1]", b""], "no JSON object"),
        ([b"{}", b""], "subject is None"),
        ([b'{"subject": "shm"}', b""], "subject is 'shm'"),
        ([b'{"subject": "bytes", "meta": 3}', b""], "meta is of the type int"),
        ([b'{"subject": "bytes", "tracking": []}', b""], "tracking is not null"),
        ([b'{"subject": "bytes", "tracking": {"metadatas": [1]}}', b""], "tracking is not null"),
    ],
)
def test_a_refusal_says_what_is_wrong(parts: list[BytesLike], why: str) -> None:
    with pytest.raises(BrokenMessage, match=why):
        decode(parts)


def test_data_that_came_in_cannot_be_changed() -> None:
    data = decode([b'{"subject":"bytes"}', bytearray(b"data")]).data
    assert isinstance(data, memoryview)
    with pytest.raises(TypeError):
        data[0] = 0


@pytest.mark.parametrize("shape", [(0,), (2, 3), (0, 4)])
def test_an_array_is_sent_as_its_bytes(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    data = encode(BytesMessage(MessageHeader(), array.data))[-1]
    assert bytes(data) == array.tobytes()


@pytest.mark.parametrize(
    ("data", "why"), [("text", "not str"), (memoryview(b"abcd")[::2], "contiguous"), (7, "not int")]
)
def test_data_that_are_no_bytes_are_told(data: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        encode(BytesMessage(MessageHeader(), data))


def test_a_meta_that_is_neither_bytes_nor_a_dict_is_told() -> None:
    with pytest.raises(TypeError, match="not list"):
        encode(BytesMessage(MessageHeader(meta=[1]), b""))  # type: ignore[arg-type]


@given(meta=st.binary() | _objects)
def test_a_header_is_shown_as_one_json_text(meta: bytes | dict[str, Any]) -> None:
    shown = json.loads(show_header(MessageHeader(meta=meta)))
    assert shown["subject"] == "bytes"
    assert shown["meta"] == (meta if isinstance(meta, dict) else meta.decode(errors="replace"))
