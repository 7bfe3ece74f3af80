"""The job of the scans in a folder, as another process, or another run, can make it again.

Executed as a program, it runs the job of one scan in a process of its own: see `Order`.

Two variables of the environment change what a process does. `SCAN_HALT` (a batch and a file) holds it in the middle of that
batch: it writes its process id into the file and stands still until it is killed. `SCAN_KEEP_WORK` leaves partial results.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob
from scan_house import FRAMES_PER_BATCH, NAME, ScanHouse

import runstart.scans.partials
import runstart.scans.steps
from assets import scan_job_name

EXECUTORS = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}


@dataclass(frozen=True)
class Order:
    """A run of the job.

    Attributes
    ----------
    folder : str
        Of the house.
    key : str
        The scan.
    executor : str
        One of `EXECUTORS`.
    frames_per_batch : int
        Size of a batch.
    retry_of : str or None
        Run that is gone on with from where it failed.
    """

    folder: str
    key: str
    executor: str = "in_process"
    frames_per_batch: int = FRAMES_PER_BATCH
    retry_of: str | None = None

    @property
    def arguments(self) -> list[str]:
        """The command that executes it."""
        return [sys.executable, __file__, json.dumps(asdict(self))]


def scan_job(folder: str, frames_per_batch: int, executor: str) -> dg.JobDefinition:
    """Return the job; called by Dagster in each process that executes a step."""
    if "SCAN_HALT" in os.environ:
        batch, file = os.environ["SCAN_HALT"].split(":", 1)
        _halt_in(int(batch), Path(file))
    if "SCAN_KEEP_WORK" in os.environ:
        runstart.scans.steps.sweep_work = lambda work: None
    house = ScanHouse(
        Path(folder),
        dg.DagsterInstance.get(),
        frames_per_batch=frames_per_batch,
        executor=EXECUTORS[executor],
    )
    return house.definitions.resolve_job_def(scan_job_name(NAME))


def scan_job_of(
    folder: Path | str, frames_per_batch: int = FRAMES_PER_BATCH, executor: str = "in_process"
) -> ReconstructableJob:
    """Return the job of a folder, as `dagster.execute_job` takes it."""
    # By its module's own name, also where that is the program that runs.
    return dg.build_reconstructable_job(
        "scan_definitions", scan_job.__name__, reconstructable_args=(str(folder), frames_per_batch, executor)
    )


def execute(order: Order, instance: dg.DagsterInstance) -> dg.JobExecutionResult:
    """Run the job of a scan, as a whole or from where another run of it failed."""
    again = None
    if order.retry_of is not None:
        again = dg.ReexecutionOptions.from_failure(order.retry_of, instance)
    with dg.execute_job(
        scan_job_of(order.folder, order.frames_per_batch, order.executor),
        instance=instance,
        tags={"dagster/partition": order.key},
        reexecution_options=again,
    ) as result:
        return result


def _halt_in(batch: int, file: Path) -> None:
    process_batch = runstart.scans.partials.process_batch
    process_range = runstart.scans.partials.process_range
    at_work: list[int] = []

    def note_batch(work: Any, plan: Any, number: int) -> bool:
        at_work[:] = [number]
        return process_batch(work, plan, number)

    def stand_still(*arguments: Any, **named: Any) -> Any:
        done = process_range(*arguments, **named)
        if at_work == [batch]:
            file.with_suffix(".new").write_text(str(os.getpid()))
            file.with_suffix(".new").rename(file)
            while True:
                signal.pause()
        return done

    runstart.scans.process_batch = note_batch
    runstart.scans.partials.process_range = stand_still


if __name__ == "__main__":
    with dg.DagsterInstance.get() as _instance:
        execute(Order(**json.loads(sys.argv[1])), _instance)
