from __future__ import annotations

import numpy as np
from facility_kit import START_NS, raw, small_instrument
from hypothesis import given
from hypothesis import strategies as st

from runstart.events import EventMessage, encode
from runstart.instruments import Script
from runstart.live.accumulation import Accumulation
from runstart.live.kept_events import NO_DETECTOR, EventWindow
from runstart.live.membership import find_members


def message(number: int, pulses: list[int], counts: list[int], *, pixels: bool = True) -> EventMessage:
    n = sum(counts)
    tof = np.arange(n, dtype=np.int32) + 1000 * number
    ids = np.arange(n, dtype=np.int32) + 10 if pixels else None
    index = np.cumsum([0, *counts[:-1]]).astype(np.int32)
    return EventMessage("ev44", "source", number, np.array(pulses, np.int64), index, tof, ids)


@given(
    most=st.integers(1, 40),
    sizes=st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=3), max_size=12),
    stop=st.integers(0, 40),
)
def test_the_window_holds_the_newest_members_in_order(most: int, sizes: list[list[int]], stop: int) -> None:
    window, expected, pulse = EventWindow(most), [], 0
    for number, counts in enumerate(sizes):
        pulses = list(range(pulse, pulse + len(counts)))
        pulse += len(counts)
        sent = message(number, pulses, counts)
        window.add(sent, find_members(sent, 0, stop))
        times = np.repeat(pulses, counts)
        inside = times < stop
        expected += list(zip(times[inside], sent.time_of_flight_ns[inside], sent.detector_id[inside], strict=True))
    kept = window.events()
    found = list(zip(kept.pulse_time_ns, kept.time_of_flight_ns, kept.detector_id, strict=True))
    assert found == expected[-most:]
    assert kept.complete == (len(expected) <= most)


def test_events_without_pixels_are_kept_without_detector() -> None:
    window, sent = EventWindow(10), message(0, [0], [3], pixels=False)
    window.add(sent, find_members(sent, 0, None))
    assert window.events().detector_id.tolist() == [NO_DETECTOR] * 3


def test_an_accumulation_keeps_events_only_for_a_script_that_wants_them() -> None:
    plain, script = small_instrument(), Script(folder="/nowhere", keep_events=100)
    keeping = small_instrument(script=script)
    payload = encode(message(0, [START_NS + 5], [4]))
    without, kept = (Accumulation(instrument, START_NS) for instrument in (plain, keeping))
    for accumulation in (without, kept):
        accumulation.begin({0: 0})
        accumulation.add(raw(payload), None)
        accumulation.add(raw(payload, offset=1), None)
    assert without.kept_events is None
    assert kept.kept_events is not None
    assert kept.kept_events.pulse_time_ns.tolist() == [START_NS + 5] * 4
    assert kept.kept_events.complete


def test_after_a_resume_the_window_is_not_complete() -> None:
    instrument = small_instrument(script=Script(folder="/nowhere", keep_events=100))
    accumulation = Accumulation(instrument, START_NS)
    resumed = Accumulation.from_state(instrument, *accumulation.state())
    assert resumed.kept_events is not None
    assert not resumed.kept_events.complete
