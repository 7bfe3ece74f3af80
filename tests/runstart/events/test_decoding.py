from __future__ import annotations

import struct
import tracemalloc
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from log_payloads import bombs as log_bombs
from payload_building import PULSE_TIME_NS
from payloads import (
    foreign_payloads,
    hostile_payloads,
    malformed_payloads,
    unread_event_payloads,
    valid_payloads,
)

from runstart.events import (
    ForeignMessage,
    IsisData,
    MalformedMessage,
    Message,
    RunStart,
    RunState,
    RunStop,
    decode,
    encode,
    encode_ev42,
    encode_ev44,
)

MESSAGES = get_args(Message)
VALID = dict(valid_payloads())
MALFORMED = dict(malformed_payloads())


def arrays_of(value: object) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    if is_dataclass(value):
        return [array for field in fields(value) for array in arrays_of(getattr(value, field.name))]
    return [array for item in value for array in arrays_of(item)] if isinstance(value, tuple) else []


def decode_or_refuse(payload: object) -> object:
    try:
        return decode(payload)
    except MalformedMessage:
        return None


def test_hostile_payloads_have_names_of_their_own():
    names = [name for name, _ in hostile_payloads()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("payload", VALID.values(), ids=VALID)
def test_valid_payload_survives_decoding_and_encoding(payload):
    message = decode(payload)
    assert isinstance(message, MESSAGES)
    assert decode(encode(message)) == message


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED)
def test_broken_rule_is_malformed_and_not_foreign(payload):
    with pytest.raises(MalformedMessage) as caught:
        decode(payload)
    assert not isinstance(caught.value, ForeignMessage)


def test_hostile_payload_gives_a_message_or_malformed():
    for name, payload in hostile_payloads():
        message = decode_or_refuse(payload)
        assert message is None or isinstance(message, MESSAGES), name


def test_what_decodes_by_chance_obeys_the_rules():
    # Encoding checks all rules again, on a payload of its own making.
    for name, payload in hostile_payloads():
        message = decode_or_refuse(payload)
        if message is not None:
            again = decode(encode(message))
            charges = [getattr(getattr(m, "facility", None), "proton_charge", 0.0) for m in (message, again)]
            assert again == message or np.isnan(charges).all(), name


@pytest.mark.parametrize("form", [bytearray, memoryview], ids=["bytearray", "memoryview"])
def test_any_bytes_like_payload_means_the_same(form):
    for name, payload in hostile_payloads():
        if len(payload) < 8 or payload[4:8] in (b"ev42", b"ev44"):
            expected, found = decode_or_refuse(payload), decode_or_refuse(form(payload))
            facility = getattr(expected, "facility", None)
            assert expected == found or np.isnan(facility.proton_charge), name


def test_payload_at_an_odd_address_means_the_same():
    for payload in VALID.values():
        shifted = memoryview(b"\0" + payload)[1:]
        message = decode(shifted)
        assert message == decode(payload)
        assert all(array.flags.aligned and not array.flags.writeable for array in arrays_of(message))


@pytest.mark.parametrize("shift", range(1, 8))
def test_misaligned_vectors_are_copied_to_aligned_ones(shift):
    # All distances are relative: what follows the identifier can be moved as a whole.
    for payload in VALID.values():
        root = struct.unpack_from("<I", payload)[0] + shift
        message = decode(struct.pack("<I", root) + payload[4:8] + bytes(shift) + payload[8:])
        assert message == decode(payload)
        assert all(array.flags.aligned and not array.flags.writeable for array in arrays_of(message))


def test_payload_in_pieces_means_the_same():
    payload = VALID["ev44"]
    doubled = np.repeat(np.frombuffer(payload, np.uint8), 2).tobytes()
    assert decode(memoryview(doubled)[::2]) == decode(payload)


@given(st.binary(max_size=300))
def test_random_bytes_give_a_message_or_malformed(payload):
    decode_or_refuse(payload)


@given(
    st.sampled_from(sorted(VALID)),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=6),
    st.integers(0, 40),
)
def test_altered_message_gives_a_message_or_malformed(name, changes, cut):
    payload = bytearray(VALID[name])
    for position, value in changes:
        payload[position % len(payload)] = value
    decode_or_refuse(bytes(payload[: len(payload) - cut]))


@given(
    st.integers(0, 140), st.integers(-200, 200), st.lists(st.integers(0, 90), max_size=18), st.binary(max_size=120)
)
@example(root=13, soffset=5, vtable=[4, 4], rest=b"")
def test_crafted_table_gives_a_message_or_malformed(root, soffset, vtable, rest):
    for identifier in (b"pl72", b"6s4t", b"df12", b"ev42", b"ev44"):
        payload = bytearray(struct.pack(f"<I4s{len(vtable)}H", root, identifier, *vtable) + rest)
        if root + 4 <= len(payload):
            struct.pack_into("<i", payload, root, soffset)
        decode_or_refuse(bytes(payload))


@pytest.mark.parametrize("payload", [None, "ev44", 7, [1, 2]])
def test_payload_that_is_not_bytes_is_malformed(payload):
    with pytest.raises(MalformedMessage):
        decode(payload)


