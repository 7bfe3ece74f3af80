"""Partitions are kept together in Kafka's time, and none is ever kept waiting for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from runstart.kafka.side_by_side import Ahead, SideBySide

AHEAD_MS = 1000
stamps = st.lists(st.integers(0, 20_000), max_size=60).map(sorted)


class Topic:
    """Partitions of messages with these timestamps, read some at a time by whoever is not held."""

    def __init__(self, timestamps: Sequence[Sequence[int]], ahead_messages: int = 0) -> None:
        self.timestamps = timestamps
        self.next = [0] * len(timestamps)
        self.now = 0.0
        self.side_by_side = SideBySide(Ahead(AHEAD_MS / 1000, ahead_messages))
        self.side_by_side.restart(range(len(timestamps)), self.now)

    @property
    def unfinished(self) -> list[int]:
        return [p for p in range(len(self.next)) if self.has_backlog(p)]

    def has_backlog(self, partition: int) -> bool:
        return self.next[partition] < len(self.timestamps[partition])

    def read(self, partition: int, most: int) -> int | None:
        """Read up to `most` messages of a partition, and return the last timestamp."""
        begin = self.next[partition]
        read = self.timestamps[partition][begin : begin + most]
        self.next[partition] += len(read)
        if read:
            self.side_by_side.see(read[0], {partition: read[-1]}, {partition: self.next[partition]}, self.now)
        return read[-1] if read else None

    def decide(self) -> tuple[set[int], set[int]]:
        return self.side_by_side.decide(self.has_backlog, self.now)


@given(st.lists(stamps, min_size=1, max_size=5), st.data())
def test_everything_is_read_and_nothing_far_ahead_of_what_is_left(
    timestamps: list[list[int]], data: st.DataObject
) -> None:
    topic = Topic(timestamps)
    held: set[int] = set()
    while topic.unfinished:
        free = [p for p in topic.unfinished if p not in held]
        assert free, "All that is left to read is held."
        partition = data.draw(st.sampled_from(free))
        newest = topic.read(partition, 1)
        others = [topic.timestamps[p][topic.next[p] - 1] for p in topic.unfinished if topic.next[p]]
        hold, release = topic.decide()
        assert hold.isdisjoint(held)
        assert release <= held
        held = (held | hold) - release
        assert held == topic.side_by_side.held
        if newest is not None and topic.has_backlog(partition) and others and newest - min(others) > AHEAD_MS:
            assert partition in held


@given(st.lists(stamps, min_size=1, max_size=4), st.data())
def test_partitions_that_stay_within_the_limit_are_never_held(
    timestamps: list[list[int]], data: st.DataObject
) -> None:
    topic = Topic([[stamp % AHEAD_MS for stamp in sorted(group)] for group in timestamps])
    while topic.unfinished:
        topic.read(data.draw(st.sampled_from(topic.unfinished)), 7)
        assert topic.decide() == (set(), set())


def test_a_partition_that_is_ahead_waits_until_the_slowest_is_near() -> None:
    topic = Topic([list(range(0, 5000, 100)), [0, 3000, *range(3000, 9000, 100)]])
    topic.read(0, 1)
    topic.read(1, 2)
    assert topic.decide() == ({1}, set())
    topic.read(0, 25)
    assert topic.decide() == (set(), set())
    topic.read(0, 5)
    assert topic.decide() == (set(), {1})


def test_partitions_that_are_ahead_by_few_messages_are_not_held() -> None:
    topic = Topic([[0, 100, 200], [*range(0, 20_000, 2000)], [*range(0, 20_000, 2000)]], ahead_messages=6)
    topic.read(0, 1)
    for partition in (1, 2):
        topic.read(partition, 2)
        assert topic.decide() == (set(), set())
    topic.read(1, 5)
    assert topic.decide() == (set(), set())
    topic.read(2, 1)
    assert topic.decide() == ({1, 2}, set())


def test_an_idle_partition_holds_nobody() -> None:
    topic = Topic([[0, 100], list(range(0, 9000, 100)), []])
    topic.read(0, 2)
    topic.read(1, 50)
    assert topic.decide() == (set(), set())


def test_a_partition_that_has_delivered_nothing_yet_is_waited_for_but_not_for_long() -> None:
    topic = Topic([[100, 200], list(range(0, 9000, 100))])
    topic.read(1, 50)
    assert topic.decide() == ({1}, set())
    topic.now = 6.0
    assert topic.decide() == (set(), {1})


def test_a_timestamp_far_in_the_future_holds_its_partition_no_longer_than_others_have_messages() -> None:
    topic = Topic([list(range(0, 3000, 100)), [0, 10**13, 50, 60]])
    topic.read(1, 2)
    topic.read(0, 29)
    assert topic.decide() == ({1}, set())
    topic.read(0, 1)
    assert topic.decide() == (set(), {1})
    topic.read(1, 2)
    assert topic.decide() == (set(), set())


def test_messages_without_a_timestamp_hold_nobody() -> None:
    topic = Topic([[-1, -1, -1], [-1, 0, 9000, 9100]])
    topic.read(0, 1)
    topic.read(1, 1)
    assert topic.decide() == (set(), set())


def test_beginning_anew_forgets_who_was_held() -> None:
    topic = Topic([[0, 100, 200], [0, 5000, 5100]])
    topic.read(0, 1)
    topic.read(1, 2)
    assert topic.decide() == ({1}, set())
    topic.side_by_side.restart([0, 1], topic.now)
    assert topic.side_by_side.held == set()
    assert topic.decide() == (set(), set())
