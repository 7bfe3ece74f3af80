"""Waits of tests: for a condition, never for a time; the instants of faults are the one exception."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 2.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0
"""How many times longer a test may take where another one runs beside it."""


def wait_until(found: Callable[[], Any], what: str, timeout: float = 60.0, interval: float = 0.05) -> Any:
    """Return what `found` returns as soon as it is true."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        assert time.monotonic() < deadline, f"Waited {timeout:g} s in vain for: {what}"
        time.sleep(interval)
    return answer


def let_pass(seconds: float) -> None:
    """Wait for the instant of a fault: a random one, or the length of an outage; never for something to be ready."""
    time.sleep(seconds)