@pytest.mark.parametrize(("name", "payload"), [*foreign_payloads(), *unread_event_payloads()])
def test_other_schema_is_foreign_and_named(name, payload):
    with pytest.raises(ForeignMessage) as caught:
        decode(payload)
    assert caught.value.schema == name.removeprefix("foreign ")


def test_nothing_large_is_allocated_for_a_length_that_lies():
    decode_or_refuse(VALID["ev44"])
    bombs = dict(log_bombs())
    payloads = [(name, payload) for name, payload in malformed_payloads() if name not in bombs]
    tracemalloc.start()
    try:
        for _, payload in payloads:
            decode_or_refuse(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000


@pytest.mark.parametrize(("name", "payload"), log_bombs())
def test_nothing_large_comes_of_pieces_that_are_led_to_again_and_again(name, payload):
    tracemalloc.start()
    try:
        decode_or_refuse(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(payload) < 100_000
    assert peak < 3_000_000


def test_arrays_are_not_copied_however_many_events_there_are():
    events = np.arange(1_000_000, dtype=np.int32)
    payload = encode_ev44("s", 1, [1, 2], [0, 5], events, detector_id=events)
    decode(payload)
    tracemalloc.start()
    try:
        message = decode(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message.n_events == events.size
    assert peak < 20_000


@pytest.mark.parametrize("name", ["df12", "ev42", "ev42 with is84", "ev44 of four pulses", "ev44 of 100 pulses"])
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_arrays_are_read_only_aligned_views_on_the_payload(name, form):
    payload = form(VALID[name])
    raw = np.frombuffer(payload, np.uint8)
    for array in arrays_of(decode(payload)):
        assert not array.flags.writeable
        assert array.flags.aligned
        assert np.shares_memory(array, raw) or (array.size == 1 and array[0] == 0)
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


def test_message_is_frozen():
    with pytest.raises(FrozenInstanceError):
        decode(VALID["ev44"]).message_id = 3


def test_pulses_of_ev44_keep_their_order_and_their_first_events():
    message = decode(VALID["ev44 of four pulses"])
    assert message.pulse_time_ns.tolist() == [PULSE_TIME_NS + 71_428_571 * pulse for pulse in range(4)]
    assert message.pulse_index.tolist() == [0, 3, 3, 12]
    assert (message.n_pulses, message.n_events) == (4, 12)


def test_types_of_ev42_are_unsigned_and_of_ev44_signed():
    largest = encode_ev42("s", 2**64 - 1, 2**63 - 1, [2**32 - 1], detector_id=[2**32 - 1])
    message = decode(largest)
    assert (message.message_id, message.pulse_time_ns.tolist()) == (2**64 - 1, [2**63 - 1])
    assert message.time_of_flight_ns.tolist() == message.detector_id.tolist() == [2**32 - 1]
    message = decode(encode_ev44("s", -1, [-5], [0], [-7], detector_id=[-9]))
    assert (message.message_id, message.pulse_time_ns.tolist()) == (-1, [-5])
    assert (message.time_of_flight_ns.tolist(), message.detector_id.tolist()) == ([-7], [-9])


@pytest.mark.parametrize("name", ["ev42 without pixels", "ev44 without pixels"])
def test_left_out_detector_ids_are_none(name):
    message = decode(VALID[name])
    assert message.detector_id is None
    assert message.n_events == 12


def test_empty_detector_ids_of_events_are_none():
    # As sources without pixels are sent by others; ours leave the vector out.
    from streaming_data_types import serialise_ev42, serialise_ev44

    assert decode(serialise_ev42("s", 1, 5, [1, 2], [])).detector_id is None
    assert decode(serialise_ev44("s", 1, [5], [0], [1, 2], [])).detector_id is None


def test_left_out_fields_have_their_defaults():
    assert decode(VALID["pl72 with nothing"]) == RunStart(0, n_periods=1)
    assert decode(VALID["6s4t with nothing"]) == RunStop(0)
    sparse = decode(VALID["ev42 with nothing"])
    assert (sparse.source_name, sparse.message_id, sparse.pulse_time_ns.tolist()) == ("", 0, [0])
    assert (sparse.n_events, sparse.detector_id, sparse.facility) == (0, None, None)


def test_facility_data_of_isis_are_read_and_of_digitisers_ignored():
    assert decode(VALID["ev42 with is84"]).facility == IsisData(2, RunState.RUNNING, np.float32(0.0125))
    assert decode(VALID["ev42 with dtdb"]).facility is None


def test_what_one_producer_sends_does_not_change_how_another_is_read():
    # Layouts are remembered by their bytes: read all in one order, then in the other.
    names = list(VALID)
    first = {name: decode(VALID[name]) for name in names}
    assert all(decode(VALID[name]) == first[name] for name in reversed(names))


def test_more_layouts_than_are_remembered_are_still_read():
    for padding in range(600):
        table = 40 + 4 * (padding % 200)
        payload = bytearray(table + 40 + padding // 200 * 4)
        struct.pack_into("<I4s2H", payload, 0, table, b"ev42", 4, 4)
        struct.pack_into("<i", payload, table, table - 8)
        assert decode(bytes(payload)).n_events == 0
