"""Messages of a run with known content, and numpy's recount of them: what every result is compared with.

The recount never sees a payload: it works on the arrays that the messages were made of, with `numpy.histogram`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runstart.events import IsisData, RunStart, RunStop, encode_ev42, encode_ev44, encode_run_start, encode_run_stop
from runstart.instruments import Instrument
from runstart.live import Result
from runstart.product import StoredProduct
from runstart.simulators import connect_publisher

MS = 1_000_000  # ns
PULSE_MS = 50
CHARGE_UAH = 0.0078125


@dataclass(frozen=True, eq=False)
class Scripted:
    """One event message: what it was made of, and its payload.

    Attributes
    ----------
    partition : int
        Where it goes.
    pulse_ns : int64 array, shape (events,)
        Pulse time of each event.
    period : int
        Period of all its events.
    """

    payload: bytes
    partition: int
    source: str
    message_id: int
    first_pulse_ns: int
    pulse_ns: NDArray[np.int64]
    tof_ns: NDArray[np.int64]
    detector_id: NDArray[np.int64] | None
    period: int = 0
    charge_uah: float | None = None

    @property
    def identity(self) -> tuple[str, int, int]:
        """What makes a second copy of it a duplicate."""
        return self.source, self.message_id, self.first_pulse_ns


@dataclass(frozen=True)
class ScriptedRun:
    """A run to announce: its name and its start."""

    instrument: Instrument
    name: str
    start_ms: int
    n_periods: int = 1
    job_id: str = "job"

    def start_payload(self, stop_ms: int = 0) -> bytes:
        """Return its RunStart."""
        return encode_run_start(
            RunStart(
                start_time_ms=self.start_ms,
                stop_time_ms=stop_ms,
                run_name=self.name,
                instrument_name=self.instrument.name,
                n_periods=self.n_periods,
                job_id=self.job_id,
            )
        )

    def stop_payload(self, stop_ms: int) -> bytes:
        """Return its RunStop."""
        return encode_run_stop(RunStop(stop_time_ms=stop_ms, run_name=self.name, job_id=self.job_id))


def now_ms() -> int:
    """Return the present in ms since 1970."""
    return time.time_ns() // MS


def make_messages(
    run: ScriptedRun,
    pulses: Iterable[int],
    *,
    partitions: Sequence[int] = (0,),
    events: int = 200,
    schema: str = "ev42",
    source: str = "detector",
    seed: int = 1,
) -> list[Scripted]:
    """Return one message for each pulse number, 50 ms apart; pulse 0 is the run's start, negative ones lie before.

    Some events have detectors that no bank holds, some a time of flight off the axis, and every 16th message has no
    detector ids. ev44 messages carry two pulses, 20 ms apart.
    """
    instrument = run.instrument
    banks = instrument.banks
    ids = np.concatenate([np.arange(bank.first_detector_id, bank.first_detector_id + bank.size) for bank in banks])
    messages = []
    for number in pulses:
        rng = np.random.default_rng([seed, number + 1_000_000])
        tof = rng.integers(instrument.tof.start_ns, instrument.tof.stop_ns + instrument.tof.width_ns, events)
        detector = np.where(rng.random(events) < 0.02, 4_000_000, rng.choice(ids, events))
        detector_or_none = None if number % 16 == 5 else detector
        partition = partitions[number % len(partitions)]
        pulse_ns = (run.start_ms + number * PULSE_MS) * MS
        period = number % run.n_periods
        if schema == "ev42":
            payload = encode_ev42(
                source,
                number + 1000,
                pulse_ns,
                tof,
                detector_id=detector_or_none,
                facility=IsisData(period_number=period, proton_charge=CHARGE_UAH),
            )
            pulse_of_event, charge = np.full(events, pulse_ns), CHARGE_UAH
        else:
            second = events // 3
            times = np.array([pulse_ns, pulse_ns + 20 * MS])
            payload = encode_ev44(source, number + 1000, times, [0, second], tof, detector_id=detector_or_none)
            pulse_of_event, period, charge = np.repeat(times, [second, events - second]), 0, None
        messages.append(
            Scripted(
                payload,
                partition,
                source,
                number + 1000,
                pulse_ns,
                pulse_of_event,
                tof.astype(np.int64),
                None if detector_or_none is None else detector.astype(np.int64),
                period,
                charge,
            )
        )
    return messages


@dataclass
class Expected:
    """What numpy counts."""

    tof: NDArray[np.int64]
    pixel: NDArray[np.int64]
    pixel_tof: NDArray[np.int64]
    charge_uah: float
    ledger: dict[str, int] = field(default_factory=dict)


def recount(
    run: ScriptedRun, messages: Sequence[Scripted], stop_ms: int | None, *, malformed: int = 0, foreign: int = 0
) -> Expected:
    """Count messages, in the order in which they lie, as a run that ends at `stop_ms`; None is never."""
    instrument = run.instrument
    start_ns, stop_ns = run.start_ms * MS, np.iinfo(np.int64).max if stop_ms is None else stop_ms * MS
    edges = instrument.tof.edges_ns()
    pixels = instrument.pixel_count
    index_of = np.full(5_000_000, -1)
    first = 0
    for bank in instrument.banks:
        index_of[bank.first_detector_id : bank.first_detector_id + bank.size] = first + np.arange(bank.size)
        first += bank.size
    shape = (run.n_periods, pixels, instrument.tof.bins)
    expected = Expected(
        np.zeros((run.n_periods, shape[2]), np.int64), np.zeros(shape[:2], np.int64), np.zeros(shape, np.int64), 0.0
    )
    columns = dict.fromkeys(
        (
            "counted",
            "without_pixel",
            "before_start",
            "after_stop",
            "unknown_detector",
            "out_of_tof_range",
            "duplicate",
        ),
        0,
    )
    seen: set[tuple[str, int, int]] = set()
    charged: set[int] = set()
    for message in messages:
        if message.identity in seen:
            columns["duplicate"] += len(message.tof_ns)
            continue
        seen.add(message.identity)
        before, after = message.pulse_ns < start_ns, message.pulse_ns >= stop_ns
        columns["before_start"] += int(before.sum())
        columns["after_stop"] += int(after.sum())
        inside = ~(before | after)
        if message.charge_uah is not None and inside.any() and message.first_pulse_ns not in charged:
            charged.add(message.first_pulse_ns)
            expected.charge_uah += message.charge_uah
        tof = message.tof_ns[inside]
        in_range = (tof >= edges[0]) & (tof < edges[-1])
        if message.detector_id is None:
            columns["out_of_tof_range"] += int((~in_range).sum())
            columns["without_pixel"] += int(in_range.sum())
            expected.tof[message.period] += _histogram(tof[in_range], edges)
            continue
        pixel = index_of[message.detector_id[inside]]
        known = pixel >= 0
        columns["unknown_detector"] += int((~known).sum())
        columns["out_of_tof_range"] += int((known & ~in_range).sum())
        good = known & in_range
        columns["counted"] += int(good.sum())
        expected.tof[message.period] += _histogram(tof[good], edges)
        expected.pixel[message.period] += np.bincount(pixel[good], minlength=pixels)
        bins = np.searchsorted(edges, tof[good], side="right") - 1
        np.add.at(expected.pixel_tof[message.period], (pixel[good], bins), 1)
    expected.ledger = _ledger(messages, columns, start_ns, stop_ns, malformed, foreign)
    return expected


def check_against(expected: Expected, result: Result, product: StoredProduct) -> None:
    """Demand that a result is numpy's recount, to the last event and ledger column."""
    assert result.ledger == expected.ledger
    assert product.ledger == expected.ledger
    np.testing.assert_array_equal(product.arrays["tof"], expected.tof)
    np.testing.assert_array_equal(product.arrays["pixel"], expected.pixel)
    if "pixel_tof" in product.arrays:
        np.testing.assert_array_equal(product.arrays["pixel_tof"], expected.pixel_tof)
    assert result.proton_charge_uah == expected.charge_uah
    assert product.digest == product.written_digest == result.digest


