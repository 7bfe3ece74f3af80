"""The filter of a data owner: a program that looks at the outputs and the logs before anybody gets them.

It may change them or take some away. If it fails, nothing of the job is given out.
"""

from __future__ import annotations

from runstart.compute.algorithm import told_of
from runstart.compute.confined import Program, run_confined
from runstart.compute.environments import ComputeEnvironment
from runstart.compute.folders import JobFolder
from runstart.compute.job_record import JobRecord
from runstart.compute.watching import Watch
from runstart.launchers import Launcher, Limits

LOG_NAME = "filter.log"


def run_filter(
    record: JobRecord,
    environment: ComputeEnvironment,
    folder: JobFolder,
    labels: dict[str, str],
    launcher: Launcher,
    watch: Watch,
) -> None:
    """Run the environment's filter over the outputs and logs of a job.

    Raises
    ------
    ProgramFailed
        It does not let them pass.
    JobTimedOut
        It reached its time limit.
    """
    run_confined(
        _filter_program(record, environment), folder, labels, launcher, watch, folder.admin_logs / LOG_NAME
    )


def _filter_program(record: JobRecord, environment: ComputeEnvironment) -> Program:
    return Program(
        name="The filter",
        image=environment.filter_image,
        without_image=environment.raw_code_without_image,
        words=environment.filter_command,
        limits=Limits(
            seconds=environment.max_phase_s,
            memory_bytes=environment.ram_bytes,
            processes=environment.processes,
            disk_bytes=environment.disk_bytes,
            cpus=environment.cpus,
        ),
        environment=told_of(record),
    )
