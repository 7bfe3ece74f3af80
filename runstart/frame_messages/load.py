"""Messages that measure how fast a pipeline carries them: made by one operator, and timed by another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from runstart.errors import Alert
from runstart.frame_messages.arrays import read_meta
from runstart.frame_messages.tables import table_message
from runstart.operators import BytesMessage, MessageHeader

_GROWTH = 4
_MOST_LATENCIES = 10_000
_NS_PER_S, _NS_PER_MS, _MEGABYTE = 1e9, 1e6, 1e6


@dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes
    ----------
    smallest, largest : int
        Bytes of the first and of the last messages; sizes grow by a factor of 4.
    amount : int
        Bytes that are sent of each size; at least one message is.
    """

    smallest: int
    largest: int
    amount: int

    @property
    def sizes(self) -> list[int]:
        """Bytes of messages, ascending; raise Alert if there are none."""
        if self.smallest > self.largest:
            raise Alert(
                f"The smallest size is {self.smallest} bytes, and the largest {self.largest}.", "Swap them."
            )
        sizes = [self.smallest]
        while sizes[-1] * _GROWTH <= self.largest:
            sizes.append(sizes[-1] * _GROWTH)
        return sizes


def load_messages(load: Load, clock: Callable[[], int] = time.time_ns) -> Iterator[BytesMessage]:
    """Yield all messages of a load.

    Parameters
    ----------
    load : Load
        What is sent.
    clock : callable
        Returns ns since 1970; the receiver's must be the same, or set by the same time.
    """
    for size in load.sizes:
        data, count = bytes(size), max(1, load.amount // size)
        for number in range(count):
            meta = {"size": size, "number": number, "count": count, "sent_ns": clock()}
            yield BytesMessage(MessageHeader(meta=meta), data)


class _Size:
    """What came of one size."""

    def __init__(self, count: int, first_ns: int) -> None:
        self.count = count
        self.received, self.nbytes = 0, 0
        self.first_ns = self.last_ns = first_ns
        self.latencies_ms: list[float] = []


class LoadMeter:
    """Times the messages of a load.

    Parameters
    ----------
    clock : callable
        Returns ns since 1970.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._sizes: dict[int, _Size] = {}

    def take(self, message: BytesMessage) -> BytesMessage | None:
        """Count a message; return the table when it was the last of its size.

        Raises
        ------
        Alert
            If it is none of `load_messages`, or has lost bytes.
        """
        meta = read_meta(message)
        try:
            size, count, sent_ns = (int(meta[key]) for key in ("size", "count", "sent_ns"))
        except (KeyError, TypeError, ValueError) as error:
            raise Alert("The message is not benchmark-sender's.", "Wire benchmark-sender to this input.") from error
        if len(message.data) != size:
            raise Alert(f"A message of {size} bytes came with {len(message.data)}.", "Look for who changes it.")
        now = self._clock()
        one = self._sizes.setdefault(size, _Size(count, sent_ns))
        one.received, one.nbytes, one.last_ns = one.received + 1, one.nbytes + size, now
        if len(one.latencies_ms) < _MOST_LATENCIES:
            one.latencies_ms.append((now - sent_ns) / _NS_PER_MS)
        return self._table() if one.received == one.count else None

    def finish(self) -> BytesMessage | None:
        """Return the table if messages of some size did not all come."""
        return self._table() if any(one.received < one.count for one in self._sizes.values()) else None

    def _table(self) -> BytesMessage:
        rows = []
        for size, one in sorted(self._sizes.items()):
            seconds = max(one.last_ns - one.first_ns, 1) / _NS_PER_S
            rows.append(
                {
                    "bytes": size,
                    "messages": one.received,
                    "missing": one.count - one.received,
                    "MB/s": round(one.nbytes / _MEGABYTE / seconds, 3),
                    "messages/s": round(one.received / seconds, 1),
                    "latency ms": round(median(one.latencies_ms), 3),
                }
            )
        return table_message({"throughput": rows})