def publish(bootstrap_servers: str, topic: str, payloads: Iterable[tuple[bytes, int]], partitions: int = 1) -> None:
    """Publish payloads to their partitions, in order, and wait until the broker has all; the topic is made if missing."""
    with connect_publisher(bootstrap_servers, {topic: partitions}) as publisher:
        for payload, partition in payloads:
            publisher.send(topic, payload, partition)
        publisher.flush()


def _histogram(tof: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[Any]:
    # numpy's last bin holds its upper edge too; the callers have left such events out.
    return np.histogram(tof, bins=edges)[0]


def _ledger(
    messages: Sequence[Scripted], columns: dict[str, int], start_ns: int, stop_ns: int, malformed: int, foreign: int
) -> dict[str, int]:
    unique = {message.identity: message for message in messages}
    missing = restarts = 0
    for source in {message.source for message in messages}:
        places = sorted((m.first_pulse_ns, m.message_id) for m in unique.values() if m.source == source)
        for before, after in itertools.pairwise(places):
            if not any(start_ns <= pulse < stop_ns for pulse, _ in (before, after)):
                continue
            step = after[1] - before[1]
            missing += max(step - 1, 0)
            restarts += step <= 0
    return {
        "messages_read": len(messages) + malformed + foreign,
        "messages_taken": len(unique),
        "messages_duplicate": len(messages) - len(unique),
        "messages_malformed": malformed,
        "messages_foreign": foreign,
        "messages_unjudged": 0,
        "events_read": sum(len(message.tof_ns) for message in messages),
        **{f"events_{name}": count for name, count in columns.items()},
        "events_unknown_period": 0,
        "missing_message_ids": missing,
        "source_restarts": restarts,
    }
