from __future__ import annotations

from dataclasses import dataclass

import pytest
from facility_kit import START_NS, small_instrument
from hypothesis import given
from hypothesis import strategies as st

from runstart.live.accumulation import Accumulation
from runstart.live.beginning import begin, find_beginning


@dataclass
class Partition:
    """Offsets `[low, high)` are there, with these Kafka times."""

    low: int
    times: list[int]

    @property
    def high(self) -> int:
        return self.low + len(self.times)


class Log:
    """What is asked of an event log."""

    def __init__(self, *partitions: Partition) -> None:
        self._partitions = partitions

    def partitions(self) -> list[int]:
        return list(range(len(self._partitions)))

    def watermarks(self, partition: int) -> tuple[int, int]:
        return self._partitions[partition].low, self._partitions[partition].high

    def offset_at(self, partition: int, timestamp_ms: int) -> int | None:
        place = self._partitions[partition]
        return next((place.low + n for n, time in enumerate(place.times) if time >= timestamp_ms), None)


@pytest.mark.parametrize(
    ("partition", "long_ago", "first", "deleted"),
    [
        (Partition(0, [10, 20, 30]), True, 1, None),  # the first message that is young enough
        (Partition(0, [20, 30]), True, 0, None),  # nothing has been deleted
        (Partition(0, []), True, 0, None),  # never used
        (Partition(0, [1, 2]), True, 2, None),  # only old messages
        (Partition(7, [10, 20]), True, 8, None),  # what was deleted was older than what is left and too old
        (Partition(7, [20, 30]), False, 0, 7),  # what was deleted may have been young enough
        (Partition(7, []), False, 7, None),  # idle since long before the run
        (Partition(7, []), True, 0, 7),  # all of it is gone
    ],
)
def test_a_partition_begins_where_the_first_message_of_the_run_may_lie(
    partition: Partition, long_ago: bool, first: int, deleted: int | None
) -> None:
    found = find_beginning(Log(partition), 15, long_ago=long_ago)  # type: ignore[arg-type]
    assert found == ({0: first}, {} if deleted is None else {0: deleted})


@given(st.integers(0, 5), st.lists(st.integers(0, 30), max_size=8), st.booleans())
def test_no_message_that_is_young_enough_is_skipped_unsaid(low: int, times: list[int], long_ago: bool) -> None:
    first, deleted = find_beginning(Log(Partition(low, times)), 15, long_ago=long_ago)  # type: ignore[arg-type]
    assert all(offset >= first[0] for offset, time in enumerate(times, start=low) if time >= 15)
    assert first[0] == 0 or not deleted


def test_what_has_been_deleted_is_lost_and_passed() -> None:
    accumulation = Accumulation(small_instrument(), START_NS)
    accumulation.begin({2: 5})
    begin(accumulation, ({0: 0, 1: 3, 2: 0}, {0: 7, 2: 9}))
    assert accumulation.first_offsets == {0: 0, 1: 3, 2: 5}
    assert accumulation.next_offsets == {0: 7, 1: 3, 2: 5}
    assert accumulation.lost == {0: [(0, 7)]}
