from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from facility_kit import START_MS, START_NS, raw, small_instrument
from hypothesis import given, settings
from hypothesis import strategies as st
from payloads import foreign_payloads, hostile_payloads, malformed_payloads
from streaming_data_types.eventdata_ev42 import deserialise_ev42
from streaming_data_types.eventdata_ev44 import deserialise_ev44

from runstart.errors import Alert
from runstart.events import (
    IsisData,
    LogMessage,
    MalformedMessage,
    RunStart,
    decode,
    encode,
    encode_ev42,
    encode_ev44,
)
from runstart.kafka import RawMessage
from runstart.live.accumulation import Accumulation
from runstart.live.ledger import imbalances
from runstart.views import CHARGE_QUANTUM_UAH, MAX_SECONDS

INSTRUMENT = small_instrument()
STOP_NS = START_NS + 10 * 10**9
PERIODS = 2
SECOND = 10**9
Pixel = dict[int, int]
PIXEL: Pixel = {10 + n: n for n in range(12)} | {100 + n: 12 + n for n in range(5)}

pulse_times = st.one_of(
    st.integers(-3, 13).map(lambda n: START_NS + n * SECOND),
    st.sampled_from([START_NS - 1, STOP_NS - 1, STOP_NS, 0, START_NS + 10_000 * SECOND]),
)


@st.composite
def event_payloads(draw: st.DrawFn, message_id: int) -> bytes:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    source = draw(st.sampled_from(["a", "b"]))
    counts = draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
    events = sum(counts)
    tof = rng.integers(-2 if draw(st.booleans()) else 0, 110_000, events)
    detector = rng.choice([9, 10, 15, 21, 22, 99, 100, 104, 105], events)
    without_pixel = draw(st.integers(0, 5)) == 0
    if draw(st.booleans()):
        charge = draw(st.sampled_from([0.0, 0.25, 1e-6, math.nan, -1.0, math.inf, 3e38]))
        facility = IsisData(draw(st.integers(0, PERIODS)), proton_charge=charge)
        return encode_ev42(
            source,
            message_id,
            max(draw(pulse_times), 0),
            abs(tof),
            detector_id=None if without_pixel else detector,
            facility=draw(st.sampled_from([None, facility, facility])),
        )
    if draw(st.integers(0, 9)) == 0:
        return encode_ev44(source, message_id, [], [], [])
    times = [draw(pulse_times) for _ in counts]
    begins = np.cumsum([0, *counts[:-1]])
    return encode_ev44(source, message_id, times, begins, tof, detector_id=None if without_pixel else detector)


