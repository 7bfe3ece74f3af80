"""What a live run has counted so far, and the one way to count more.

An `Accumulation` holds counts and offsets together: whoever stores it stores both. Adding the same messages in
any order across partitions gives the same counts, so a run that was killed and resumed, a replay, and a run
that was never disturbed end alike, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from runstart.errors import Alert
from runstart.events import EventMessage, ForeignMessage, MalformedMessage, decode
from runstart.instruments import Instrument
from runstart.kafka import RawMessage
from runstart.live.kept_events import EventWindow, KeptEvents
from runstart.live.ledger import Ledger
from runstart.live.membership import find_members
from runstart.live.memory import MessageMemory, Verdict
from runstart.views import CHARGE_QUANTUM_UAH, Series, Views

Arrays = dict[str, NDArray[Any]]

_UNREAD_EVENT_SCHEMAS = ("ev43",)  # superseded by ev44
_LARGEST_CHARGE = 2**53 - 1  # quanta of one pulse, 8192 uAh: up to here a float holds them exactly


class Accumulation:
    """Views, series, ledger, duplicate memory and offsets of one live run.

    Parameters
    ----------
    instrument : Instrument
        Declares banks, TOF axis and views.
    start_time_ns : int
        Start of the run; events of earlier pulses are not its own.
    n_periods : int
        Periods that the RunStart announced.

    Attributes
    ----------
    first_offsets, next_offsets : dict of int to int
        For each partition the first offset of the run, and the next to be added.
    lost : dict of int to list of (int, int)
        For each partition the half-open offset ranges that the broker had deleted.
    newest_pulse_ns : int or None
        Newest pulse time of the messages added, inside the run or not. A message whose pulse lies more than the
        seek margin after its own Kafka time is no evidence of how far the instrument has come.
    newest_member_ns : int or None
        Newest pulse time that was taken to be inside the run.
    newest_kafka_ms : int or None
        Newest Kafka timestamp of the messages added.
    """

    def __init__(self, instrument: Instrument, start_time_ns: int, n_periods: int = 1) -> None:
        self.instrument = instrument
        self.start_time_ns = start_time_ns
        self.n_periods = n_periods
        self.views = Views(instrument, n_periods)
        self.series = Series(start_time_ns)
        self.memory = MessageMemory(start_time_ns)
        self.first_offsets: dict[int, int] = {}
        self.next_offsets: dict[int, int] = {}
        self.lost: dict[int, list[tuple[int, int]]] = {}
        self.newest_pulse_ns: int | None = None
        self.newest_member_ns: int | None = None
        self.newest_kafka_ms: int | None = None
        self._ledger = Ledger()
        self._window = _event_window(instrument, complete=True)

    @property
    def kept_events(self) -> KeptEvents | None:
        """The newest events of the run, if the instrument keeps them for its script; a copy."""
        return None if self._window is None else self._window.events()

    def begin(self, first_offsets: Mapping[int, int]) -> None:
        """Begin, or go on with more partitions, at these offsets; partitions already begun stay as they are."""
        for partition, offset in first_offsets.items():
            if partition not in self.next_offsets:
                self.first_offsets[partition] = self.next_offsets[partition] = offset

    def lose(self, partition: int, first: int, end: int) -> None:
        """Note that the offsets `[first, end)` are gone, and go on behind them."""
        self.lost.setdefault(partition, []).append((first, end))
        self.next_offsets[partition] = max(self.next_offsets.get(partition, 0), end)

    def ledger(self, stop_time_ns: int | None = None) -> Ledger:
        """Return the ledger with the gaps found so far."""
        self.memory.stop_at(stop_time_ns)
        missing, restarts = self.memory.gaps()
        return Ledger.from_dict(
            self._ledger.as_dict() | {"missing_message_ids": missing, "source_restarts": restarts}
        )

    @property
    def events_in_views(self) -> int:
        """Events in the TOF spectrum so far."""
        return self._ledger.events_counted + self._ledger.events_without_pixel

    def add(self, message: RawMessage, stop_time_ns: int | None) -> None:
        """Count one message and move its partition's offset behind it.

        Parameters
        ----------
        message : RawMessage
            As read from the event topic.
        stop_time_ns : int or None
            Stop of the run; None while it is not known.
        """
        self.next_offsets[message.partition] = message.offset + 1
        if self.newest_kafka_ms is None or message.timestamp_ms > self.newest_kafka_ms:
            self.newest_kafka_ms = message.timestamp_ms
        ledger = self._ledger
        ledger.messages_read += 1
        try:
            decoded = decode(message.payload)
        except ForeignMessage as error:
            if error.schema in _UNREAD_EVENT_SCHEMAS:
                ledger.messages_malformed += 1  # events are lost, so the run must not pass as complete
            else:
                ledger.messages_foreign += 1
        except MalformedMessage:
            ledger.messages_malformed += 1
        else:
            if isinstance(decoded, EventMessage):
                self._add_events(decoded, message.timestamp_ms, stop_time_ns)
            else:
                ledger.messages_foreign += 1

    def _add_events(self, message: EventMessage, timestamp_ms: int, stop_time_ns: int | None) -> None:
        ledger = self._ledger
        events = len(message.time_of_flight_ns)
        ledger.events_read += events
        pulses = message.pulse_time_ns
        first_pulse = int(pulses[0]) if len(pulses) else self.start_time_ns
        last_pulse = first_pulse if len(pulses) < 2 else int(pulses.max())
        if len(pulses) and (self.newest_pulse_ns is None or last_pulse > self.newest_pulse_ns):
            ahead_ms = last_pulse // 1_000_000 - timestamp_ms
            if timestamp_ms < 0 or ahead_ms <= self.instrument.seek_margin * 1000:
                self.newest_pulse_ns = last_pulse
        self.memory.stop_at(stop_time_ns)
        verdict = self.memory.see(message.source_name, message.message_id, first_pulse)
        if verdict is Verdict.DUPLICATE:
            ledger.messages_duplicate += 1
            ledger.events_duplicate += events
            return
        ledger.messages_taken += 1
        members = find_members(message, self.start_time_ns, stop_time_ns)
        if verdict is Verdict.UNJUDGED and len(members.pulse_time_ns):
            ledger.messages_unjudged += 1
        ledger.events_before_start += members.before_start
        ledger.events_after_stop += members.after_stop
        period = message.facility.period_number if message.facility is not None else 0
        if len(members.pulse_time_ns) == 0:
            return
        newest = int(members.pulse_time_ns.max())
        if self.newest_member_ns is None or newest > self.newest_member_ns:
            self.newest_member_ns = newest
        if message.facility is not None:
            self._add_charge(first_pulse, message.facility.proton_charge)
        if not 0 <= period < self.n_periods:
            ledger.events_unknown_period += int(members.pulse_events.sum())
            return
        if len(members.pulse_time_ns) == 1:
            self.series.add_events((newest - self.start_time_ns) // 1_000_000_000, int(members.pulse_events[0]))
        else:
            self.series.add_pulses(members.pulse_time_ns, members.pulse_events)
        if self._window is not None:
            self._window.add(message, members)
        for begin, end in members.stretches:
            detector_id = None if message.detector_id is None else message.detector_id[begin:end]
            tally = self.views.add(message.time_of_flight_ns[begin:end], detector_id, period)
            ledger.events_counted += tally.counted
            ledger.events_without_pixel += tally.without_pixel
            ledger.events_unknown_detector += tally.unknown_detector
            ledger.events_out_of_tof_range += tally.out_of_tof_range

    def _add_charge(self, pulse_time_ns: int, charge_uah: float) -> None:
        """Add what a message adds to its pulse's charge, which is the largest that any message of it carries."""
        if not (math.isfinite(charge_uah) and charge_uah > 0):
            return
        quanta = min(round(charge_uah / CHARGE_QUANTUM_UAH), _LARGEST_CHARGE)
        if raised := self.memory.raise_charge(pulse_time_ns, quanta):
            self.series.add_charge(pulse_time_ns, raised * CHARGE_QUANTUM_UAH)

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return everything as plain values and arrays; the arrays are copies."""
        arrays: Arrays = {f"views.{name}": array.copy() for name, array in self.views.arrays().items()}
        arrays |= {f"series.{name}": array.copy() for name, array in self.series.arrays().items()}
        arrays |= {f"memory.{name}": array for name, array in self.memory.arrays().items()}
        plain = {
            "declaration": _declaration(self.instrument),
            "start_time_ns": self.start_time_ns,
            "n_periods": self.n_periods,
            "first_offsets": sorted(self.first_offsets.items()),
            "next_offsets": sorted(self.next_offsets.items()),
            "lost": sorted(self.lost.items()),
            "newest_pulse_ns": self.newest_pulse_ns,
            "newest_member_ns": self.newest_member_ns,
            "newest_kafka_ms": self.newest_kafka_ms,
            "ledger": self._ledger.as_dict(),
        }
        return plain, arrays

    @classmethod
    def from_state(cls, instrument: Instrument, plain: dict[str, Any], arrays: Arrays) -> Accumulation:
        """Return the accumulation that `state` described.

        Raises
        ------
        Alert
            If the instrument is declared with other banks, TOF axis or views than it was then.
        """
        if plain["declaration"] != _declaration(instrument):
            raise Alert(
                f"The banks, TOF axis or views of instrument {instrument.name} have changed since the run began.",
                "Restore the declaration in instruments.toml, or launch the run anew to count it from its start.",
            )
        self = cls(instrument, plain["start_time_ns"], plain["n_periods"])
        self.views.load(_part(arrays, "views."))
        self.series.load(_part(arrays, "series."))
        self.memory.load(_part(arrays, "memory."))
        self.first_offsets = {int(p): int(o) for p, o in plain["first_offsets"]}
        self.next_offsets = {int(p): int(o) for p, o in plain["next_offsets"]}
        self.lost = {int(p): [(int(a), int(b)) for a, b in ranges] for p, ranges in plain["lost"]}
        self.newest_pulse_ns = plain["newest_pulse_ns"]
        self.newest_member_ns = plain["newest_member_ns"]
        self.newest_kafka_ms = plain["newest_kafka_ms"]
        self._ledger = Ledger.from_dict(plain["ledger"])
        self._window = _event_window(instrument, complete=False)
        return self


def _event_window(instrument: Instrument, *, complete: bool) -> EventWindow | None:
    if instrument.script is None or instrument.script.keep_events == 0:
        return None
    return EventWindow(instrument.script.keep_events, complete=complete)


def _declaration(instrument: Instrument) -> str:
    """Return what the counts mean: a stored table of the same shape may be one of other pixels or bins."""
    return instrument.model_dump_json(include={"banks", "tof", "views"})


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
