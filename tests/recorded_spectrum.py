"""The mean spectrum of a recorded run: its live reduction, numpy's own answer, and a stranger who wants it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from compute_kit import ENVIRONMENT, input_of, workflow_payload
from dagster_kit import REPOSITORY, DagsterFacility
from numpy.typing import NDArray
from recorded_run import RECORDED_TABLE, find_recorded_run, histogram_recorded_run, make_recorded_run

from runstart.kafka import RunInfoLog
from runstart.live import Launch, Silent, Sources, load_record, reduce_run
from runstart.live.run_starts import Cursor, RunStartSearch
from runstart.simulators import connect_publisher, read_nexus_events, replay

if TYPE_CHECKING:
    from compute_house import ComputeHouse

KEY = "results/run.nxs"


@dataclass(frozen=True)
class Recorded:
    """A recorded run: what its live reduction has left, and what numpy makes of the file."""

    product: bytes
    tof: NDArray[np.int64]
    n_pixels: int


def reduce_recorded_run(bootstrap_servers: str, folder: Path, name: str) -> Recorded:
    """Replay the recorded run, or one that is made if it is not here, as an instrument's, and reduce it."""
    file = find_recorded_run() or make_recorded_run(folder / "made.nxs")
    table, store_url = RECORDED_TABLE.format(name=name), f"file:{folder / 'store'}"
    with DagsterFacility(folder / "facility", table, bootstrap_servers, store_url, {}) as facility:
        instrument, store = facility.instruments[name], facility.store
        topics = {instrument.topics.run_info: 1, instrument.topics.events: 1}
        with connect_publisher(bootstrap_servers, topics) as publisher:
            name_of_run = replay(read_nexus_events(file), publisher, instrument, speed=20.0).run_name
        with RunInfoLog(bootstrap_servers, [instrument.topics.run_info]) as log:
            starts = RunStartSearch(log, [instrument], store).search(Cursor(), 10.0).runs
        key = next(start.partition_key for start in starts if start.run_name == name_of_run)
        sources = Sources(bootstrap_servers, instrument, load_record(store, name, key))
        result = reduce_run(store, sources, Launch("replayed", "replayed"), Silent())
        product = store.get(f"{result.folder}/run.nxs").data
    tof, pixel, _ = histogram_recorded_run(file, instrument)
    return Recorded(product, tof, pixel.size)


def check_mean_spectrum(house: ComputeHouse, recorded: Recorded, container: dict[str, str]) -> None:
    """Have a stranger's algorithm make the mean spectrum by Ocean's routes alone, and compare it with numpy's."""
    house.store.put(KEY, recorded.product)
    code = (REPOSITORY / "tests/mean_spectrum.py").read_text()
    workflow = workflow_payload(
        input=[input_of(f"store:{KEY}")], algorithm={"rawcode": code, "container": container}
    )
    client = house.client()
    assert client.environments()[ENVIRONMENT]["maxJobs"] == 4
    job = client.wait_for_end(client.start(workflow))

    assert (job["status"], job["statusText"]) == (70, "Job finished"), job["reason"]
    results = client.results(job)
    table = np.loadtxt(io.BytesIO(results["mean_spectrum.csv"]), delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 2], recorded.tof / recorded.n_pixels, rtol=1e-12)
    np.testing.assert_allclose(table[:, 0], np.arange(1000) * 100.0)
    printed = results["algorithm.log"].decode()
    assert f"{recorded.tof.sum()} counts in {recorded.n_pixels} pixels" in printed
    record = house.end_of(job["jobId"])
    assert [int(change.status) for change in record.history] == [1, 10, 20, 30, 40, 60, 70]
    assert record.run_id in {run.run_id for run in house.runs_of(job["jobId"])}
    assert client.follow(jobId=job["jobId"]) == [job], "it ends once"
    with pytest.raises(AssertionError, match="no such job"):
        house.client().results(job)
