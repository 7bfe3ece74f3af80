from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.events import EventMessage, RunState, decode
from runstart.simulators import EventFile, EventSource
from runstart.simulators.messages import MAX_EVENTS, MAX_MESSAGE_BYTES, MAX_PULSES, check_format, event_messages


def make_source(counts: list[int], pixels: bool = True) -> EventSource:
    sizes = np.array(counts, dtype=np.int64)
    total = int(sizes.sum())
    return EventSource(
        name="bank",
        pulse_time_ns=10**18 + np.arange(len(counts), dtype=np.int64) * 10**8,
        pulse_index=np.cumsum(sizes) - sizes,
        time_of_flight_ns=np.arange(total, dtype=np.uint32),
        detector_id=np.arange(total, dtype=np.uint32)[::-1] if pixels else None,
        proton_charge=np.arange(len(counts)) / 4,
        period=np.arange(len(counts), dtype=np.int64) % 3,
    )


def decode_all(payloads: list[bytes]) -> list[EventMessage]:
    messages = [decode(payload) for payload in payloads]
    assert all(isinstance(message, EventMessage) for message in messages)
    return messages  # type: ignore[return-value]


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=12),
    st.sampled_from(["ev42", "ev44"]),
    st.integers(1, 5),
    st.integers(1, 8),
    st.booleans(),
)
def test_every_event_is_in_exactly_one_message_with_its_own_pulse(
    counts: list[int], schema: Literal["ev42", "ev44"], per_message: int, max_events: int, pixels: bool
) -> None:
    source = make_source(counts, pixels)
    outgoing = list(
        event_messages(source, schema, pulses_per_message=per_message, shift_ns=7, max_events=max_events)
    )
    messages = decode_all([message.payload for message in outgoing])
    pulse_of_event: list[int] = []
    for message in messages:
        ends = [*message.pulse_index.tolist()[1:], message.n_events]
        for time_ns, begin, end in zip(
            message.pulse_time_ns.tolist(), message.pulse_index.tolist(), ends, strict=True
        ):
            pulse_of_event += [time_ns] * (end - begin)
    assert pulse_of_event == np.repeat(source.pulse_time_ns + 7, counts).tolist()
    assert np.concatenate([m.time_of_flight_ns for m in messages]).tolist() == source.time_of_flight_ns.tolist()
    if pixels:
        ids = [m.detector_id for m in messages]
        assert np.concatenate([i for i in ids if i is not None]).tolist() == list(range(sum(counts)))[::-1]
    assert {time for m in messages for time in m.pulse_time_ns.tolist()} == set((source.pulse_time_ns + 7).tolist())
    assert [m.message_id for m in messages] == list(range(len(messages)))
    assert all(m.n_events <= max_events for m in messages)
    assert all(m.n_pulses <= (per_message if schema == "ev44" else 1) for m in messages)
    assert sum(m.n_pulses for m in outgoing) == len(counts)
    assert sum(m.n_events for m in outgoing) == sum(counts)


def test_ev42_carries_period_state_and_charge() -> None:
    messages = decode_all([m.payload for m in event_messages(make_source([1, 0, 2]), "ev42")])
    facilities = [message.facility for message in messages]
    assert [(f.period_number, f.run_state, f.proton_charge) for f in facilities if f] == [
        (0, RunState.RUNNING, 0.0),
        (1, RunState.RUNNING, 0.25),
        (2, RunState.RUNNING, 0.5),
    ]


@pytest.mark.parametrize("schema", ["ev42", "ev44"])
@pytest.mark.parametrize("counts", [[3 * MAX_EVENTS], [1] * 3000, [200] * 1500])
def test_no_message_is_larger_than_a_broker_takes(counts: list[int], schema: Literal["ev42", "ev44"]) -> None:
    outgoing = list(event_messages(make_source(counts), schema, pulses_per_message=10**6))
    assert max(len(message.payload) for message in outgoing) <= MAX_MESSAGE_BYTES
    assert max(message.n_pulses for message in outgoing) <= MAX_PULSES


def test_ids_go_on_from_where_they_are_told() -> None:
    messages = decode_all([m.payload for m in event_messages(make_source([1, 1]), first_message_id=2**40)])
    assert [message.message_id for message in messages] == [2**40, 2**40 + 1]


def test_ev44_is_refused_for_what_it_cannot_carry() -> None:
    source = make_source([2])
    many_periods = EventFile("", None, "", 2, (source,))
    with pytest.raises(Alert, match="2 periods"):
        check_format(many_periods, "ev44")
    check_format(many_periods, "ev42")
    source.time_of_flight_ns[0] = 2**31
    with pytest.raises(Alert, match="time of flight 2147483648 is too large for ev44"):
        check_format(EventFile("", None, "", 1, (source,)), "ev44")
