"""Publishes a recorded run as if it were being measured: RunStart, every event once, RunStop.

Pulse times are shifted as a whole so that the run begins now, unless the times of the file are kept; the
distances between pulses stay. The run covers every pulse: it starts at the millisecond in which the first
pulse lies and stops at the first millisecond after the last one. RunStart is acknowledged before the first
event is sent, and every event before RunStop. A replay that is told to stop ends its run after the last pulse
that it has sent.
"""

from __future__ import annotations

import heapq
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runstart.errors import Alert
from runstart.events import RunStart, RunStop, encode_run_start, encode_run_stop
from runstart.instruments import Instrument
from runstart.simulators.messages import OutgoingMessage, Schema, check_format, event_messages
from runstart.simulators.nexus import EventFile
from runstart.simulators.pacing import Pacer
from runstart.simulators.publishing import PartitionChooser, Publisher

NANOSECONDS_PER_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What a replay has published.

    Parameters
    ----------
    run_name : str
    start_time_ms, stop_time_ms : int
        As announced, milliseconds since 1970.
    messages, pulses, events : int
        A pulse counts once for each of its sources.
    offsets : dict[tuple[str, int], tuple[int, int]]
        Offsets `[from, to)` by topic and partition, RunStart and RunStop included.
    """

    run_name: str
    start_time_ms: int
    stop_time_ms: int
    messages: int
    pulses: int
    events: int
    offsets: dict[tuple[str, int], tuple[int, int]]


def replay(
    file: EventFile,
    publisher: Publisher,
    instrument: Instrument,
    *,
    run_name: str = "",
    schema: Schema = "ev42",
    pulses_per_message: int = 1,
    partition_weights: tuple[float, ...] = (),
    keep_times: bool = False,
    speed: float | None = 1.0,
    stop: threading.Event | None = None,
    on_message: Callable[[OutgoingMessage], None] | None = None,
) -> ReplaySummary:
    """Publish a file's events as a run of an instrument.

    Parameters
    ----------
    file : EventFile
    publisher : Publisher
        Connected to the instrument's topics.
    instrument : Instrument
    run_name : str
        By default the file's run number in 8 digits after the instrument's name, or the date of its first
        pulse.
    schema : "ev42" or "ev44"
    pulses_per_message : int
        At most so many pulses are put into one ev44 message.
    partition_weights : tuple of float
        Share of each partition of the event topic; by default equal.
    keep_times : bool
        Keep the pulse times of the file.
    speed : float or None
        How many times faster than real time; None publishes at once.
    stop : threading.Event, optional
        Ends the run early when it is set.
    on_message : callable, optional
        Called after each message has been handed over.

    Returns
    -------
    ReplaySummary

    Raises
    ------
    Alert
        The format cannot carry the events, a setting makes no sense, or the broker refuses a message for
        good.
    Transient
        The broker does not take the messages.
    """
    check_format(file, schema)
    if pulses_per_message < 1 or (speed is not None and not speed > 0):
        raise Alert(f"Pulses per message {pulses_per_message} and speed {speed} must be positive.")
    chooser = _chooser(publisher, instrument, partition_weights)
    shift_ns = 0 if keep_times else time.time_ns() - file.first_pulse_ns
    start_ns = file.first_pulse_ns + shift_ns
    run = RunStart(
        start_time_ms=start_ns // NANOSECONDS_PER_MILLISECOND,
        run_name=run_name or _default_run_name(file, instrument),
        instrument_name=instrument.name,
        job_id=str(uuid.uuid4()),
        n_periods=file.n_periods,
        metadata=json.dumps({"title": file.title}),
    )
    publisher.send(instrument.topics.run_info, encode_run_start(run))
    publisher.flush()

    pacer = Pacer(speed, stop)
    messages = pulses = events = 0
    last_pulse_ns = start_ns
    for message in _in_order_of_time(file, schema, pulses_per_message, shift_ns):
        if not pacer.wait(message.last_pulse_time_ns - start_ns):
            break
        publisher.send(instrument.topics.events, message.payload, chooser.next())
        messages, pulses, events = messages + 1, pulses + message.n_pulses, events + message.n_events
        last_pulse_ns = max(last_pulse_ns, message.last_pulse_time_ns)
        if on_message is not None:
            on_message(message)
    publisher.flush()

    stop_time_ms = stop_time_after(last_pulse_ns)
    run_stop = RunStop(stop_time_ms=stop_time_ms, run_name=run.run_name, job_id=run.job_id)
    publisher.send(instrument.topics.run_info, encode_run_stop(run_stop))
    publisher.flush()
    return ReplaySummary(
        run_name=run.run_name,
        start_time_ms=run.start_time_ms,
        stop_time_ms=stop_time_ms,
        messages=messages,
        pulses=pulses,
        events=events,
        offsets=publisher.offsets,
    )


def stop_time_after(pulse_time_ns: int) -> int:
    """Return the first whole millisecond after a pulse, so that the pulse is in `[start, stop)`."""
    return pulse_time_ns // NANOSECONDS_PER_MILLISECOND + 1


def _chooser(publisher: Publisher, instrument: Instrument, weights: tuple[float, ...]) -> PartitionChooser:
    topic = instrument.topics.events
    count = publisher.partitions[topic]
    if len(weights) > count:
        raise Alert(
            f"{len(weights)} partition weights were given, and topic {topic} has {count} partitions.",
            "Give at most one weight for each partition.",
        )
    return PartitionChooser(weights or (1.0,) * count)


def _default_run_name(file: EventFile, instrument: Instrument) -> str:
    if file.run_number is not None:
        return f"{instrument.name}{file.run_number:08d}"
    first_pulse = time.gmtime(file.first_pulse_ns // 1_000_000_000)
    return f"{instrument.name}_{time.strftime('%Y%m%d_%H%M%S', first_pulse)}"


def _in_order_of_time(
    file: EventFile, schema: Schema, pulses_per_message: int, shift_ns: int
) -> Iterator[OutgoingMessage]:
    """Yield the messages of all sources, each when its last pulse has been."""
    streams = [
        event_messages(source, schema, pulses_per_message=pulses_per_message, shift_ns=shift_ns)
        for source in file.sources
    ]
    return heapq.merge(*streams, key=lambda message: message.last_pulse_time_ns)
