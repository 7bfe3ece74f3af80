"""A scan of frames on a real cluster: its batches are processed in pods of their own, to the result of one process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pytest
from pod_house import FINISHED, PodHouse
from waiting import wait_until

from assets import define_scans, scan_job_name, scan_partitions
from ops.scan_pods import merge_pod, step_pod
from resources import KafkaResource, ObjectStoreResource, ScansResource, StepValuesIOManager
from runstart.frame_files import RawWriter, ScanHeader
from runstart.microscopes import Microscope, read_microscopes
from runstart.scans import find_scans, load_current
from runstart.storage import FileStore

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(420)]

NAME, SCAN = "SIMSTEM", "scan_000001.frames"
SCAN_SHAPE, FRAME_SHAPE = (20, 20), (64, 64)
BATCHES = 4  # of one MiB, the least that a step takes
MICROSCOPES = """
[microscopes.{name}]
scans = "file:{arrivals}"
settle_seconds = 0
batch_bytes = "1MiB"
threads = 1
counting = {{ background_threshold = 100, xray_threshold = 900 }}
detectors = [{{ name = "bright_field", outer = 20 }}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Declarations, and a scan that is about to arrive."""
    made = tmp_path_factory.mktemp("fan_out")
    (made / "arrivals").mkdir()
    (made / "microscopes.toml").write_text(MICROSCOPES.format(name=NAME, arrivals=made / "arrivals"))
    (made / "instruments.toml").write_text('[kafka.default]\nbootstrap_servers = "localhost:1"\n')
    (made / "sites.toml").touch()
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 60, (SCAN_SHAPE[0] * SCAN_SHAPE[1], *FRAME_SHAPE), np.uint16)
    hits = rng.random(pixels.shape) < 0.02
    pixels[hits] = rng.integers(150, 800, int(hits.sum()), np.uint16)
    writer = RawWriter(made / SCAN, ScanHeader(scan_shape=SCAN_SHAPE, frame_shape=FRAME_SHAPE, dtype="uint16"))
    writer.append(pixels)
    writer.close()
    return made


@pytest.fixture(scope="module")
def microscope(folder: Path) -> Microscope:
    return read_microscopes(folder / "microscopes.toml", {})[NAME]


@pytest.fixture(scope="module")
def house(cluster: RunningCluster, folder: Path) -> Iterator[PodHouse]:
    """The code location on the cluster."""
    environ = {
        "RUNSTART_DEPLOYMENT": "cluster",
        "RUNSTART_OBJECT_STORE": f"file:{folder / 'store'}",
        "RUNSTART_INSTRUMENTS": str(folder / "instruments.toml"),
        "RUNSTART_MICROSCOPES": str(folder / "microscopes.toml"),
        "RUNSTART_SITES": str(folder / "sites.toml"),
    }
    with PodHouse(cluster, folder, "definitions", environ) as opened:
        yield opened


def digest_in_one_process(microscope: Microscope, folder: Path) -> str:
    """Process the scan here, in another store; return the digest of its result."""
    store = FileStore(folder / "other_store")
    object_store = ObjectStoreResource(url=f"file:{store.root}")
    made = define_scans(microscope)
    definitions = dg.Definitions(
        assets=made.assets,
        asset_checks=made.checks,
        jobs=[made.job],
        resources={
            "kafka": KafkaResource(clusters={}),
            "object_store": object_store,
            "scans": ScansResource(),
            "io_manager": StepValuesIOManager(object_store=object_store),
        },
        executor=dg.in_process_executor,
    )
    (key,) = (found.record.scan for found in find_scans(microscope, None, store).scans)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(scan_partitions(NAME).name or "", [key])
        job = definitions.resolve_job_def(scan_job_name(NAME))
        assert job.execute_in_process(instance=instance, partition_key=key).success
    result = load_current(store, microscope, key)
    assert result is not None
    return result.digest


class StepPods:
    """The pods of steps that have been seen, by their step."""

    def __init__(self, house: PodHouse) -> None:
        self.house = house
        self.specs: dict[str, dict[str, Any]] = {}

    def look(self) -> dg.DagsterRun | None:
        """Note the pods that there are; return the run once it has ended."""
        pods = self.house.kubectl("get", "pods", "-l", "app.kubernetes.io/component=step_worker", "-o", "json")
        for pod in json.loads(pods)["items"]:
            self.specs[pod["metadata"]["labels"]["dagster/op"]] = pod["spec"]
        runs = self.house.instance.get_runs(dg.RunsFilter(job_name=scan_job_name(NAME)))
        return runs[0] if runs and runs[0].status in FINISHED else None

    def named(self, part: str) -> list[dict[str, Any]]:
        return [spec for step, spec in self.specs.items() if part in step]


def test_scan_fans_out_over_pods_to_the_result_of_one_process(
    house: PodHouse, microscope: Microscope, folder: Path
) -> None:
    (folder / SCAN).rename(folder / "arrivals" / SCAN)
    expected = digest_in_one_process(microscope, folder)
    pods = StepPods(house)
    run = wait_until(pods.look, "the end of the scan's run", 300, 1.0)

    assert run.status is dg.DagsterRunStatus.SUCCESS, house.story_of([run])
    (key,) = house.instance.get_dynamic_partitions(scan_partitions(NAME).name or "")
    result = load_current(FileStore(folder / "store"), microscope, key)
    assert result is not None
    assert result.digest == expected

    batches, (merge,) = pods.named("process_batch"), pods.named("merge_scan")
    assert len(batches) == BATCHES
    for spec, wanted in [*((spec, step_pod(microscope)) for spec in batches), (merge, merge_pod(microscope))]:
        assert spec["containers"][0]["resources"] == wanted["container_config"]["resources"]
        assert spec["priorityClassName"] == "runstart-batch"
    for spec in pods.specs.values():
        assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("steps", False)
        assert not any("projected" in volume for volume in spec["volumes"])
    wait_until(lambda: not house.left(run), "the removal of pods and jobs", 60, 1.0)
