"""Where a run begins to be read: by Kafka's time, a margin before its start, in every partition.

Kafka's time is the producer's or the broker's, so it only finds a place early enough; what belongs to the run is
decided by pulse times. What the broker has already deleted there may have been of the run, and is noted as lost.
"""

from __future__ import annotations

from runstart.kafka import EventLog
from runstart.live.accumulation import Accumulation

Beginning = tuple[dict[int, int], dict[int, int]]


def find_beginning(log: EventLog, seek_time_ms: int, *, long_ago: bool) -> Beginning:
    """Return the first offset of each partition, and for some partitions the end of what has been deleted.

    A partition begins at its first message whose Kafka time is at or after `seek_time_ms`. If that is the oldest
    one that is left, and older ones have been deleted, these may have been younger than `seek_time_ms` too: the
    partition then begins at offset 0 and has lost everything up to its oldest message. So it has when it is empty
    now but once was not, if the run was `long_ago`; in a run that has just begun such a partition is merely idle.

    Raises
    ------
    Transient
        If the broker does not answer.
    """
    first, deleted = {}, {}
    for partition in log.partitions():
        low, high = log.watermarks(partition)
        at = log.offset_at(partition, seek_time_ms)
        first[partition] = high if at is None else max(at, low)
        if low > 0 and (at <= low if at is not None else long_ago and low == high):
            first[partition], deleted[partition] = 0, low
    return first, deleted


def begin(accumulation: Accumulation, beginning: Beginning) -> None:
    """Begin partitions, and note what they have lost; partitions already begun stay as they are."""
    first, deleted = beginning
    new = {partition: offset for partition, offset in first.items() if partition not in accumulation.next_offsets}
    accumulation.begin(new)
    for partition in new.keys() & deleted.keys():
        accumulation.lose(partition, 0, deleted[partition])
