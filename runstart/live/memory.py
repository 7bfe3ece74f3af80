"""The bounded memory of messages seen: finds duplicates and gaps whatever the order of arrival.

A message is known by its source, its id and its pulse time. Partitions are read in no fixed order, so nothing
here depends on arrival: the memory forgets by pulse time, oldest first, and gaps are counted along the pulses.
A message older than all that is remembered cannot be judged; it is taken, and counted as unjudged.

Ids of a source rise by one along its pulses, modulo 2**64. A step of more than one is a gap; a step back, or one
of more than `LARGEST_GAP`, is a source that began to number anew. Of the proton charges that the messages of one
pulse carry, the largest is the pulse's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

CAPACITY = 262_144  # messages; five hours at 14 pulses a second, at most 50 MB
LARGEST_GAP = 1_000_000  # a longer step says nothing about loss
_BUCKET_BITS = 33  # pulses of 2**33 ns = 8.6 s are forgotten together: few buckets, each quickly chained

_Key = tuple[int, int, int]  # pulse time in ns, source number, message id


class Verdict(Enum):
    """What the memory knows of a message."""

    NEW = "new"
    DUPLICATE = "duplicate"
    UNJUDGED = "unjudged"


@dataclass
class _Link:
    """Ends of one source's ids within a stretch of pulses, and what lies between."""

    first: tuple[int, int]  # message id, pulse time
    last: tuple[int, int]
    missing: int = 0
    restarts: int = 0


@dataclass
class _Bucket:
    keys: set[_Key] = field(default_factory=set)
    charges: dict[int, int] = field(default_factory=dict)  # pulse time to proton charge, in the caller's quanta
    chain: dict[int, _Link] | None = None  # None once a key has been added
    packed: NDArray[np.int64] | None = None


