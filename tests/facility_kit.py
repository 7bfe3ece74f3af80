"""A facility small enough for tests: instruments, announcements, messages, topics, and stores that fail on order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import waiting
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions
from scripted_stream import PULSE_MS, Expected, Scripted, ScriptedRun, now_ms

from runstart.errors import Transient
from runstart.events import RunStart, RunStop, decode, encode
from runstart.facility import Broker
from runstart.instruments import Bank, Instrument, TofAxis, Topics
from runstart.kafka import Announcement, RawMessage
from runstart.live import (
    Launch,
    Result,
    RunRecord,
    Sources,
    Status,
    find_contradictions,
    make_record,
    reduce_run,
)
from runstart.live.accumulation import Accumulation
from runstart.live.script_run import ShownOutcome
from runstart.live.status import LogsSoFar
from runstart.product import StoredProduct, read_product
from runstart.storage import ObjectStore, StoredObject

START_MS = 1_700_000_000_000
START_NS = START_MS * 1_000_000
_T = TypeVar("_T")
_launches = itertools.count()


def small_instrument(name: str = "SMALL", **changes: Any) -> Instrument:
    """Return an instrument of two banks (ids 10 to 21 and 100 to 104) and 20 TOF bins of 5 us, with short intervals."""
    declared: dict[str, Any] = {
        "banks": (
            Bank(name="front", shape=(3, 4), first_detector_id=10),
            Bank(name="back", shape=(5,), first_detector_id=100),
        ),
        "tof": TofAxis(start_us=0.0, stop_us=100.0, bins=20),
        "views": ("tof", "pixel", "image", "pixel_tof"),
        "snapshot_interval": 0.3,
        "display_interval": 0.2,
        "grace": 0.3,
        "hold_back": 0.2,
        "seek_margin": 5.0,
    }
    return Instrument(name=name, **(declared | changes))


def on_topics(instrument: Instrument, events: str, run_info: str) -> Instrument:
    """Return the instrument on topics of its own."""
    topics = Topics(events=events, run_info=run_info, sample_env=f"{events}_env")
    return instrument.model_copy(update={"topics": topics})


def raw(payload: bytes, partition: int = 0, offset: int = 0, timestamp_ms: int = START_MS) -> RawMessage:
    """Return a message as it is read from an event topic."""
    return RawMessage(partition, offset, timestamp_ms, payload)


def announce(
    message: RunStart | RunStop | bytes,
    *,
    topic: str = "SMALL_runInfo",
    partition: int = 0,
    offset: int = 0,
    timestamp_ms: int = START_MS,
) -> Announcement:
    """Return an announcement as it is read from a run-info topic."""
    payload = message if isinstance(message, bytes) else encode(message)
    return Announcement(topic, partition, offset, timestamp_ms, payload)


def run_record(instrument: str = "SMALL", timestamp_ms: int = START_MS, **start: Any) -> RunRecord:
    """Return the record of a run; `start` are fields of its RunStart."""
    fields = {"start_time_ms": START_MS, "run_name": "run", "instrument_name": instrument}
    message = RunStart(**(fields | start))
    return make_record(
        instrument, announce(message, topic=f"{instrument}_runInfo", timestamp_ms=timestamp_ms), message
    )


class Topic:
    """Writes a topic of a broker, message by message."""

    def __init__(self, bootstrap_servers: str, name: str) -> None:
        self.name = name
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "linger.ms": 0, "log_level": 0, "enable.idempotence": False}
        )

    def write(self, payloads: Iterable[bytes], partition: int = 0, timestamp_ms: int = 0) -> None:
        """Write payloads to a partition and wait until the broker has them; timestamp 0 means now."""
        failures: list[Any] = []
        for payload in payloads:
            self._producer.produce(
                self.name,
                payload,
                partition=partition,
                timestamp=timestamp_ms,
                on_delivery=lambda error, _: failures.append(error) if error is not None else None,
            )
        assert self._producer.flush(30) == 0
        assert not failures, failures


class Notebook:
    """A reporter that keeps what it is told and can raise on order."""

    def __init__(self, on_status: Callable[[Status, Accumulation], None] | None = None) -> None:
        self.remarks: list[str] = []
        self.statuses: list[Status] = []
        self.shown: list[ShownOutcome] = []
        self._on_status = on_status

    def remark(self, text: str) -> None:
        self.remarks.append(text)

    def script(self, shown: ShownOutcome) -> None:
        self.shown.append(shown)

    def status(self, status: Status, accumulation: Accumulation, logs: LogsSoFar) -> None:
        self.statuses.append(status)
        if self._on_status is not None:
            self._on_status(status, accumulation)

    def has_remark(self, part: str) -> bool:
        return any(part in remark for remark in self.remarks)


class WrappedStore(ObjectStore):
    """A store that hands everything on; `before` and `after` may raise, and are told (operation, key)."""

    def __init__(
        self,
        inner: ObjectStore,
        before: Callable[[str, str], None] | None = None,
        after: Callable[[str, str], None] | None = None,
    ) -> None:
        self.inner = inner
        self.before = before
        self.after = after

    def get(self, key: str) -> StoredObject:
        return self._do("get", key, lambda: self.inner.get(key))

    def head(self, key: str) -> str | None:
        return self._do("head", key, lambda: self.inner.head(key))

    def put(self, key: str, data: bytes) -> str:
        return self._do("put", key, lambda: self.inner.put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> str:
        return self._do("put_if_absent", key, lambda: self.inner.put_if_absent(key, data))

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:
        return self._do("put_if_match", key, lambda: self.inner.put_if_match(key, data, etag))

    def delete(self, key: str) -> None:
        self._do("delete", key, lambda: self.inner.delete(key))

    def list(self, prefix: str = "") -> list[str]:
        return self._do("list", prefix, lambda: self.inner.list(prefix))

    def _do(self, operation: str, key: str, act: Callable[[], _T]) -> _T:
        if self.before is not None:
            self.before(operation, key)
        done = act()
        if self.after is not None:
            self.after(operation, key)
        return done


def failing(times: int, *operations: str, key: str = "") -> Callable[[str, str], None]:
    """Return what makes a `WrappedStore` raise `Transient` the first `times` that an operation meets a key."""
    left = [times]

    def fail(operation: str, met: str) -> None:
        if left[0] > 0 and operation in operations and key in met:
            left[0] -= 1
            raise Transient("The store is out of order, by order of a test.")

    return fail


def in_background(work: Callable[[], _T]) -> Future[_T]:
    """Do work in a thread of its own; its result or error is the future's."""
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def columns(ledger: Mapping[str, int]) -> dict[str, int]:
    """Return the columns of a ledger that hold anything."""
    return {name: value for name, value in ledger.items() if value}


