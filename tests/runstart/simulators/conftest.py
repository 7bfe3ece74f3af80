from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from runstart.events import EventMessage, decode
from runstart.instruments import Bank, Instrument, TofAxis
from runstart.simulators import Publisher


class RecordedFuture:
    """A future that is settled from the start."""

    def __init__(self, metadata: object = None, error: BaseException | None = None) -> None:
        self.metadata, self.error = metadata, error

    def add_callback(self, call: Callable[[Any], None]) -> None:
        if self.error is None:
            call(self.metadata)

    def add_errback(self, call: Callable[[BaseException], None]) -> None:
        if self.error is not None:
            call(self.error)


@dataclass
class Metadata:
    topic: str
    partition: int
    offset: int


@dataclass
class RecordingProducer:
    """Stands in for `kafka.KafkaProducer`: remembers what it was given, in order."""

    sent: list[tuple[str, int, bytes]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    error: BaseException | None = None
    closed: bool = False

    def send(self, topic: str, value: bytes, *, partition: int) -> RecordedFuture:
        self.log.append(topic)
        if self.error is not None:
            return RecordedFuture(error=self.error)
        offset = sum(1 for other in self.sent if other[:2] == (topic, partition))
        self.sent.append((topic, partition, value))
        return RecordedFuture(Metadata(topic, partition, offset))

    def flush(self, timeout: float | None = None) -> None:
        self.log.append("flush")

    def close(self, timeout: float | None = None) -> None:
        self.closed = True

    def messages(self, topic: str) -> list[Any]:
        return [decode(value) for sent_topic, _, value in self.sent if sent_topic == topic]

    def events(self, topic: str) -> list[EventMessage]:
        return self.messages(topic)


@pytest.fixture
def instrument() -> Instrument:
    return Instrument(
        name="SANS",
        banks=(
            Bank(name="monitors", shape=(4,), first_detector_id=1),
            Bank(name="rear", shape=(16, 24), first_detector_id=100),
            Bank(name="front", shape=(8, 24), first_detector_id=1000),
        ),
        tof=TofAxis(start_us=1000, stop_us=91_000, bins=90),
    )


@pytest.fixture
def producer() -> RecordingProducer:
    return RecordingProducer()


@pytest.fixture
def publisher(producer: RecordingProducer, instrument: Instrument) -> Publisher:
    return Publisher(producer, {instrument.topics.events: 4, instrument.topics.run_info: 1})


@dataclass
class Recorded:
    """What a NeXus file was written from."""

    path: Path
    detector_id: NDArray[np.uint32]
    offset_us: NDArray[np.float32]
    pulse_index: NDArray[np.uint64]


@pytest.fixture
def isis_file(tmp_path: Path) -> Recorded:
    """A file as ISIS writes it: float32 microseconds, a frame log, two periods, one pulse without events."""
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 40, 20)
    counts[7] = 0
    index = np.cumsum(counts) - counts
    total = int(counts.sum())
    detector_id = rng.integers(1, 5, total).astype(np.uint32)
    offset_us = rng.uniform(1000, 91_000, total).astype(np.float32)
    path = tmp_path / "isis.nxs"
    with h5py.File(path, "w") as file:
        entry = file.create_group("raw_data_1")
        entry.attrs["NX_class"] = "NXentry"
        entry["start_time"] = [b"2016-04-12T02:58:52"]
        entry["name"] = [b"SANS"]
        entry["run_number"] = [34484]
        entry["title"] = [b"a title"]
        entry["periods/number"] = [2]
        entry["framelog/proton_charge/value"] = np.linspace(0.001, 0.002, 20, dtype=np.float32)
        entry["framelog/period_log/value"] = (np.arange(20) % 2 + 1).astype(np.int32)
        events = entry.create_group("detector_1_events")
        events.attrs["NX_class"] = "NXevent_data"
        events["event_id"] = detector_id
        events["event_time_offset"] = offset_us
        events["event_index"] = index.astype(np.uint64)
        events["event_time_zero"] = 2.5 + np.arange(20) / 10
        events["event_time_zero"].attrs["offset"] = "2016-04-12T02:58:52"
    return Recorded(path, detector_id, offset_us, index.astype(np.uint64))


@pytest.fixture
def sns_file(tmp_path: Path) -> Path:
    """A file as SNS writes it: several banks, units, a date with nanoseconds and zone, charge in picocoulomb."""
    path = tmp_path / "sns.nxs.h5"
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["run_number"] = [b"1234"]
        entry["instrument/name"] = [b"SANS"]
        charge = entry.create_group("DASlogs/proton_charge")
        charge["value"] = [3.6e9, 7.2e9]
        charge["value"].attrs["units"] = "picoCoulomb"
        charge["time"] = [0.0, 1.05]
        charge["time"].attrs["start"] = "2020-01-01T07:00:00.000000001-05:00"
        charge["time"].attrs["units"] = "second"
        for bank, counts in (("bank1", [2, 0, 1]), ("bank2", [0, 3, 1]), ("bank3", [0, 0, 0])):
            events = entry.create_group(f"{bank}_events")
            events.attrs["NX_class"] = "NXevent_data"
            total = sum(counts)
            events["event_id"] = np.arange(total, dtype=np.uint32) + 100
            events["event_time_offset"] = np.arange(total, dtype=np.float64) * 1.5 + 1000
            events["event_time_offset"].attrs["units"] = "microsecond"
            events["event_index"] = (np.cumsum(counts) - counts).astype(np.uint64)
            events["event_time_zero"] = [0.5, 1.0, 1.5]
            events["event_time_zero"].attrs["units"] = "second"
            events["event_time_zero"].attrs["offset"] = "2020-01-01T07:00:00.000000001-05:00"
    return path