class MessageMemory:
    """Remembers the newest messages of a run.

    Parameters
    ----------
    start_time_ns : int
        Start of the run; gaps wholly outside the run do not count.
    capacity : int
        Messages to remember.
    """

    def __init__(self, start_time_ns: int, capacity: int = CAPACITY) -> None:
        self._start_ns = start_time_ns
        self._stop_ns: int | None = None
        self._capacity = capacity
        self._sources: dict[str, int] = {}
        self._buckets: dict[int, _Bucket] = {}
        self._size = 0
        self._horizon: int | None = None  # newest bucket that has been forgotten
        self._forgotten: dict[int, _Link] = {}

    def stop_at(self, stop_time_ns: int | None) -> None:
        """Tell the stop of the run, or that it is not known: gaps at or after it do not count."""
        if stop_time_ns != self._stop_ns:
            self._stop_ns = stop_time_ns
            for bucket in self._buckets.values():
                bucket.chain = None

    def see(self, source: str, message_id: int, pulse_time_ns: int) -> Verdict:
        """Remember a message and say whether it was known."""
        if message_id >= 1 << 63:
            message_id -= 1 << 64  # ids are stored signed
        number = self._sources.setdefault(source, len(self._sources))
        place = pulse_time_ns >> _BUCKET_BITS
        if self._horizon is not None and place <= self._horizon:
            return Verdict.UNJUDGED
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = _Bucket()
        key = (pulse_time_ns, number, message_id)
        if key in bucket.keys:
            return Verdict.DUPLICATE
        bucket.keys.add(key)
        bucket.chain = bucket.packed = None
        self._size += 1
        if self._size > self._capacity:
            self._forget_oldest()
        return Verdict.NEW

    def raise_charge(self, pulse_time_ns: int, charge: int) -> int:
        """Return by how much a message raises its pulse's charge: 0 unless it carries more than those before it.

        Parameters
        ----------
        pulse_time_ns : int
            A pulse that `see` has been told of; one that has been forgotten is not raised any more.
        charge : int
            In whole quanta, not negative.
        """
        bucket = self._buckets.get(pulse_time_ns >> _BUCKET_BITS)
        if bucket is None:
            return 0
        before = bucket.charges.get(pulse_time_ns, 0)
        if charge <= before:
            return 0
        bucket.charges[pulse_time_ns] = charge
        return charge - before

    def gaps(self) -> tuple[int, int]:
        """Return the number of missing message ids and of source restarts within the run so far."""
        total = {number: _Link(**vars(link)) for number, link in self._forgotten.items()}
        for place in sorted(self._buckets):
            self._append(total, self._chain(self._buckets[place]))
        return sum(link.missing for link in total.values()), sum(link.restarts for link in total.values())

    def arrays(self) -> dict[str, NDArray[np.int64] | NDArray[np.uint8]]:
        """Return the memory as arrays for a snapshot; `keys` is int64 `(n, 3)`, `charges` `(n, 2)`."""
        keys = [self._pack(self._buckets[place]) for place in sorted(self._buckets)]
        forgotten = [
            (number, *link.first, *link.last, link.missing, link.restarts)
            for number, link in sorted(self._forgotten.items())
        ]
        horizon = [] if self._horizon is None else [self._horizon]
        charges = [pair for _, bucket in sorted(self._buckets.items()) for pair in sorted(bucket.charges.items())]
        return {
            "keys": np.concatenate(keys) if keys else np.empty((0, 3), np.int64),
            "charges": np.array(charges, dtype=np.int64).reshape(-1, 2),
            "sources": np.frombuffer(json.dumps(list(self._sources)).encode(), np.uint8),
            "forgotten": np.array(forgotten, dtype=np.int64).reshape(-1, 7),
            "horizon": np.array(horizon, dtype=np.int64),
        }

    def load(self, arrays: dict[str, NDArray[np.int64] | NDArray[np.uint8]]) -> None:
        """Take over what `arrays` gave."""
        names = json.loads(arrays["sources"].tobytes())
        self._sources = {name: number for number, name in enumerate(names)}
        self._buckets = {}
        for pulse, number, message_id in arrays["keys"].tolist():
            bucket = self._buckets.setdefault(pulse >> _BUCKET_BITS, _Bucket())
            bucket.keys.add((pulse, number, message_id))
        for pulse, charge in arrays["charges"].tolist():
            self._buckets[pulse >> _BUCKET_BITS].charges[pulse] = charge
        self._size = len(arrays["keys"])
        self._horizon = int(arrays["horizon"][0]) if len(arrays["horizon"]) else None
        self._forgotten = {
            row[0]: _Link((row[1], row[2]), (row[3], row[4]), row[5], row[6])
            for row in arrays["forgotten"].tolist()
        }

    def _forget_oldest(self) -> None:
        place = min(self._buckets)
        bucket = self._buckets.pop(place)
        self._append(self._forgotten, self._chain(bucket))
        self._size -= len(bucket.keys)
        self._horizon = place

    def _chain(self, bucket: _Bucket) -> dict[int, _Link]:
        if bucket.chain is None:
            chain: dict[int, _Link] = {}
            for pulse, number, message_id in sorted(bucket.keys):
                self._append(chain, {number: _Link((message_id, pulse), (message_id, pulse))})
            bucket.chain = chain
        return bucket.chain

    def _append(self, total: dict[int, _Link], chain: dict[int, _Link]) -> None:
        for number, link in chain.items():
            before = total.get(number)
            if before is None:
                total[number] = _Link(**vars(link))
                continue
            missing, restarts = self._step(before.last, link.first)
            before.missing += missing + link.missing
            before.restarts += restarts + link.restarts
            before.last = link.last

    def _step(self, before: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
        if not (self._in_run(before[1]) or self._in_run(after[1])):
            return 0, 0
        step = (after[0] - before[0]) % (1 << 64)
        if step == 0 or step > LARGEST_GAP:
            return 0, 1
        return step - 1, 0

    def _in_run(self, pulse_time_ns: int) -> bool:
        return self._start_ns <= pulse_time_ns and (self._stop_ns is None or pulse_time_ns < self._stop_ns)

    @staticmethod
    def _pack(bucket: _Bucket) -> NDArray[np.int64]:
        if bucket.packed is None:
            bucket.packed = np.array(sorted(bucket.keys), dtype=np.int64).reshape(-1, 3)
        return bucket.packed
