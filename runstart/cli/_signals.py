"""Turns Ctrl-C and SIGTERM into a request to stop, so that a run is ended properly; a second one kills."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that is set by the first SIGINT or SIGTERM."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(_number: int, _frame: object) -> None:
        stop.set()
        restore()

    for number in numbers:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()
