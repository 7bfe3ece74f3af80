"""Keeps the partitions of a topic together in Kafka's time while they are read.

Duplicates are found among the newest messages of all partitions, so none may run far ahead of the others: those
whose newest message is later than that of the slowest by more than a limit, and that have brought many messages
since, are held until the slowest has come closer. Only a partition with messages left to read holds others, and only
while it delivers: an idle one, or one whose broker is away, holds nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple


class Ahead(NamedTuple):
    """How far partitions are read ahead of the slowest: beyond both limits they are held.

    With the default, messages are remembered long enough for the slowest up to 3,000 of them a second.
    """

    seconds: float = 60.0
    """By Kafka's time."""

    messages: int = 65_536
    """That all partitions together have brought while they were further ahead than that."""


MOST_AHEAD = Ahead()
_PATIENCE_SECONDS = 5.0
_RELEASE_PART = 4  # released when ahead by no more than this part of the limit: few changes, each costs a fetch


class SideBySide:
    """Decides which partitions wait.

    Parameters
    ----------
    ahead : Ahead
        How far partitions may be ahead of the slowest.

    Attributes
    ----------
    held : set of int
        The partitions that wait now.
    """

    def __init__(self, ahead: Ahead = MOST_AHEAD) -> None:
        self.held: set[int] = set()
        self._ahead_ms = ahead.seconds * 1000
        self._ahead_messages = ahead.messages
        self._newest_ms: dict[int, int] = {}
        self._positions: dict[int, int] = {}
        self._ahead_since: dict[int, int] = {}  # position at which a partition went further than the limit
        self._moved: dict[int, float] = {}
        self._first_ms: int | None = None

    def restart(self, partitions: Iterable[int], now: float) -> None:
        """Begin anew with these partitions."""
        self.held, self._newest_ms, self._first_ms = set(), {}, None
        self._positions, self._ahead_since = {}, {}
        self._moved = dict.fromkeys(partitions, now)

    def add(self, partitions: Iterable[int], now: float) -> None:
        """Go on with these partitions too."""
        self._moved |= dict.fromkeys(partitions, now)

    def see(self, first_ms: int, newest_ms: Mapping[int, int], positions: Mapping[int, int], now: float) -> None:
        """Take what came: the Kafka timestamps of the first message of all and of the last of each partition.

        Negative ones, of messages without a timestamp, tell nothing. `positions` are the offsets behind the last.
        """
        self._positions |= positions
        if self._first_ms is None and first_ms >= 0:
            self._first_ms = first_ms
        for partition, timestamp_ms in newest_ms.items():
            self._moved[partition] = now
            if timestamp_ms >= 0:
                self._newest_ms[partition] = timestamp_ms

    def decide(self, has_backlog: Callable[[int], bool], now: float) -> tuple[set[int], set[int]]:
        """Return the partitions to hold and those to release, which count as held and released from now on.

        Parameters
        ----------
        has_backlog : callable
            Whether a partition has messages left to read; asked only where it matters.
        now : float
            Of a monotonic clock, in seconds, which may count only the time that is spent waiting for messages.
        """
        if self._first_ms is None or not (self.held or self._spread_ms() > self._ahead_ms):
            return set(), set()
        slowest_ms = min(
            (
                self._time_ms(partition)
                for partition, moved in self._moved.items()
                if (partition in self.held or now - moved < _PATIENCE_SECONDS) and has_backlog(partition)
            ),
            default=None,
        )
        release = {p for p in self.held if not self._is_ahead(p, slowest_ms, self._ahead_ms / _RELEASE_PART)}
        self.held -= release
        self._moved |= dict.fromkeys(release, now)
        ahead = self.held | {p for p in self._moved if self._is_ahead(p, slowest_ms, self._ahead_ms)}
        self._ahead_since = {p: self._ahead_since.get(p, self._positions.get(p, 0)) for p in ahead}
        surplus = sum(self._positions.get(p, 0) - since for p, since in self._ahead_since.items())
        hold = ahead - self.held if surplus >= self._ahead_messages else set()
        self.held |= hold
        return hold, release

    def _is_ahead(self, partition: int, slowest_ms: int | None, limit_ms: float) -> bool:
        return slowest_ms is not None and self._time_ms(partition) - slowest_ms > limit_ms

    def _time_ms(self, partition: int) -> int:
        return self._newest_ms.get(partition, self._first_ms or 0)

    def _spread_ms(self) -> int:
        times = [self._time_ms(partition) for partition in self._moved]
        return max(times) - min(times)
