"""What it costs to process a scan in batches, each a Dagster step, instead of in one pass.

The job of a microscope is executed in this process, on a scan in the page cache, in tens of batches. The peer is the same
work without Dagster and without batches: reading, kernels, maps, files and pictures. One row tells the whole run, another
one the steps of the batches against reading and kernels alone.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np

from assets import Scans, define_scans, scan_partitions
from bench._measure import Row, Scale
from resources import KafkaResource, ObjectStoreResource, ScansResource, StepValuesIOManager
from runstart.frame_files import RawWriter, ScanHeader
from runstart.frames import Counting, Detector, Recipe
from runstart.microscopes import Microscope
from runstart.scans import ScanWork, find_scans, load_record, make_plan, make_product, process_whole, publish
from runstart.storage import FileStore

BATCHES = 20
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_DETECTORS = (Detector(name="bright_field", outer=75), Detector(name="annular_dark_field", inner=90, outer=250))


def run(scale: Scale) -> Iterator[Row]:
    """Yield the rows of a counted scan of frames of 576 x 576."""
    rows, side = scale.pick(48, 6), scale.pick(576, 48)
    with tempfile.TemporaryDirectory(prefix="runstart-bench-") as folder, dg.instance_for_test() as instance:
        bench = _Bench(Path(folder), rows, side, instance)
        rounds = [bench.measure(number) for number in range(scale.pick(5, 1) + 1)][1:]
        whole, batches, alone, kernels = (list(column) for column in zip(*rounds, strict=True))
        parameters = {"frames": rows * rows, "rows": side, "columns": side, "batches": bench.batches}
        per_step = statistics.median((b - k) / bench.batches for b, k in zip(batches, kernels, strict=True))
        for name, ours, peer, peer_name in (
            ("fan_out.run", whole, alone, "the same work in one pass, without Dagster"),
            ("fan_out.batches", batches, kernels, "reading and kernels in one pass"),
        ):
            yield Row(
                name=name,
                ours=statistics.median(ours),
                peer=statistics.median(peer),
                peer_name=peer_name,
                unit="s",
                ratio=statistics.median(p / o for o, p in zip(ours, peer, strict=True)),
                packages=("dagster",),
                parameters=parameters | {"cost_of_a_step_seconds": round(per_step, 4)},
                notes="Steps run one after the other in this process.",
            )


class _Bench:
    def __init__(self, folder: Path, rows: int, side: int, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._store = FileStore(folder / "store")
        frame_bytes = side * side * 2
        made = Microscope(
            name="BENCH",
            scans=f"file:{folder / 'scans'}",
            recipe=Recipe(counting=Counting(), detectors=_DETECTORS, center=(side / 2, side / 2)),
        )
        self._microscope = made.model_copy(update={"batch_bytes": -(-rows * rows // BATCHES) * frame_bytes})
        _write(folder / "scans" / "scan.frames", rows, side)
        find_scans(self._microscope, None, self._store)
        self._scans: Scans = define_scans(self._microscope)
        instance.add_dynamic_partitions(scan_partitions("BENCH").name or "", ["scan.frames"])
        object_store = ObjectStoreResource(url=f"file:{self._store.root}")
        self._definitions = dg.Definitions(
            assets=self._scans.assets,
            jobs=[self._scans.job],
            resources={
                "kafka": KafkaResource(clusters={}),
                "object_store": object_store,
                "scans": ScansResource(),
                "io_manager": StepValuesIOManager(object_store=object_store),
            },
            executor=dg.in_process_executor,
        )
        self.batches = 0

    def measure(self, number: int) -> tuple[float, float, float, float]:
        """Return the seconds of a run, of its batches, of the same work alone, and of reading and kernels alone."""
        orders = [self._measure_run, self._measure_alone]
        measured = {order: order() for order in (orders if number % 2 else orders[::-1])}
        return (*measured[self._measure_run], *measured[self._measure_alone])

    def _measure_run(self) -> tuple[float, float]:
        job = self._definitions.resolve_job_def(self._scans.job.name)
        began = time.perf_counter()
        result = job.execute_in_process(run_config=_QUIET, instance=self._instance, partition_key="scan.frames")
        whole = time.perf_counter() - began
        stats = self._instance.get_run_step_stats(result.run_id)
        steps = [each for each in stats if "process_batch" in each.step_key]
        self.batches = len(steps)
        return whole, sum((each.end_time or 0) - (each.start_time or 0) for each in steps)

    def _measure_alone(self) -> tuple[float, float]:
        work = ScanWork(self._microscope, load_record(self._store, "BENCH", "scan.frames"), self._store)
        began = time.perf_counter()
        with work.open() as source:
            plan = make_plan(work, source)
            planned = time.perf_counter()
            partial, accounting = process_whole(work, source, plan)
            processed = time.perf_counter()
        publish(work, plan, make_product(work, plan, partial, accounting, "complete"))
        return time.perf_counter() - began, processed - planned


def _write(path: Path, rows: int, side: int) -> None:
    """Write a scan with some hundred electrons in each frame."""
    path.parent.mkdir()
    rng = np.random.default_rng(1)
    block = rng.integers(0, 28, (rows, side, side), np.uint16)
    hits = rng.random(block.shape) < 200 / side**2
    block[hits] = rng.integers(60, 500, int(hits.sum()), np.uint16)
    with RawWriter(path, ScanHeader((rows, rows), (side, side), "uint16")) as writer:
        for _ in range(rows):
            writer.append(block)
