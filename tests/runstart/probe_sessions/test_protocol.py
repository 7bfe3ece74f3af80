"""edgeECHO's protocol: the same bytes, whatever pieces they come in, and an error for what is no message."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.probe_sessions.protocol import LONGEST_OBJECT, Message, MessageReader, MessageType, ProtocolError

data = st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.lists(st.text(max_size=5), max_size=3)
messages = st.builds(
    Message, sender=st.text(max_size=20), type=st.sampled_from(MessageType), data=data, type_is_text=st.booleans()
)


@given(sent=st.lists(messages, max_size=8), cuts=st.lists(st.integers(0, 1000), max_size=12))
def test_messages_come_out_as_they_went_in_however_they_are_cut(sent: list[Message], cuts: list[int]) -> None:
    wire = b"".join(message.encode() for message in sent)
    places = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    reader = MessageReader()
    received = [
        message for first, after in itertools.pairwise(places) for message in reader.feed(wire[first:after])
    ]
    assert received == sent
    assert reader.is_between


@given(sent=st.lists(messages, min_size=1, max_size=5))
def test_every_message_is_an_object_in_ascii_and_only_its_end_is_a_semicolon(sent: list[Message]) -> None:
    wire = b"".join(message.encode() for message in sent)
    assert wire.isascii()
    objects = wire.split(b";")
    assert objects.pop() == b""
    assert [json.loads(one)["data"] for one in objects] == [message.data for message in sent]


def test_the_bytes_are_those_of_edgeecho() -> None:
    hello = Message("probe", MessageType.CONNECTION, "You are connected to probe")
    assert hello.encode() == b'{"sender": "probe", "type": 3, "data": "You are connected to probe"};'
    assert Message("probe", MessageType.DATA, 7, type_is_text=True).encode() == (
        b'{"sender": "probe", "type": "1", "data": 7};'
    )
    assert (
        Message("streaming", MessageType.TERMINATE, 1).encode() == b'{"sender": "streaming", "type": 2, "data": 1};'
    )


def test_a_type_is_read_as_a_number_and_as_a_string() -> None:
    (number, text) = MessageReader().feed(b'{"sender":"a","type":1,"data":0};{"sender":"a","type":"1","data":0};')
    assert number.type is text.type is MessageType.DATA


@pytest.mark.parametrize(
    "garbage",
    [
        b";",
        b"GET / HTTP/1.1\r\n;",
        b"[1, 2];",
        b'{"sender": "probe", "type": 1};',
        b'{"sender": "probe", "type": 4, "data": 0};',
        b'{"sender": "probe", "type": true, "data": 0};',
        b'{"sender": 3, "type": 1, "data": 0};',
        b'{"sender": "probe", "type": 1, "data": 0}{};',
        b"\xff\xfe;",
        b"[" * 50_000 + b";",
    ],
)
def test_what_is_no_message_is_an_error_that_shows_it(garbage: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        MessageReader().feed(garbage)
    assert repr(garbage.rstrip(b";")[:20])[:-1] in str(caught.value)


def test_a_message_that_never_ends_is_an_error_before_memory_is_full() -> None:
    reader = MessageReader()
    reader.feed(b"x" * LONGEST_OBJECT)
    with pytest.raises(ProtocolError, match="without the end of a message"):
        reader.feed(b"x")


def test_a_message_that_is_too_long_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="more than 65536"):
        MessageReader().feed(Message("probe", MessageType.DATA, "x" * LONGEST_OBJECT).encode())
