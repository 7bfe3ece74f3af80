"""Logs, samples, alarms and status: what we write others read, what others write we read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from streaming_data_types import (
    deserialise_f142,
    deserialise_se00,
    deserialise_x5f2,
    serialise_f142,
    serialise_se00,
    serialise_x5f2,
)
from streaming_data_types.alarm_al00 import Severity as TheirSeverity
from streaming_data_types.alarm_al00 import deserialise_al00, serialise_al00
from streaming_data_types.fbschemas.logdata_f142.AlarmSeverity import AlarmSeverity
from streaming_data_types.fbschemas.logdata_f142.AlarmStatus import AlarmStatus
from streaming_data_types.logdata_f144 import deserialise_f144, serialise_f144

from runstart.events import (
    AlarmMessage,
    FastSamples,
    ForeignMessage,
    LogMessage,
    MalformedMessage,
    SampleLocation,
    Severity,
    StatusMessage,
    decode,
    encode,
)

NUMBERS = [np.dtype(f"<{code}") for code in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")]
STATUSES = [name for name in vars(AlarmStatus) if name.isupper() and name != "NO_CHANGE"]
MESSAGE_SEVERITIES = [Severity.OK, Severity.MINOR, Severity.MAJOR, Severity.INVALID]

texts = st.text(max_size=20)
int64s, uint32s = st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**32 - 1)
times = st.integers(0, 2**63 - 1)
vectors = st.sampled_from(NUMBERS).flatmap(lambda dtype: hnp.arrays(dtype, st.integers(0, 12)))
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats()
f144s = st.builds(LogMessage, st.just("f144"), texts, numbers | vectors, int64s)
f142_values = numbers | vectors | texts | st.lists(texts, max_size=5).map(tuple)
f142s = st.builds(
    LogMessage,
    st.just("f142"),
    texts,
    f142_values,
    times,
    st.none() | st.sampled_from(MESSAGE_SEVERITIES),
    st.none() | st.sampled_from(STATUSES),
)
al00s = st.builds(AlarmMessage, texts, int64s, st.sampled_from(MESSAGE_SEVERITIES), texts)
x5f2s = st.builds(StatusMessage, texts, texts, texts, texts, uint32s, uint32s, texts)


@st.composite
def se00s(draw):
    values = draw(vectors)
    return FastSamples(
        draw(texts),
        draw(st.integers(-(2**31), 2**31 - 1)),
        draw(int64s),
        values,
        draw(st.floats()),
        draw(st.none() | hnp.arrays(np.int64, values.size)),
        draw(st.sampled_from(SampleLocation)),
        draw(int64s),
    )


@pytest.fixture(autouse=True)
def _older_numpy_names(monkeypatch):
    # The reference codec of f142 uses names that numpy 2 has dropped.
    monkeypatch.setattr(np, "unicode_", np.str_, raising=False)
    monkeypatch.setattr(np, "string_", np.bytes_, raising=False)


def assert_same_value(theirs: object, ours: object) -> None:
    np.testing.assert_array_equal(np.asarray(theirs), np.asarray(ours))


@given(f142s | f144s | se00s() | al00s | x5f2s)
def test_decoding_what_was_encoded_gives_an_equal_message(message):
    assert decode(encode(message)) == message


@given(f144s)
def test_reference_codec_reads_our_f144(message):
    theirs = deserialise_f144(encode(message))
    assert (theirs.source_name, theirs.timestamp_unix_ns) == (message.source_name, message.time_ns)
    assert_same_value(theirs.value if np.size(theirs.value) else [], message.value)


@given(f144s)
def test_f144_of_the_reference_codec_is_read(message):
    payload = serialise_f144(message.source_name, message.value, message.time_ns)
    assert decode(payload) == message


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_single_number_of_every_type_of_the_reference_codec_is_read(dtype):
    for value in (np.zeros(1, dtype)[0], np.full(1, 100, dtype)[0]):
        for payload in (serialise_f144("s", value, 5), serialise_f142(value, "s", 5)):
            found = decode(payload).value
            assert found == value
            assert type(found) is (float if dtype.kind == "f" else int)


def is_readable_by_reference(message: LogMessage) -> bool:
    # It mistakes a text for an array of fixed width, and nothing for an empty array.
    texts = (message.value,) if isinstance(message.value, str) else message.value
    return not isinstance(texts, tuple) or all("\0" not in text for text in texts)


@given(f142s.filter(is_readable_by_reference))
def test_reference_codec_reads_our_f142(message):
    theirs = deserialise_f142(encode(message))
    assert (theirs.source_name, theirs.timestamp_unix_ns) == (message.source_name, message.time_ns)
    status = "NO_CHANGE" if message.status is None else message.status
    names = {Severity.OK: "NO_ALARM", None: "NO_CHANGE"}
    severity = names.get(message.severity) or message.severity.name
    assert theirs.alarm_status == getattr(AlarmStatus, status)
    assert theirs.alarm_severity == getattr(AlarmSeverity, severity)
    if np.size(message.value) and not (isinstance(message.value, str) and message.value == ""):
        assert_same_value(theirs.value, message.value)


@given(f142s.filter(is_readable_by_reference).filter(lambda message: np.size(message.value) > 0))
def test_f142_of_the_reference_codec_is_read(message):
    value = list(message.value) if isinstance(message.value, tuple) else message.value
    names = {Severity.OK: "NO_ALARM", None: "NO_CHANGE"}
    severity = getattr(AlarmSeverity, names.get(message.severity) or message.severity.name)
    status = getattr(AlarmStatus, message.status or "NO_CHANGE")
    payload = serialise_f142(value, message.source_name, message.time_ns, status, severity)
    assert decode(payload) == message


@given(se00s())
def test_reference_codec_reads_our_se00(message):
    theirs = deserialise_se00(encode(message))
    assert (theirs.name, theirs.channel) == (message.source_name, message.channel)
    assert (theirs.timestamp_unix_ns, theirs.message_counter) == (message.time_ns, message.message_id)
    assert_same_value(theirs.sample_ts_delta, message.interval_ns)
    assert theirs.ts_location == message.location
    assert_same_value(theirs.values, message.values)
    if message.sample_time_ns is None:
        assert theirs.value_ts is None
    else:
        assert_same_value(theirs.value_ts, message.sample_time_ns)


@given(se00s())
def test_se00_of_the_reference_codec_is_read(message):
    payload = serialise_se00(
        message.source_name,
        message.channel,
        message.time_ns,
        message.interval_ns,
        message.message_id,
        message.values,
        message.location,
        None if message.sample_time_ns is None else message.sample_time_ns,
    )
    assert decode(payload) == message


@given(al00s)
def test_alarm_is_the_same_to_the_reference_codec_both_ways(message):
    theirs = deserialise_al00(encode(message))
    assert (theirs.source, theirs.timestamp_ns, theirs.message) == (
        message.source_name,
        message.time_ns,
        message.text,
    )
    assert theirs.severity is TheirSeverity(message.severity.value)
    assert decode(serialise_al00(theirs.source, theirs.timestamp_ns, theirs.severity, theirs.message)) == message


@given(x5f2s)
def test_status_is_the_same_to_the_reference_codec_both_ways(message):
    theirs = deserialise_x5f2(encode(message))
    assert tuple(theirs) == (
        message.software_name,
        message.software_version,
        message.service_id,
        message.host_name,
        message.process_id,
        message.update_interval_ms,
        message.status_json,
    )
    assert decode(serialise_x5f2(*theirs)) == message


@pytest.mark.parametrize(
    "message",
    [
        LogMessage("f144", "s", "text", 5),
        LogMessage("f144", "s", ("one",), 5),
        LogMessage("f144", "s", 1.0, 5, Severity.OK),
        LogMessage("f144", "s", 1.0, 5, None, "HIHI"),
        LogMessage("f144", "s", 2**64, 5),
        LogMessage("f144", "s", -(2**63) - 1, 5),
        LogMessage("f144", "s", 1.0, 2**63),
        LogMessage("f144", "s", np.zeros((2, 2)), 5),
        LogMessage("f144", "s", np.zeros(2, bool), 5),
        LogMessage("f144", "s", np.zeros(2, complex), 5),
        LogMessage("f144", "s", None, 5),
        LogMessage("f142", "s", 1.0, -1),
        LogMessage("f142", "s", 1.0, 5, Severity.DISCONNECTED),
        LogMessage("f142", "s", 1.0, 5, None, "hot"),
        LogMessage("f142", "\ud800", 1.0, 5),
        FastSamples("s", 0, 5, np.zeros(3), 1.0, np.zeros(2, np.int64)),
        FastSamples("s", 0, 5, np.zeros(3, "U3")),
        FastSamples("s", 2**31, 5, np.zeros(3)),
        AlarmMessage("s", 5, Severity.DISCONNECTED),
        StatusMessage("s", process_id=-1),
    ],
    ids=repr,
)
def test_message_that_breaks_a_rule_is_not_encoded(message):
    with pytest.raises(MalformedMessage):
        encode(message)


def test_numbers_of_other_byte_order_are_sent_as_they_are():
    values = np.arange(5, dtype=">i4")
    found = decode(encode(LogMessage("f144", "s", values, 5)))
    assert (found.value.dtype, found.value.tolist()) == (np.dtype("<i4"), values.tolist())


def test_not_a_number_equals_itself_in_messages_alone():
    one, other = (LogMessage("f144", "s", math.nan, 5) for _ in range(2))
    assert one == other
    assert one != LogMessage("f144", "s", 0.0, 5)


@pytest.mark.parametrize(("schema", "successor"), [("ev43", "ev44"), ("senv", "se00")])
def test_superseded_schema_is_foreign_and_says_what_to_send(schema, successor):
    with pytest.raises(ForeignMessage, match=f"{schema}.*{successor}") as caught:
        decode(b"\x0c\0\0\0" + schema.encode() + bytes(16))
    assert caught.value.schema == schema
