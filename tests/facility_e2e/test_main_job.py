"""The main job: a recorded run is replayed through the broker, a live run begins by itself, and counts every event.

TOF spectrum and counts per pixel are compared with numpy's histograms of the file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from dagster_kit import DagsterFacility
from recorded_run import N_EVENTS, RECORDED_TABLE, find_recorded_run, histogram_recorded_run, make_recorded_run
from scripted_stream import ScriptedRun

from runstart.facility import Broker
from runstart.simulators import ReplaySummary, connect_publisher, read_nexus_events, replay

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

SKEWED = (0.7, 0.2, 0.1, 0.0)  # the last partition is idle
SPEED = 3.0  # 30 s of pulses in 10 s: the run begins while they come


@dataclass(frozen=True)
class Case:
    """One replay."""

    origin: str
    schema: str
    partitions: int

    @property
    def name(self) -> str:
        return f"{self.origin}_{self.schema}_{self.partitions}"


CASES = [
    Case(origin, schema, partitions)
    for origin in ("recorded", "made")
    for schema in ("ev42", "ev44")
    for partitions in (1, 4)
]


@dataclass
class Replays:
    """A facility in which all the replays have been published, at the same time."""

    facility: DagsterFacility
    files: dict[str, Path]
    names: dict[str, str]
    published: dict[str, ReplaySummary]


@pytest.fixture(scope="module")
def replays(
    broker: Broker,
    store_place: Callable[[], tuple[str, Mapping[str, str]]],
    tmp_path_factory: pytest.TempPathFactory,
    new_name: Callable[[], str],
) -> Iterator[Replays]:
    folder = tmp_path_factory.mktemp("main_job")
    recorded = find_recorded_run()
    files = {"made": make_recorded_run(folder / "made.nxs")} | ({"recorded": recorded} if recorded else {})
    names = {case.name: new_name() for case in CASES if case.origin in files}
    tables = "".join(RECORDED_TABLE.format(name=name) for name in names.values())
    with DagsterFacility(folder / "facility", tables, broker.bootstrap_servers, *store_place()) as facility:
        facility.start()
        published: dict[str, ReplaySummary] = {}
        threads = [
            threading.Thread(target=_replay, args=(facility, case, files[case.origin], names[case.name], published))
            for case in CASES
            if case.name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield Replays(facility, files, names, published)


def _replay(
    facility: DagsterFacility, case: Case, file: Path, name: str, published: dict[str, ReplaySummary]
) -> None:
    instrument = facility.instruments[name]
    topics = {instrument.topics.run_info: 1, instrument.topics.events: case.partitions}
    with connect_publisher(facility.bootstrap_servers, topics) as publisher:
        published[case.name] = replay(
            read_nexus_events(file),
            publisher,
            instrument,
            schema=case.schema,  # type: ignore[arg-type]
            partition_weights=SKEWED if case.partitions == 4 else (),
            speed=SPEED,
        )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_replayed_run_begins_by_itself_and_equals_numpys_histograms(replays: Replays, case: Case) -> None:
    if case.origin not in replays.files:
        pytest.skip("the recorded run is not here; the one that was made is tested")
    facility = replays.facility
    instrument = facility.instruments[replays.names[case.name]]
    summary = replays.published[case.name]
    assert summary.events == N_EVENTS
    offsets = {p: end for (topic, p), (_, end) in summary.offsets.items() if topic == instrument.topics.events}
    assert len(offsets) == min(case.partitions, 3), "one of four partitions is idle"
    run = ScriptedRun(instrument, summary.run_name, summary.start_time_ms)
    key, result = facility.wait_for_result(run, timeout=150)

    tof, pixel, columns = histogram_recorded_run(replays.files[case.origin], instrument)
    assert {name: result.ledger[name] for name in columns} == columns
    assert columns["events_counted"] > 0.99 * N_EVENTS
    product = facility.product(result)
    np.testing.assert_array_equal(product.arrays["tof"], tof[np.newaxis])
    np.testing.assert_array_equal(product.arrays["pixel"], pixel[np.newaxis])
    assert result.end_offsets == {str(p): offsets.get(p, 0) for p in range(case.partitions)}

    (dagster_run,) = facility.runs(instrument.name, key)
    assert dagster_run.tags["dagster/sensor_name"] == "run_starts"
    lines = [entry.user_message for entry in facility.instance.all_logs(dagster_run.run_id)]
    assert len([line for line in lines if "s after the RunStart: " in line]) == 1
    assert dagster_run.tags["runstart/kind"] == "live"
    assert dagster_run.tags["dagster/priority"] == "100"
    assert facility.checks(dagster_run.run_id) == {"ledger_adds_up": True, "complete": True}
    asset = dg.AssetKey([instrument.name, "live_run"])
    assert facility.instance.get_materialized_partitions(asset) == {key}
