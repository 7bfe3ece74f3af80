"""How soon a run is live: RunStart produced to the first op, and to the first picture in the object store.

Dagster's stock parts run as processes of their own (webserver, daemon, code server, and a process for each run)
with this repository's `dagster.yaml`, SQLite, a store in a folder, the embedded broker, and 40 declared instruments.
Each start is at another instrument, at a random moment of the daemon's loop, while nothing else runs: a live run
announced and fed with events, watched until its first picture, stopped, and waited for.

There is no peer that could be run here: `peer` is the goal of 5 s to the first op for 95 % of the starts, `ours` the
95th percentile. The clock starts before the RunStart is handed to the producer; the first op is the time in the
step's start event, the picture the time of the stored file.
"""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets import INSTRUMENT_TAG
from bench._dagster import TIMEOUT_S, percentile, start_dagster, wait_for
from bench._events import encode_events, make_events
from bench._measure import Row, Scale
from runstart.demo import family, make_place
from runstart.demo.place import Place
from runstart.errors import Transient
from runstart.events import RunStart, RunStop, encode_run_start, encode_run_stop
from runstart.facility import Broker, EmbeddedBroker
from runstart.live import name_partition
from runstart.live.record import run_prefix

GOAL_SECONDS = 5.0
LONGEST_TICK = 7.0  # seconds; starts are spread over the daemon's loop of 5 s and more
_PACKAGES = ("dagster", "dagster-webserver", "kafka-python")
_FINISHED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
_STAGES = {
    "run requested": None,
    "run dequeued": dg.DagsterEventType.PIPELINE_STARTING,
    "run's process up": dg.DagsterEventType.PIPELINE_START,
    "first op": dg.DagsterEventType.STEP_START,
}


@dataclass(frozen=True)
class _Facility:
    broker: Broker
    place: Place
    instance: dg.DagsterInstance


def run(scale: Scale) -> Iterator[Row]:
    """Yield the 95th percentiles to the first op and to the first picture."""
    instruments = [f"BENCH{number:02d}" for number in range(scale.pick(40, 2))]
    starts = scale.pick(50, 1)
    load_before = os.getloadavg()[0]
    with _running_facility(instruments) as facility:
        found = [_start_once(facility, instruments[n % len(instruments)], n) for n in range(starts)]
    for stage in ("first op", "first picture"):
        seconds = [times[stage] for times in found]
        yield Row(
            name=f"run_start.{stage.replace(' ', '_')}",
            ours=percentile(seconds, 95),
            peer=GOAL_SECONDS,
            peer_name="goal (95 % to the first op)",
            unit="s",
            ratio=GOAL_SECONDS / percentile(seconds, 95),
            packages=_PACKAGES,
            parameters={
                "starts": starts,
                "instruments": len(instruments),
                "load_average_before": round(load_before, 1),
                "median_s": round(statistics.median(seconds), 2),
                "p95_s": round(percentile(seconds, 95), 2),
                "max_s": round(max(seconds), 2),
                "median_s_from_runstart_to": {
                    name: round(statistics.median(times[name] for times in found), 2) for name in found[0]
                },
            },
        )


@contextlib.contextmanager
def _running_facility(instruments: list[str]) -> Iterator[_Facility]:
    family.adopt_orphans()
    with make_place() as place, EmbeddedBroker(place.data_dir / "broker") as broker:
        for name in instruments:
            broker.create_topic(f"{name}_runInfo")
            broker.create_topic(f"{name}_events", 2)
        declared = place.data_dir / "instruments.toml"
        declared.write_text(_declare(instruments, broker.bootstrap_servers))
        environment = place.environment(broker.bootstrap_servers) | {"RUNSTART_INSTRUMENTS": str(declared)}
        try:
            start_dagster(place, environment)
            instance = dg.DagsterInstance.from_config(str(place.dagster_home))
            with instance:
                # From now on a RunStart is news, not backlog.
                wait_for(lambda: _ticks(instance, "run_starts") > 1, "the sensor's first ticks")
                yield _Facility(broker, place, instance)
        finally:
            family.end(p for p in family.descendants() if p.pid != broker.pid)


def _start_once(facility: _Facility, instrument: str, number: int) -> dict[str, float]:
    """Return the seconds from the RunStart to each stage of one run."""
    time.sleep(random.uniform(0.0, LONGEST_TICK))
    began = time.time()
    start_ms = int(began * 1000)
    start = RunStart(start_time_ms=start_ms, run_name=f"{number:05d}", instrument_name=instrument)
    _produce(facility.broker, f"{instrument}_runInfo", encode_run_start(start), start_ms)
    _produce(
        facility.broker,
        f"{instrument}_events",
        encode_events("ev44", make_events(1_000), 0, start_ms * 10**6),
        start_ms,
    )
    key = name_partition(start.run_name, start_ms)
    picture = facility.place.data_dir / "store" / run_prefix(instrument, key) / "display" / "overview.png"
    wait_for(picture.exists, f"the first picture of {instrument}")
    times = _stages(facility.instance, instrument, key, began)
    times["first picture"] = picture.stat().st_ctime - began
    stop = RunStop(stop_time_ms=int(time.time() * 1000), run_name=start.run_name)
    _produce(facility.broker, f"{instrument}_runInfo", encode_run_stop(stop), stop.stop_time_ms)
    wait_for(lambda: _run_of(facility.instance, instrument, key).dagster_run.status in _FINISHED, "the run's end")
    return times


def _stages(instance: dg.DagsterInstance, instrument: str, key: str, began: float) -> dict[str, float]:
    record = _run_of(instance, instrument, key)
    times = {}
    for stage, event_type in _STAGES.items():
        if event_type is None:
            times[stage] = record.create_timestamp.timestamp() - began
        else:
            events = instance.all_logs(record.dagster_run.run_id, of_type=event_type)
            times[stage] = min(event.timestamp for event in events) - began
    return times


def _run_of(instance: dg.DagsterInstance, instrument: str, key: str) -> Any:
    tags = {INSTRUMENT_TAG: instrument, "dagster/partition": key}
    (record,) = instance.get_run_records(dg.RunsFilter(tags=tags))
    return record


def _ticks(instance: dg.DagsterInstance, sensor: str) -> int:
    states = [state for state in instance.all_instigator_state() if state.instigator_name == sensor]
    return sum(len(instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)) for state in states)


def _produce(broker: Broker, topic: str, payload: bytes, timestamp_ms: int) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0})
    producer.produce(topic, payload, partition=0, timestamp=timestamp_ms)
    if producer.flush(TIMEOUT_S):
        raise Transient(f"The broker did not take a message for {topic}.")


def _declare(instruments: list[str], bootstrap_servers: str) -> str:
    text = f'[kafka.default]\nbootstrap_servers = "{bootstrap_servers}"\n'
    for name in instruments:
        text += (
            f"\n[instruments.{name}]\ntof = {{ start_us = 0, stop_us = 100_000, bins = 500 }}\ngrace = 0.5\n"
            f'\n[[instruments.{name}.banks]]\nname = "rear"\nshape = [400, 250]\nfirst_detector_id = 1\n'
        )
    return text