@dataclass
class Beamline:
    """One run of one instrument on a broker: its topics, its record, and launches of its live reduction."""

    broker: Broker
    store: ObjectStore
    instrument: Instrument
    run: ScriptedRun
    stop_planned_ms: int = 0
    notebook: Notebook = field(default_factory=Notebook)

    def __post_init__(self) -> None:
        topics = self.instrument.topics
        self.reconnect()
        payload = self.run.start_payload(self.stop_planned_ms)
        self.announced_ms = now_ms()
        message = decode(payload)
        assert isinstance(message, RunStart)
        place = Announcement(topics.run_info, 0, 0, self.announced_ms, payload)
        self.record = make_record(self.instrument.name, place, message)

    def reconnect(self) -> None:
        """Write with new producers, which know partitions and brokers as they are now."""
        topics = self.instrument.topics
        self.events = Topic(self.broker.bootstrap_servers, topics.events)
        self.info = Topic(self.broker.bootstrap_servers, topics.run_info)

    def create_topics(self, partitions: int = 1, info_partitions: int = 1) -> None:
        """Create the topics and announce the run."""
        self.broker.create_topic(self.events.name, partitions)
        self.broker.create_topic(self.info.name, info_partitions)
        self.announce()

    def announce(self) -> None:
        """Write the RunStart."""
        self.info.write([self.run.start_payload(self.stop_planned_ms)], timestamp_ms=self.announced_ms)

    def write(self, messages: Iterable[Scripted]) -> None:
        """Write event messages to their partitions."""
        for partition, group in groupby(messages, key=lambda message: message.partition):
            self.events.write([message.payload for message in group], partition)

    def stop(self, stop_ms: int, partition: int = 0) -> None:
        """Write the RunStop."""
        self.info.write([self.run.stop_payload(stop_ms)], partition)

    def launch(self, root: str = "root", **changes: Any) -> Future[Result]:
        """Reduce the run in the background; `changes` are `store`, `reporter`, `instrument` and fields of `Launch`."""
        store = changes.pop("store", self.store)
        reporter = changes.pop("reporter", self.notebook)
        sources = Sources(self.broker.bootstrap_servers, changes.pop("instrument", self.instrument), self.record)
        fields = {"run_id": f"{root}-{next(_launches)}", "lease_seconds": 5.0} | changes
        launch = Launch(root_run_id=root, **fields)
        return in_background(lambda: reduce_run(store, sources, launch, reporter))

    def stored(self, result: Result) -> StoredProduct:
        """Return what the result's NeXus file holds, and demand that it agrees with itself."""
        nexus = self.store.get(f"{result.folder}/run.nxs").data
        assert find_contradictions(nexus, result.digest) == []
        return read_product(nexus)

    def check(self, result: Result, expected: Expected) -> None:
        """Demand that a result equals numpy's recount, bit for bit."""
        self.check_views(result, expected)
        assert columns(result.ledger) == columns(expected.ledger)

    def check_views(self, result: Result, expected: Expected) -> None:
        """Demand that what a result shows equals numpy's recount, whatever else was read."""
        stored = self.stored(result)
        for name in ("tof", "pixel", "pixel_tof"):
            assert np.array_equal(stored.arrays[name], getattr(expected, name)), name
        assert result.ledger == stored.ledger
        assert result.proton_charge_uah == expected.charge_uah


def add_partitions(broker: Broker, topic: str, total: int) -> None:
    """Add partitions to a topic, so that it has `total`."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for future in admin.create_partitions([NewPartitions(topic, total)], operation_timeout=20).values():
        future.result(20)


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition."""
    waiting.wait_until(condition, "a condition", seconds, 0.01)


def result_of(launch: Future[Result]) -> Result:
    """Return the result of a launch."""
    return launch.result(60)


def stop_after(beamline: Beamline, pulses: int) -> int:
    """Return the time in ms at which a run of so many scripted pulses ends."""
    return beamline.run.start_ms + pulses * PULSE_MS
