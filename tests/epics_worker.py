"""Collects from EPICS in a process of its own, as a run does: libca is one per process and never lets go of its threads.

Commands come as lines on the input and are answered by JSON on the output: `status`, `series`, `close`, `finish STOP_NS`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from runstart.collectors import Collecting, RunFacts
from runstart.instruments import Bank, CollectorDeclaration, Instrument, TofAxis
from runstart.logs import LogBook, LogSeries

ROOT = Path(__file__).resolve().parents[1]


def small_instrument(collectors: Mapping[str, Any] | None = None, **changes: Any) -> Instrument:
    """Return an instrument with one bank and these collectors."""
    fields: dict[str, Any] = {
        "name": "TEST",
        "banks": (Bank(name="rear", shape=(4,), first_detector_id=0),),
        "tof": TofAxis(start_us=0, stop_us=10, bins=10),
        "collectors": {name: CollectorDeclaration(**table) for name, table in (collectors or {}).items()},
    }
    return Instrument(**fields | changes)


class EpicsWorker:
    """The process, for tests.

    Parameters
    ----------
    environment : mapping of str to str
        Where the IOC is.
    options : dict
        Of the collector.
    start_time_ns : int, optional
        Start of the run; now if left out.
    """

    def __init__(
        self, environment: Mapping[str, str], options: dict[str, Any], start_time_ns: int | None = None
    ) -> None:
        self.start_time_ns = time.time_ns() if start_time_ns is None else start_time_ns
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), json.dumps(options), str(self.start_time_ns)],
            env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> EpicsWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _, self.complaints = self._process.communicate(timeout=30)
        assert kind is not None or (self._process.returncode, self.complaints) == (0, "")

    def ask(self, command: str) -> Any:
        """Return the answer to a command."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def log(self, name: str) -> list[dict[str, Any]]:
        """Return the samples of a log so far."""
        return list(self.ask("series").get(name, []))

    def wait(self, name: str, condition: Callable[[list[dict[str, Any]]], bool], seconds: float = 30) -> Any:
        """Wait until the samples of a log fulfil a condition, and return them."""
        deadline = time.monotonic() + seconds
        while not condition(samples := self.log(name)):
            assert time.monotonic() < deadline, (samples[-3:], self.ask("status"))
            time.sleep(0.05)
        return samples

    def finish(self, stop_time_ns: int | None = None) -> dict[str, list[dict[str, Any]]]:
        """End the run, and return all logs."""
        stop = time.time_ns() if stop_time_ns is None else stop_time_ns
        return dict(self.ask(f"finish {stop}"))


def _rows(series: LogSeries) -> list[dict[str, Any]]:
    values = series.values if isinstance(series.values, tuple) else series.values.tolist()
    statuses = series.status or ("",) * len(series)
    keys = ("time_ns", "value", "severity", "status", "unit", "source")
    rows = zip(series.time_ns.tolist(), values, series.severity.tolist(), statuses, strict=True)
    return [dict(zip(keys, (*row, series.unit, series.source), strict=True)) for row in rows]


def main() -> None:
    """Collect until the input ends."""
    options, start_time_ns = json.loads(sys.argv[1]), int(sys.argv[2])
    instrument = small_instrument({"se": {"use": "epics", **options}})
    book = LogBook("run-1", start_time_ns)
    collecting = Collecting(RunFacts(instrument, "run-1", "run 1", start_time_ns), book)
    collecting.start()
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "close":
            collecting.close()
        if word == "finish":
            collecting.finish(int(rest[0]))
        answer: Any = collecting.status()["se"] | {"dropped": collecting.dropped, **book.counters}
        if word in ("series", "finish"):
            answer = {name: _rows(series) for name, series in book.series().items()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    collecting.abandon()


if __name__ == "__main__":
    main()