OTHERS = [payload for _, payload in malformed_payloads()][:40] + [p for _, p in foreign_payloads()]
OTHERS.append(encode(RunStart(START_MS, run_name="run")))


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Payloads of which some are copies of others, some of another kind, and some ids are missing."""
    ids = draw(st.lists(st.integers(0, 40), unique=True, max_size=25))
    payloads = [draw(event_payloads(message_id)) for message_id in ids]
    payloads += draw(st.lists(st.sampled_from(payloads), max_size=6)) if payloads else []
    return payloads + draw(st.lists(st.sampled_from(OTHERS), max_size=4))


def lay_out(payloads: Sequence[bytes], partitions: Sequence[int]) -> list[RawMessage]:
    """Put payloads into partitions, in order; return them in that order."""
    offsets: dict[int, int] = {}
    messages = []
    for payload, partition in zip(payloads, partitions, strict=True):
        offset = offsets.get(partition, 100 * partition)
        offsets[partition] = offset + 1
        messages.append(raw(payload, partition, offset, START_MS + offset))
    return messages


def interleave(messages: Sequence[RawMessage], choices: Any) -> list[RawMessage]:
    """Return the messages in another order that keeps that of each partition."""
    queues: dict[int, list[RawMessage]] = {}
    for message in messages:
        queues.setdefault(message.partition, []).append(message)
    order = [message.partition for message in messages]
    choices.shuffle(order)
    return [queues[partition].pop(0) for partition in order]


def fresh() -> Accumulation:
    accumulation = Accumulation(INSTRUMENT, START_NS, PERIODS)
    accumulation.begin({partition: 100 * partition for partition in range(3)})
    return accumulation


def count(messages: Sequence[RawMessage], stop: int | None = STOP_NS) -> Accumulation:
    accumulation = fresh()
    for message in messages:
        accumulation.add(message, stop)
    return accumulation


def content(accumulation: Accumulation, stop: int | None = STOP_NS) -> tuple[Any, ...]:
    """Return all that a result is made of, and the offsets."""
    plain, arrays = accumulation.state()
    tables = {name: array.tolist() for name, array in arrays.items() if not name.startswith("memory.")}
    figures = {name: value for name, value in plain.items() if name != "ledger"}
    return tables, figures, accumulation.ledger(stop).as_dict()


@dataclass
class Recount:
    """What a plain loop over the messages, decoded by the reference codec, counts."""

    tof: np.ndarray
    pixel: np.ndarray
    pixel_tof: np.ndarray
    ledger: dict[str, int]
    charge: dict[int, float]
    rate: dict[int, int]


def reference_decode(payload: bytes) -> tuple[Any, ...]:
    """Return source, id, pulse times, first events, times of flight, pixels or None, and facility data or None."""
    facility = None
    if payload[4:8] == b"ev42":
        message = deserialise_ev42(payload)
        times, begins, pixels, facility = [message.pulse_time], [0], message.detector_id, message.specific_data
    else:
        message = deserialise_ev44(payload)
        times, begins, pixels = message.reference_time, message.reference_time_index, message.pixel_id
        # The reference codec gives 0 for an empty vector.
        times, begins = ([], []) if np.isscalar(times) else (times.tolist(), begins.tolist())
    tof = [] if np.isscalar(message.time_of_flight) else message.time_of_flight.tolist()
    pixels = None if np.isscalar(pixels) or (tof and len(pixels) == 0) else pixels.tolist()
    return message.source_name, message.message_id, times, begins, tof, pixels, facility


def recount(payloads: Sequence[bytes]) -> Recount:
    shape = (PERIODS, 17, 20)
    counts = Recount(
        np.zeros((PERIODS, 20), int),
        np.zeros(shape[:2], int),
        np.zeros(shape, int),
        dict.fromkeys(_COLUMNS, 0),
        {},
        {},
    )
    ledger, seen, carried = counts.ledger, set(), {}
    for payload in payloads:
        ledger["messages_read"] += 1
        try:
            decode(payload)
        except MalformedMessage as error:
            foreign = type(error) is not MalformedMessage and getattr(error, "schema", "") != "ev43"
            ledger["messages_foreign" if foreign else "messages_malformed"] += 1
            continue
        if payload[4:8] not in (b"ev42", b"ev44"):
            ledger["messages_foreign"] += 1
            continue
        source, message_id, times, begins, tof, pixels, facility = reference_decode(payload)
        ledger["events_read"] += len(tof)
        identity = (source, message_id, times[0] if times else START_NS)
        if identity in seen:
            ledger["messages_duplicate"] += 1
            ledger["events_duplicate"] += len(tof)
            continue
        seen.add(identity)
        ledger["messages_taken"] += 1
        if facility and START_NS <= times[0] < STOP_NS:
            charge = facility["proton_charge"]
            if math.isfinite(charge) and charge > 0:
                carried[times[0]] = max(carried.get(times[0], 0.0), charge)
        period = facility["period_number"] if facility else 0
        for n, time_of_flight in enumerate(tof):
            pulse = times[max(k for k, begin in enumerate(begins) if begin <= n)]
            column = _column(
                pulse, period, None if pixels is None else pixels[n], time_of_flight, pixels is not None
            )
            ledger[f"events_{column}"] += 1
            if START_NS <= pulse < STOP_NS and column != "unknown_period":
                second = (pulse - START_NS) // SECOND
                counts.rate[second] = counts.rate.get(second, 0) + 1
            if column in ("counted", "without_pixel"):
                counts.tof[period, time_of_flight // 5000] += 1
            if column == "counted":
                counts.pixel[period, PIXEL[pixels[n]]] += 1
                counts.pixel_tof[period, PIXEL[pixels[n]], time_of_flight // 5000] += 1
    for pulse, charge in carried.items():
        second = (pulse - START_NS) // SECOND
        counts.charge[second] = counts.charge.get(second, 0.0) + min(charge, (2**53 - 1) * CHARGE_QUANTUM_UAH)
    _count_gaps(seen, ledger)
    return counts


_COLUMNS = tuple(Accumulation(INSTRUMENT, START_NS).ledger().as_dict())


def _column(pulse: int, period: int, pixel: int | None, tof: int, has_pixels: bool) -> str:
    if pulse < START_NS:
        return "before_start"
    if pulse >= STOP_NS:
        return "after_stop"
    if period >= PERIODS:
        return "unknown_period"
    if has_pixels and pixel not in PIXEL:
        return "unknown_detector"
    if not 0 <= tof < 100_000:
        return "out_of_tof_range"
    return "counted" if has_pixels else "without_pixel"


def _count_gaps(seen: set[tuple[str, int, int]], ledger: dict[str, int]) -> None:
    for source in ("a", "b"):
        places = sorted((pulse, message_id) for name, message_id, pulse in seen if name == source)
        for before, after in pairwise(places):
            if any(START_NS <= pulse < STOP_NS for pulse, _ in (before, after)):
                step = after[1] - before[1]
                ledger["missing_message_ids"] += max(step - 1, 0)
                ledger["source_restarts"] += step <= 0


@given(streams(), st.data())
def test_counts_and_ledger_equal_an_independent_recount(payloads: list[bytes], data: st.DataObject) -> None:
    partitions = [data.draw(st.integers(0, 2)) for _ in payloads]
    counted = count(lay_out(payloads, partitions))
    expected = recount(payloads)
    assert counted.ledger(STOP_NS).as_dict() == expected.ledger
    assert imbalances(expected.ledger) == []
    tables = counted.views.arrays()
    assert np.array_equal(tables["tof"], expected.tof)
    assert np.array_equal(tables["pixel"], expected.pixel)
    assert np.array_equal(tables["pixel_tof"], expected.pixel_tof)
    rate = counted.series.events_per_second
    assert {n: int(c) for n, c in enumerate(rate) if c} == expected.rate
    charge = counted.series.charge_per_second_uah
    assert {n: c for n, c in enumerate(charge) if c} == pytest.approx(expected.charge, rel=1e-9, abs=1e-11)


@given(streams(), st.data(), st.randoms(use_true_random=False))
def test_neither_partitions_nor_their_interleaving_change_the_result(payloads, data, random) -> None:
    partitions = [data.draw(st.integers(0, 2)) for _ in payloads]
    messages = lay_out(payloads, partitions)
    one = content(count(messages))
    assert content(count(interleave(messages, random))) == one
    everything_in_one = lay_out(payloads, [0] * len(payloads))
    random.shuffle(everything_in_one)
    tables, _, ledger = content(count(everything_in_one))
    assert (tables, ledger) == (one[0], one[2])


@given(streams(), st.data(), st.sampled_from([None, STOP_NS]))
def test_a_run_that_is_stored_and_taken_up_anywhere_ends_as_if_it_had_never_stopped(payloads, data, stop) -> None:
    messages = lay_out(payloads, [n % 3 for n in range(len(payloads))])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(messages)), max_size=3)))
    going = fresh()
    for number, message in enumerate(messages):
        if number in cuts:
            going = Accumulation.from_state(INSTRUMENT, *going.state())
        going.add(message, stop)
    whole = count(messages, stop)
    assert content(going, stop) == content(whole, stop)
    resumed, never_stopped = going.state()[1], whole.state()[1]
    assert all(np.array_equal(resumed[name], never_stopped[name]) for name in never_stopped)


@settings(max_examples=50)
@given(streams())
def test_the_state_is_a_copy(payloads: list[bytes]) -> None:
    messages = lay_out(payloads, [0] * len(payloads))
    half = len(messages) // 2
    accumulation = count(messages[:half])
    plain, arrays = accumulation.state()
    kept = {name: array.copy() for name, array in arrays.items()}
    for message in messages[half:]:
        accumulation.add(message, STOP_NS)
    assert all(np.array_equal(arrays[name], kept[name]) for name in kept)
    assert plain["next_offsets"] == [(0, half), (1, 100), (2, 200)]


def test_hostile_payloads_cost_nothing_but_their_own_line_in_the_ledger() -> None:
    good = encode_ev42("a", 1, START_NS, [7, 8], detector_id=[10, 11])
    accumulation = fresh()
    accumulation.add(raw(good), STOP_NS)
    for number, (_, payload) in enumerate(hostile_payloads()):
        if number % 23 == 0:
            accumulation.add(raw(payload, offset=number), STOP_NS)
    assert imbalances(accumulation.ledger(STOP_NS).as_dict()) == []
    assert accumulation.events_in_views == 2


def test_the_same_message_again_is_a_duplicate_from_any_partition() -> None:
    good = encode_ev42("a", 1, START_NS, [7, 8], detector_id=[10, 11])
    ledger = count([raw(good, partition) for partition in range(3)]).ledger(STOP_NS)
    assert (ledger.events_counted, ledger.events_duplicate, ledger.messages_duplicate) == (2, 4, 2)


def test_the_largest_charge_of_a_pulse_counts_once_whichever_of_its_messages_comes_first() -> None:
    def message(source: str, charge: float) -> RawMessage:
        return raw(encode_ev42(source, 1, START_NS, [], facility=IsisData(0, proton_charge=charge)))

    carried = [message("a", 0.0), message("b", 0.5), message("c", math.nan), message("d", 0.25)]
    totals = {count(order).series.total_charge_uah for order in (carried, carried[::-1], carried[1:] + carried[:1])}
    assert totals == {0.5}


def test_a_pulse_in_the_far_future_stays_countable_while_no_stop_is_known() -> None:
    accumulation = count([raw(encode_ev42("a", 1, 2**63 - 2, [7], detector_id=[10]))], stop=None)
    assert accumulation.events_in_views == 1
    assert len(accumulation.series.events_per_second) == MAX_SECONDS


def test_a_pulse_far_ahead_of_its_own_message_is_no_evidence_of_where_the_instrument_is() -> None:
    accumulation = fresh()
    accumulation.add(raw(encode_ev42("a", 1, START_NS + SECOND, []), timestamp_ms=START_MS), None)
    accumulation.add(raw(encode_ev42("a", 2, START_NS + 3600 * SECOND, []), timestamp_ms=START_MS), None)
    assert accumulation.newest_pulse_ns == START_NS + SECOND
    assert accumulation.newest_member_ns == START_NS + 3600 * SECOND


def test_lost_offsets_are_kept_and_passed() -> None:
    accumulation = fresh()
    accumulation.lose(1, 100, 150)
    again = Accumulation.from_state(INSTRUMENT, *accumulation.state())
    assert again.lost == {1: [(100, 150)]}
    assert again.next_offsets == {0: 0, 1: 150, 2: 200}
    assert again.first_offsets[1] == 100


def test_partitions_that_have_begun_are_not_begun_again() -> None:
    accumulation = fresh()
    accumulation.add(raw(b"", 1, 100), None)
    accumulation.begin({1: 0, 7: 3})
    assert (accumulation.next_offsets[1], accumulation.first_offsets[1]) == (101, 100)
    assert accumulation.next_offsets[7] == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"tof": {"start_us": 10.0, "stop_us": 110.0, "bins": 20}},
        {"banks": tuple(reversed(INSTRUMENT.banks))},
        {"views": ("tof", "pixel", "image")},
    ],
)
def test_counts_are_not_taken_up_under_another_declaration(changed: dict[str, Any]) -> None:
    with pytest.raises(Alert, match="have changed"):
        Accumulation.from_state(small_instrument(**changed), *fresh().state())


def test_another_interval_is_no_other_declaration() -> None:
    slower = small_instrument(snapshot_interval=99.0)
    assert Accumulation.from_state(slower, *fresh().state()).next_offsets == fresh().next_offsets


def test_events_in_a_schema_that_is_not_read_are_lost_events_and_other_messages_are_not() -> None:
    accumulation = Accumulation(small_instrument(), START_NS)
    accumulation.begin({0: 0})
    payload = bytearray(encode(LogMessage("f144", "temperature", 1.0, START_NS)))
    accumulation.add(raw(bytes(payload)), None)
    payload[4:8] = b"ev43"
    accumulation.add(raw(bytes(payload), offset=1), None)
    ledger = accumulation.ledger()
    assert (ledger.messages_foreign, ledger.messages_malformed) == (1, 1)
