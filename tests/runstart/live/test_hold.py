from __future__ import annotations

from facility_kit import raw
from hypothesis import given
from hypothesis import strategies as st

from runstart.kafka import Batch
from runstart.live.hold import Hold


def batch(offset: int, size: int = 1) -> Batch:
    return Batch([raw(b"x" * size, offset=offset)], {0: offset + 1})


@given(st.lists(st.floats(0, 5), max_size=20), st.floats(0, 10))
def test_batches_come_out_once_in_order_and_not_before_their_time(steps: list[float], seconds: float) -> None:
    hold, now, put, out = Hold(seconds), 0.0, [], []
    for number, step in enumerate(steps):
        now += step
        hold.put(batch(number), now)
        put.append(now)
        taken = list(hold.take(now))
        assert all(put[b.messages[0].offset] + seconds <= now for b in taken)
        out += taken
    out += hold.take(now + seconds)
    assert [b.messages[0].offset for b in out] == list(range(len(steps)))


def test_when_they_are_too_large_the_oldest_do_not_wait() -> None:
    hold = Hold(1000.0, largest_bytes=25)
    for number in range(5):
        hold.put(batch(number, size=10), 0.0)
    assert [b.messages[0].offset for b in hold.take(0.0)] == [0, 1, 2]
    assert [b.messages[0].offset for b in hold.take_all()] == [3, 4]


def test_a_batch_of_positions_or_losses_only_waits_too() -> None:
    hold = Hold(1.0)
    hold.put(Batch(positions={0: 5}), 0.0)
    hold.put(Batch(lost=[(0, 1, 2)]), 0.0)
    hold.put(Batch(), 0.0)
    assert list(hold.take(0.5)) == []
    assert len(list(hold.take(1.0))) == 2


def test_what_was_cleared_does_not_come_out_and_does_not_count() -> None:
    hold = Hold(1000.0, largest_bytes=25)
    hold.put(batch(0, size=20), 0.0)
    hold.clear()
    hold.put(batch(1, size=20), 0.0)
    assert list(hold.take(0.0)) == []
    assert [b.messages[0].offset for b in hold.take_all()] == [1]
