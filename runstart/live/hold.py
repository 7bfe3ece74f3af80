"""Holds the newest messages back while the stop of a run is not known.

Events that turn out to lie past the stop must not stay counted. The announcement of a stop mostly follows
within moments, so messages wait `seconds` after they arrived before they are added. The wait is measured by
arrival: an idle topic lets them out too. When they take too much memory the oldest go early; a stop that comes
later than that is put right by counting again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from runstart.kafka import Batch

LARGEST_BYTES = 256 * 1024 * 1024


class Hold:
    """A queue of batches in order of arrival.

    Parameters
    ----------
    seconds : float
        How long a batch waits.
    largest_bytes : int
        Bytes of payload beyond which the oldest batches do not wait.
    """

    def __init__(self, seconds: float, largest_bytes: int = LARGEST_BYTES) -> None:
        self._seconds = seconds
        self._largest = largest_bytes
        self._batches: deque[tuple[float, int, Batch]] = deque()
        self._bytes = 0

    def put(self, batch: Batch, now: float) -> None:
        """Add a batch that arrived at `now`, in seconds of a clock that only goes forward."""
        if batch.messages or batch.positions or batch.lost:
            size = sum(len(message.payload) for message in batch.messages)
            self._batches.append((now, size, batch))
            self._bytes += size

    def take(self, now: float) -> Iterator[Batch]:
        """Yield the batches that have waited long enough, oldest first."""
        while self._batches and (self._batches[0][0] + self._seconds <= now or self._bytes > self._largest):
            yield self._pop()

    def take_all(self) -> Iterator[Batch]:
        """Yield all batches, oldest first: the stop is known."""
        while self._batches:
            yield self._pop()

    def clear(self) -> None:
        """Forget everything; it will be read again."""
        self._batches.clear()
        self._bytes = 0

    def _pop(self) -> Batch:
        _, size, batch = self._batches.popleft()
        self._bytes -= size
        return batch
