from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runstart.events import EventMessage, decode, encode_ev42, encode_ev44
from runstart.live.membership import find_members

START, STOP = 1000, 2000
pulse_times = st.one_of(
    st.integers(990, 1010), st.integers(1990, 2010), st.sampled_from([0, 2**62, -(2**62), 1500])
)
pulses = st.lists(st.tuples(pulse_times, st.integers(0, 4)), max_size=8)


def ev44(pulses: list[tuple[int, int]]) -> EventMessage:
    counts = [count for _, count in pulses]
    begins = np.cumsum([0, *counts[:-1]]) if pulses else []
    tof = np.arange(sum(counts))
    message = decode(encode_ev44("s", 1, [time for time, _ in pulses], begins, tof, detector_id=tof))
    assert isinstance(message, EventMessage)
    return message


@given(pulses, st.sampled_from([None, STOP, START, 2**62]))
def test_each_event_is_before_inside_or_after_as_its_own_pulse_says(pulses, stop) -> None:
    members = find_members(ev44(pulses), START, stop)
    end = 2**63 - 1 if stop is None else stop
    events = [time for time, count in pulses for _ in range(count)]
    inside = [n for n, time in enumerate(events) if START <= time < end]
    assert [n for begin, stop_ in members.stretches for n in range(begin, stop_)] == inside
    assert members.before_start == sum(time < START for time in events)
    assert members.before_start + members.after_stop + len(inside) == len(events)
    assert list(zip(members.pulse_time_ns.tolist(), members.pulse_events.tolist(), strict=True)) == [
        (time, count) for time, count in pulses if START <= time < end
    ]


@given(pulses)
def test_stretches_are_not_empty_and_neither_touch_nor_overlap(pulses) -> None:
    with_events = [(time, count) for time, count in pulses if count] * 2
    stretches = find_members(ev44(with_events), START, STOP).stretches
    assert all(begin < end for begin, end in stretches)
    assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(stretches))


@given(st.integers(0, 3000), st.integers(0, 5))
def test_a_message_of_one_pulse_is_wholly_before_inside_or_after(pulse: int, events: int) -> None:
    message = decode(encode_ev42("s", 1, pulse, np.arange(events)))
    assert isinstance(message, EventMessage)
    members = find_members(message, START, STOP)
    inside = START <= pulse < STOP
    assert members.pulse_events.tolist() == ([events] if inside else [])
    assert (members.before_start, members.after_stop) == (
        events if pulse < START else 0,
        events if pulse >= STOP else 0,
    )


def test_a_message_without_pulses_has_no_members() -> None:
    members = find_members(ev44([]), START, STOP)
    assert (members.before_start, members.after_stop, members.stretches) == (0, 0, [])
    assert len(members.pulse_time_ns) == 0
