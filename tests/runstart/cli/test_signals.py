"""A signal asks to stop, whatever the program is doing."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from runstart.cli._signals import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event_even_while_its_lock_is_held(number: int) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        with stop._cond:  # as within `stop.wait`
            os.kill(os.getpid(), number)
        assert stop.wait(30)
        assert signal.getsignal(number) == before, "a second one acts as before"
    assert threading.active_count() == len([t for t in threading.enumerate() if t.name != "signals"])


def test_no_signal_leaves_the_event_and_the_handlers_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals(once=False) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(30)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
    with stop_on_signals() as stop:
        pass
    assert not stop.is_set()
