from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from runstart.simulators.pacing import Pacer


class VirtualTime(threading.Event):
    """A clock that moves only by waiting, and by the delays that a test puts in."""

    now_ns = 5 * 10**9

    def wait(self, timeout: float | None = None) -> bool:
        self.now_ns += round((timeout or 0) * 10**9)
        return self.is_set()


@given(st.lists(st.integers(0, 3 * 10**8), min_size=1, max_size=20), st.sampled_from([0.5, 1.0, 10.0]))
def test_delays_never_add_up(delays_ns: list[int], speed: float) -> None:
    clock = VirtualTime()
    pacer = Pacer(speed, clock, lambda: clock.now_ns)
    start_ns = clock.now_ns
    for pulse, delay_ns in enumerate(delays_ns):
        before_ns = clock.now_ns
        due_ns = start_ns + pulse * 10**8 / speed
        assert pacer.wait(pulse * 10**8)
        assert abs(clock.now_ns - max(due_ns, before_ns)) <= 1
        clock.now_ns += delay_ns


def test_without_a_speed_nothing_waits() -> None:
    clock = VirtualTime()
    assert Pacer(None, clock, lambda: clock.now_ns).wait(10**12)
    assert clock.now_ns == VirtualTime.now_ns


def test_it_stops_when_told() -> None:
    stop = threading.Event()
    stop.set()
    assert not Pacer(1.0, stop).wait(10**15)
    assert not Pacer(None, stop).wait(0)
