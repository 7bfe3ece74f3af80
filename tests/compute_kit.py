"""Compute jobs for tests: workflows as Ocean's clients send them, environments, and a facility in a folder that runs them.

Algorithms are Python as raw code; the launcher of plain processes confines them as it confines everything here.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from runstart.compute import ComputeEnvironment, JobBook, JobRecord, order_job, read_workflow
from runstart.compute.folders import open_job_folder
from runstart.compute.job import ComputeJob, JobFailed
from runstart.launchers import Launcher, SubprocessLauncher
from runstart.storage import FileStore, ObjectStore

OWNER = "0xC41808BBef371AD5CFc76466dDF9dEe228d2BdAA"
ENVIRONMENT = "beamline"
DATA_ID = "did:op:" + 64 * "a"
DATA_KEY = "results/data.bin"
IMAGE = {"image": "python", "tag": "3.11", "entrypoint": "python3 $ALGO"}


def environment(**changes: Any) -> ComputeEnvironment:
    """Return an environment that runs raw code without images, and offers what lies under `results/`."""
    fields: dict[str, Any] = {
        "name": ENVIRONMENT,
        "max_job_s": 30.0,
        "max_phase_s": 30.0,
        "raw_code_without_image": True,
        "input_prefixes": ("results/",),
        "disk_gb": 0.05,
        "ram_gb": 0.5,
    }
    return ComputeEnvironment(**(fields | changes))


def workflow_payload(code: str | None = "print('hello there')", **changes: Any) -> dict[str, Any]:
    """Return a workflow of one stage as a client sends it.

    Parameters
    ----------
    code : str or None
        The algorithm.
    **changes
        Keys of the stage, over what it has otherwise.
    """
    stage = {
        "index": 0,
        "input": [],
        "compute": {"Instances": 1, "namespace": ENVIRONMENT},
        "algorithm": {"container": dict(IMAGE), "rawcode": None if code is None else textwrap.dedent(code)},
        "output": {"publishOutput": True, "publishAlgorithmLog": True},
    }
    return {"stages": [stage | changes]}


def input_of(*urls: str, **changes: Any) -> dict[str, Any]:
    """Return an input with files of these addresses."""
    return {"id": DATA_ID, "index": 0, "url": list(urls)} | changes


@dataclass
class Owners:
    """A data owner's machine: a store, an environment, and what runs jobs there."""

    place: Path
    environment: ComputeEnvironment = field(default_factory=environment)
    launcher: Launcher = field(default_factory=SubprocessLauncher)
    told_to_stop: bool = False

    @property
    def store(self) -> ObjectStore:
        return FileStore(self.place / "store")

    @property
    def book(self) -> JobBook:
        return JobBook(self.store)

    @property
    def root(self) -> Path:
        return self.place / "jobs"

    def order(self, payload: dict[str, Any], *, owner: str = OWNER, agreement_id: str = "") -> JobRecord:
        """Take a job in."""
        record = order_job(
            read_workflow(payload),
            self.environment,
            agreement_id=agreement_id or uuid4().hex,
            owner=owner,
            provider="0xprovider",
        )
        return self.book.create(record)

    def job(self, record: JobRecord) -> ComputeJob:
        """Return what carries a job out."""
        return ComputeJob(
            record.job_id,
            self.book,
            {self.environment.name: self.environment},
            self.launcher,
            self.root,
            was_told_to_stop=lambda: self.told_to_stop,
        )

    def run(self, payload: dict[str, Any], before: Callable[[str, JobRecord], None] | None = None) -> JobRecord:
        """Carry a new job out, and return its record at its end.

        Parameters
        ----------
        payload : dict
            Its workflow.
        before : callable, optional
            Called with the name of each phase before it, and the job.
        """
        record = self.order(payload)
        self.carry_out(record, before)
        return self.read(record)

    def carry_out(self, record: JobRecord, before: Callable[[str, JobRecord], None] | None = None) -> None:
        """Carry a job out, whatever comes of it."""
        job = self.job(record)
        try:
            job.begin("run")
            for phase in ("provision", "run_algorithm", "filter", "publish"):
                if before is not None:
                    before(phase, record)
                getattr(job, phase)()
        except JobFailed:
            return

    def read(self, record: JobRecord) -> JobRecord:
        """Return a job's record as it is now."""
        found = self.book.get(record.job_id)
        assert found is not None
        return found

    def results(self, record: JobRecord) -> dict[str, bytes]:
        """Return what a job has left by name, each as its record describes it."""
        found = {}
        for result in record.results:
            data = self.store.get(result.key).data
            assert len(data) == result.filesize
            found[result.filename] = data
        return found

    def log(self, record: JobRecord) -> str:
        """Return what the algorithm printed."""
        return self.results(record)["algorithm.log"].decode()

    def left_on_machine(self, record: JobRecord) -> list[str]:
        """Return what of a job is still on this machine: its folder, its tasks, processes that name it."""
        folder = open_job_folder(self.root, record.job_id).top
        tasks = self.launcher.list({"runstart.compute_job": record.job_id})
        return [str(folder)] * folder.exists() + [task.task.name for task in tasks] + _processes_of(record.job_id)

    def statuses(self, record: JobRecord) -> list[int]:
        """Return the states that a job came into, in order."""
        return [int(change.status) for change in record.history]


def _processes_of(job_id: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
            words = path.read_bytes().decode(errors="replace").split("\0")
            found += [" ".join(words)[:200]] if any(job_id in word for word in words) else []
    return found
