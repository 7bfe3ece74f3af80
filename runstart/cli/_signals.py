"""Turns Ctrl-C and SIGTERM into a request to stop, so that a run is ended properly; a second one kills."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNAL, _END = b"s", b"e"


@contextmanager
def stop_on_signals(*, once: bool = True) -> Iterator[threading.Event]:
    """Yield an event that SIGINT or SIGTERM sets; a second one acts as before, or changes nothing if not `once`."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    hears, tells = os.pipe()

    def listen() -> None:
        if os.read(hears, 1) == _SIGNAL:
            stop.set()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(_number: int, _frame: object) -> None:
        # Not `stop.set()`: who waits for the event may hold its lock just now, and would wait for itself.
        os.write(tells, _SIGNAL)
        if once:
            restore()

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    for number in numbers:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()
        os.write(tells, _END)
        listener.join()
        os.close(hears)
        os.close(tells)
