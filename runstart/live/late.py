"""Events of a run that came after its offsets were frozen: counted apart, never mixed in."""

from __future__ import annotations

from collections.abc import Callable

from runstart.kafka import EventLog
from runstart.live.accumulation import Accumulation
from runstart.live.head import Frozen

WINDOW_MS = 3_600_000  # by Kafka's clock after the freezing; bounds what a replay looks through
LONGEST_SILENCE = 20  # reads of half a second without progress before the rest is left to a replay


def count_late_events(
    log: EventLog, finished: Accumulation, frozen: Frozen, check: Callable[[], None]
) -> Accumulation:
    """Return the counts of what lies behind the frozen offsets and belongs to the run.

    Parameters
    ----------
    log : EventLog
        The run's event topic.
    finished : Accumulation
        The run's own counts; messages that it has seen are duplicates here too.
    frozen : Frozen
        Stop and offsets of the run.
    check : callable
        Called at each read; raises to end the work.
    """
    late = Accumulation(finished.instrument, finished.start_time_ns, finished.n_periods)
    late.memory.load(finished.memory.arrays())
    ends = {}
    for partition, end in frozen.end_offsets.items():
        low, high = log.watermarks(partition)
        horizon = log.offset_at(partition, frozen.frozen_at_ms + WINDOW_MS)
        ends[partition] = high if horizon is None else min(high, horizon)
        if max(end, low) < ends[partition]:
            late.begin({partition: max(end, low)})
    log.seek(late.next_offsets)
    silence = 0
    while any(late.next_offsets[p] < ends[p] for p in late.next_offsets) and silence < LONGEST_SILENCE:
        check()
        batch = log.read(500, 0.5)
        silence = 0 if batch.positions else silence + 1
        for message in batch.messages:
            if message.offset < ends[message.partition]:
                late.add(message, frozen.stop_time_ns)
        for partition, position in batch.positions.items():
            late.next_offsets[partition] = max(late.next_offsets[partition], position)
    return late
