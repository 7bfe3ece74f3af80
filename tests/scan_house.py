"""A microscope with tiny scans, and a code location that processes them in batches of eight frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray
from scan_work_kit import COUNTED, FRAME_SHAPE, SCAN_SHAPE, count_plainly, make_microscope, write_scan

from assets import Scans, define_scans, scan_job_name, scan_partitions
from resources import KafkaResource, ObjectStoreResource, ScansResource, StepValuesIOManager
from runstart.frames import Recipe
from runstart.scans import ScanProduct, ScanResult, find_scans, load_current
from runstart.scans.nexus import read_scan_nexus
from runstart.storage import FileStore

FRAMES_PER_BATCH = 8
NAME = "SIMSTEM"


class ScanHouse:
    """A folder of scans, its store, and a Dagster instance."""

    def __init__(
        self,
        folder: Path,
        instance: dg.DagsterInstance,
        recipe: Recipe = COUNTED,
        *,
        frames_per_batch: int = FRAMES_PER_BATCH,
        executor: dg.ExecutorDefinition = dg.in_process_executor,
        **changes: Any,
    ) -> None:
        self.folder = folder
        self.instance = instance
        self.arrivals = folder / "scans"
        self.store = FileStore(folder / "store")
        self.executor = executor
        size = frames_per_batch * FRAME_SHAPE[0] * FRAME_SHAPE[1] * 2
        made = make_microscope(self.arrivals, recipe, **{"settle_seconds": 0.0, **changes})
        self.microscope = made.model_copy(update={"batch_bytes": size})

    @cached_property
    def scans(self) -> Scans:
        return define_scans(self.microscope)

    @cached_property
    def definitions(self) -> dg.Definitions:
        object_store = ObjectStoreResource(url=f"file:{self.store.root}")
        return dg.Definitions(
            assets=self.scans.assets,
            asset_checks=self.scans.checks,
            jobs=[
                self.scans.job,
                self.scans.live_job,
                dg.define_asset_job("checks", dg.AssetSelection.checks(*self.scans.checks)),
            ],
            resources={
                "kafka": KafkaResource(clusters={}),
                "object_store": object_store,
                "scans": ScansResource(),
                "io_manager": StepValuesIOManager(object_store=object_store),
            },
            executor=self.executor,
        )

    def put(
        self,
        pixels: NDArray[np.uint16],
        slots: NDArray[np.int64] | None = None,
        name: str = "scan_000001.frames",
        *,
        closed: bool = True,
    ) -> str:
        """Let a scan arrive, and make it known as the sensor does; return its partition key."""
        write_scan(self.arrivals / name, pixels, slots, closed=closed)
        records = [found.record for found in find_scans(self.microscope, None, self.store).scans]
        (key,) = (record.scan for record in records if record.name == name)
        self.instance.add_dynamic_partitions(scan_partitions(NAME).name or "", [key])
        return key

    def process(self, key: str, *, assets: Sequence[str] | None = None) -> dg.ExecuteInProcessResult:
        """Run the job of a scan."""
        return self.definitions.resolve_job_def(scan_job_name(NAME)).execute_in_process(
            instance=self.instance,
            partition_key=key,
            raise_on_error=False,
            asset_selection=None if assets is None else [dg.AssetKey([NAME, asset]) for asset in assets],
        )

    def check(self, key: str) -> dg.ExecuteInProcessResult:
        """Run the checks that are steps of their own, alone."""
        return self.definitions.resolve_job_def("checks").execute_in_process(
            instance=self.instance, tags={"dagster/partition": key}, raise_on_error=False
        )

    def result(self, key: str) -> ScanResult:
        found = load_current(self.store, self.microscope, key)
        assert found is not None
        return found

    def product(self, key: str) -> ScanProduct:
        return read_scan_nexus(self.store.get(self.result(key).objects["scan.nxs"]).data)


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> Mapping[str, Any]:
    """Return the values of the metadata of a materialization."""
    (event,) = (e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey([NAME, asset]))
    return {name: value.value for name, value in event.materialization.metadata.items()}


def data_version_of(result: dg.ExecuteInProcessResult, asset: str) -> str:
    """Return the data version of a materialization."""
    (event,) = (e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey([NAME, asset]))
    return (event.materialization.tags or {})["dagster/data_version"]


def steps_of(result: dg.ExecuteInProcessResult, kind: str = "STEP_START") -> list[str]:
    """Return the names of steps, without graph and microscope, in order."""
    steps = [str(event.step_key) for event in result.all_events if event.event_type_value == kind]
    return [step.removeprefix(f"process_scan_{NAME}.").replace(f"_{NAME}", "") for step in steps]


def true_events(pixels: NDArray[np.uint16], recipe: Recipe = COUNTED) -> list[NDArray[np.uint32]]:
    """Return the electrons of each frame, as plain numpy counts them."""
    assert recipe.counting is not None
    limits = recipe.counting.background_threshold, recipe.counting.xray_threshold
    return [count_plainly(frame, *limits) for frame in pixels]


def true_maps(
    pixels: NDArray[np.uint16], positions: Sequence[int], center: tuple[float, float], recipe: Recipe = COUNTED
) -> dict[str, NDArray[Any]]:
    """Return the maps of counted frames, each at a position of its own, by plain numpy in float64."""
    maps = {name: np.full(SCAN_SHAPE[0] * SCAN_SHAPE[1], np.nan) for name in ("column", "row")}
    maps |= {detector.name: np.full(SCAN_SHAPE[0] * SCAN_SHAPE[1], np.nan) for detector in recipe.detectors}
    pattern = np.zeros(FRAME_SHAPE, np.uint64)
    for position, events in zip(positions, true_events(pixels, recipe), strict=True):
        row, column = np.divmod(events.astype(np.int64), FRAME_SHAPE[1])
        np.add.at(pattern, (row, column), np.uint64(1))
        radius = np.hypot(row - center[0], column - center[1])
        for detector in recipe.detectors:
            maps[detector.name][position] = ((radius >= detector.inner) & (radius < detector.outer)).sum()
        assert recipe.crop is not None
        inside = radius <= (recipe.crop.radius or 0)
        if inside.any():
            maps["row"][position], maps["column"][position] = row[inside].mean(), column[inside].mean()
    return {name: values.reshape(SCAN_SHAPE) for name, values in maps.items()} | {"pattern": pattern}
