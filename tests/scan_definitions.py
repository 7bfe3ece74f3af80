"""The job of the scans in a folder, as another process, or another run, can make it again."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob
from scan_house import NAME, ScanHouse

from assets import scan_job_name


def scan_job(folder: str) -> dg.JobDefinition:
    """Return the job; called by Dagster."""
    house = ScanHouse(Path(folder), dg.DagsterInstance.get())
    return house.definitions.resolve_job_def(scan_job_name(NAME))


def scan_job_of(folder: Path) -> ReconstructableJob:
    """Return the job of a folder, as `dagster.execute_job` takes it."""
    return dg.build_reconstructable_job(__name__, scan_job.__name__, reconstructable_args=(str(folder),))
