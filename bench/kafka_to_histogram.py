"""From Kafka to histograms: a closed run on a broker, reduced by the production job, in events a second.

`ours` is the Dagster job of the instrument, in process as it always is: confluent-kafka, decoding, TOF spectrum and
counts per pixel, ledger, duplicate filter, pictures every 2 s, and a snapshot each second, thirty times as often as
by default. The rate is that of the reading phase, from the first read to the end of the last message; `parameters`
has the whole job too, which waits the grace period of 5 s and draws the product. What it counted is checked.

The peers, all on the same topic and in turn: the same job with its reader put on kafka-python; a bare loop of
ess-streaming-data-types and numpy on our reader, without ledger, filter or snapshots; and the goal of 5e7 events a
second on two cores, which the broker shares. `kafka_to_histogram.read` is reading alone. The broker is Apache
Kafka 4, or the embedded broker with a smaller run where Java is missing. `limit` says where the time went.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import psutil
from streaming_data_types import deserialise_ev44

from assets import define_live_runs, live_reduction_job_name, live_run_partitions
from bench._events import PIXELS, TOF_STOP_NS
from bench._kafka_load import SNAPSHOT_SECONDS, Load, publish_run, running_broker
from bench._kafka_readers import READERS, Stopwatch, open_log, production_reads_with
from bench._measure import Row, Scale
from bench._numpy_peer import NumpyHistograms
from resources import EpicsResource, KafkaResource, LauncherResource, ObjectStoreResource
from runstart.facility import ApacheKafka, Broker
from runstart.instruments import PLAINTEXT
from runstart.live import load_result, read_head, save_record
from runstart.storage import open_store
from runstart.views import warm_up

GOAL = 5e7  # events a second on two cores
_PACKAGES = ("confluent-kafka", "kafka-python", "ess-streaming-data-types", "numba", "dagster")


@dataclass(frozen=True)
class _Reduced:
    """One reduction: the stopwatch of its reading phase, and the seconds of the whole job."""

    watch: Stopwatch
    whole: float


def run(scale: Scale) -> Iterator[Row]:
    """Yield reading alone and the whole way, for messages of 1e5 and of 1e4 events."""
    with running_broker(scale) as broker:
        for events_per_message, messages in _sizes(broker, scale):
            name = f"BENCH{events_per_message}"
            load = publish_run(broker, name, events_per_message, messages, grace=scale.pick(5.0, 0.1))
            warm_up(load.instrument)
            yield _compare_reading(broker, load, scale)
            yield from _compare_reducing(broker, load, scale)


def _sizes(broker: Broker, scale: Scale) -> tuple[tuple[int, int], ...]:
    if scale.quick:
        return ((1_000, 40),)
    if isinstance(broker, ApacheKafka):
        return ((100_000, 2_000), (10_000, 10_000))
    return ((100_000, 30), (10_000, 200))  # the embedded broker holds 60 MB in all


def _rounds(scale: Scale) -> int:
    return scale.pick(5, 1)


def _compare_reading(broker: Broker, load: Load, scale: Scale) -> Row:
    seconds: dict[str, list[float]] = {reader: [] for reader in READERS}
    for turn in range(_rounds(scale)):
        for reader in READERS if turn % 2 == 0 else reversed(READERS):
            seconds[reader].append(_read_all(broker, load, reader))
    ours, theirs = (seconds[reader] for reader in READERS)
    megabytes = load.payload_bytes / 1e6
    return Row(
        name=f"kafka_to_histogram.read.{load.events_per_message}",
        ours=megabytes / statistics.median(ours),
        peer=megabytes / statistics.median(theirs),
        peer_name="kafka-python with crc32c",
        unit="MB/s",
        ratio=statistics.median(t / o for o, t in zip(ours, theirs, strict=True)),
        packages=_PACKAGES,
        parameters=_parameters(broker, load),
    )


def _read_all(broker: Broker, load: Load, reader: str) -> float:
    with open_log(reader, broker.bootstrap_servers, load.instrument.topics.events) as log:
        log.seek(dict.fromkeys(load.end_offsets, 0))
        while log.watch.messages < load.messages:
            log.read(500, 0.1)
        log.watch.before_read()
    return log.watch.seconds


def _compare_reducing(broker: Broker, load: Load, scale: Scale) -> Iterator[Row]:
    rates: dict[str, list[float]] = {}
    reductions: list[_Reduced] = []
    contestants = (*READERS, "numpy")
    for turn in range(_rounds(scale)):
        first = turn % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            if contestant == "numpy":
                rate = _histogram_with_numpy(broker, load)
            else:
                reduced = _reduce(broker, load, contestant)
                rate = load.events / reduced.watch.seconds
                if contestant == READERS[0]:
                    reductions.append(reduced)
            rates.setdefault(contestant, []).append(rate)
    ours = rates[READERS[0]]
    peers = {
        "the same job reading with kafka-python": rates["kafka-python"],
        "ess-streaming-data-types + numpy on confluent-kafka": rates["numpy"],
        "goal": [GOAL] * len(ours),
    }
    for peer_name, theirs in peers.items():
        yield Row(
            name=f"kafka_to_histogram.{load.events_per_message}",
            ours=statistics.median(ours),
            peer=statistics.median(theirs),
            peer_name=peer_name,
            unit="events/s",
            ratio=statistics.median(o / t for o, t in zip(ours, theirs, strict=True)),
            packages=_PACKAGES,
            parameters=_parameters(broker, load) | _where_the_time_went(reductions, load),
        )


def _reduce(broker: Broker, load: Load, reader: str) -> _Reduced:
    """Reduce the run with the production job in a new instance and store, and check what it counted."""
    record, name = load.record, load.instrument.name
    with TemporaryDirectory(prefix="runstart-bench-") as folder, dg.instance_for_test(temp_dir=folder) as instance:
        store_url = f"file:{Path(folder) / 'store'}"
        store = open_store(store_url)
        save_record(store, record)
        instance.add_dynamic_partitions(str(live_run_partitions(name).name), [record.partition_key])
        runs = define_live_runs(load.instrument, PLAINTEXT)
        job = dg.Definitions(
            assets=[runs.asset],
            asset_checks=runs.checks,
            jobs=[runs.job],
            resources={
                "epics": EpicsResource(),
                "launcher": LauncherResource(),
                "kafka": KafkaResource(clusters={load.instrument.kafka: broker.bootstrap_servers}),
                "object_store": ObjectStoreResource(url=store_url),
            },
        ).resolve_job_def(live_reduction_job_name(name))
        began = time.perf_counter()
        with production_reads_with(reader, broker.pid) as watches:
            job.execute_in_process(
                instance=instance,
                partition_key=record.partition_key,
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            )
        whole = time.perf_counter() - began
        current = read_head(store, name, record.partition_key).current
        assert current is not None
        counted = load_result(store, current).ledger["events_counted"]
        assert counted == load.events, f"{counted} of {load.events} events were counted with {reader}"
    return _Reduced(max(watches, key=lambda watch: watch.messages), whole)


def _histogram_with_numpy(broker: Broker, load: Load) -> float:
    """Return the rate of a bare loop over the same messages."""
    tables = NumpyHistograms(load.instrument.tof.bins)
    events = 0
    with open_log("confluent-kafka", broker.bootstrap_servers, load.instrument.topics.events) as log:
        log.seek(dict.fromkeys(load.end_offsets, 0))
        while log.watch.messages < load.messages:
            for raw in log.read(500, 0.1).messages:
                message = deserialise_ev44(raw.payload)
                tables.add_tof((message.time_of_flight, message.pixel_id))
                tables.add_pixel((message.time_of_flight, message.pixel_id))
                events += len(message.time_of_flight)
        log.watch.before_read()
    assert int(tables.tof.sum()) == int(tables.pixel.sum()) == events
    return events / log.watch.seconds


def _where_the_time_went(reductions: list[_Reduced], load: Load) -> dict[str, object]:
    """Return figures of the median reduction: what the counting thread did, who used the processor, the limit."""
    reduced = sorted(reductions, key=lambda r: r.watch.seconds)[len(reductions) // 2]
    watch = reduced.watch
    counting = watch.thread_cpu - watch.reading_cpu
    beside = watch.process_cpu - watch.thread_cpu
    shares = {
        "decoding and counting": counting,
        "taking messages over from librdkafka": watch.reading_cpu,
        "waiting for messages": watch.reading - watch.reading_cpu,
        "waiting for the interpreter, which draws pictures, or for a processor": (
            watch.seconds - watch.reading - counting
        ),
    }
    for_1e8 = 1e8 / load.events
    others = max(0.0, watch.machine_cpu - watch.process_cpu - watch.broker_cpu) / watch.seconds
    return {
        "whole_job_seconds": round(reduced.whole, 2),
        "reading_phase_seconds": round(watch.seconds, 2),
        "cpu_seconds_for_1e8_events": {
            "decode and count": round(counting * for_1e8, 3),
            "take messages over": round(watch.reading_cpu * for_1e8, 3),
            "librdkafka, snapshots, pictures": round(beside * for_1e8, 3),
            "broker": round(watch.broker_cpu * for_1e8, 3),
        },
        "shares_of_the_counting_thread": {what: round(spent / watch.seconds, 2) for what, spent in shares.items()},
        "cores": len(psutil.Process().cpu_affinity()),
        "cores_busy_with_other_programs": round(others, 2),
        "limit": max(shares, key=lambda what: shares[what]),
    }


def _parameters(broker: Broker, load: Load) -> dict[str, object]:
    return {
        "broker": broker.name,
        "events": load.events,
        "events_per_message": load.events_per_message,
        "partitions": len(load.end_offsets),
        "pixels": PIXELS,
        "tof_bins": load.instrument.tof.bins,
        "tof_stop_ns": TOF_STOP_NS,
        "snapshot_seconds": SNAPSHOT_SECONDS,
    }
