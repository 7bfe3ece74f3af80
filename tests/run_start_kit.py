"""A sensor that ticks on a cluster in memory, and the instruments and RunStarts that it meets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facility_kit import START_MS, on_topics, small_instrument
from fake_kafka import FakeCluster

from runstart.errors import Transient
from runstart.events import RunStart, encode
from runstart.instruments import Instrument
from runstart.kafka import RunInfoLog
from runstart.live.run_starts import Cursor, Findings, FoundRun, RunStartSearch
from runstart.storage import ObjectStore

SANS = on_topics(small_instrument("SANS"), "SANS_events", "sans_info")
MERLIN = on_topics(small_instrument("MERLIN"), "MERLIN_events", "shared_info")
LARMOR = on_topics(small_instrument("LARMOR"), "LARMOR_events", "shared_info")
QUIET = on_topics(small_instrument("QUIET", live_reduction=False), "QUIET_events", "quiet_info")
INSTRUMENTS = (SANS, MERLIN, LARMOR, QUIET)


def run_start(name: str = "1", minutes: int = 0, instrument: str = "SANS", **fields: Any) -> bytes:
    start_ms = START_MS + minutes * 60_000
    return encode(
        RunStart(**({"start_time_ms": start_ms, "run_name": name, "instrument_name": instrument} | fields))
    )


class Sensor:
    """Ticks as the sensor does: a cursor kept as text, and a log that may be made anew."""

    def __init__(self, cluster: FakeCluster, store: ObjectStore, instruments: tuple[Instrument, ...] = INSTRUMENTS):
        self.store = store
        self.instruments = instruments
        self.cursor: str | None = None
        self.log: RunInfoLog | None = None
        self._cluster = cluster

    def tick(self, seconds: float = 0.02) -> Findings:
        if self.log is None:
            self.log = RunInfoLog("fake:9092", {i.topics.run_info for i in self.instruments})
        try:
            search = RunStartSearch(self.log, self.instruments, self.store)
            found = search.search(Cursor.from_json(self.cursor), seconds)
        except Transient:
            self.log = None
            raise
        self.cursor = found.cursor.to_json()
        return found

    def drain(self) -> list[FoundRun]:
        """Tick until nothing more comes; return all runs found."""
        runs: list[FoundRun] = []
        while True:
            found = self.tick()
            runs += found.runs
            if not found.messages:
                return runs


def write(cluster: FakeCluster, topic: str = "sans_info", partition: int = 0) -> Callable[..., int]:
    def send(payload: bytes, minutes: int = 0) -> int:
        return cluster.write(topic, payload, partition, START_MS + minutes * 60_000)

    return send


def launched(runs: list[FoundRun]) -> list[str]:
    return [f"{run.instrument}:{run.run_name}" for run in runs if run.launch]


def known(runs: list[FoundRun]) -> set[str]:
    return {f"{run.instrument}:{run.run_name}" for run in runs}
