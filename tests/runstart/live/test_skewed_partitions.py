"""A replay of partitions of which one is read much faster than the other: every duplicate is still found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from facility_kit import Beamline, result_of, stop_after
from scripted_stream import PULSE_MS, make_messages, now_ms, recount

from runstart.kafka import EventLog
from runstart.kafka.side_by_side import Ahead
from runstart.live.memory import MessageMemory

pytestmark = pytest.mark.broker
PULSES = 2000
REMEMBERED = 1000  # messages; either partition has more


@pytest.mark.parametrize("together", [True, False])
def test_messages_of_a_slow_partition_are_checked_for_duplicates(
    make: Callable[..., Beamline], monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    monkeypatch.setattr(MessageMemory.__init__, "__defaults__", (REMEMBERED,))
    monkeypatch.setattr("runstart.live.follow.READ_MESSAGES", 50)
    monkeypatch.setattr("runstart.kafka.event_log._BACKLOG", 1)
    ahead = Ahead(10.0, 50) if together else Ahead(1e9)
    monkeypatch.setitem(EventLog.__init__.__kwdefaults__, "ahead", ahead)
    beamline = make(partitions=2, start_ms=now_ms() - PULSES * PULSE_MS - 60_000)
    light = make_messages(beamline.run, range(PULSES), events=1, source="light")
    heavy = make_messages(beamline.run, range(PULSES), partitions=(1,), events=400, source="heavy")
    written = [message for pair in zip(light, heavy, strict=True) for message in pair]
    written += heavy[-20:]
    for message in written:
        beamline.events.write([message.payload], message.partition, message.first_pulse_ns // 1_000_000)
    beamline.stop(stop_after(beamline, PULSES))
    result = result_of(beamline.launch())
    if together:
        beamline.check(result, recount(beamline.run, written, stop_after(beamline, PULSES)))
    else:
        assert result.ledger["messages_unjudged"] > 0
