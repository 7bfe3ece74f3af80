from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.readings import SharedReading


def test_those_who_ask_at_once_read_once() -> None:
    read, together = [], threading.Barrier(8)

    def slowly() -> int:
        read.append(1)
        return len(read)

    reading = SharedReading(slowly, 3600)

    def get(_number: int) -> int:
        together.wait()
        return reading.get()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(get, range(8))) == [1] * 8


def test_a_value_is_read_anew_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now, values = [100.0], iter(range(9))
    monkeypatch.setattr("gateway.readings.time.monotonic", lambda: now[0])
    reading = SharedReading(lambda: next(values), 1.0)
    found = []
    for seconds in (0.0, 0.9, 0.2, 0.9):
        now[0] += seconds
        found.append(reading.get())
    assert found == [0, 0, 1, 1]


def test_a_failure_is_told_and_not_kept() -> None:
    def fail() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError
        return 5

    attempts: list[int] = []
    reading = SharedReading(fail, 3600)
    with pytest.raises(OSError):  # noqa: PT011 - it has no text
        reading.get()
    assert reading.get() == 5
