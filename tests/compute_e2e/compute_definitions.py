"""The code location in which only the sensors of compute jobs tick, and a silent run counts as dead after twenty seconds.

Containers get this machine's programs, since no image with any can be pulled here.
"""

from __future__ import annotations

import os
from dataclasses import replace

from ticking import only_ticking

import ops.run_beats
import sensors.abandoned_runs
import sensors.compute_jobs
from definitions import build_definitions
from runstart.facility import host_mounts
from runstart.launchers import DockerLauncher, LaunchSpec, Task

sensors.compute_jobs.INTERVAL_SECONDS = 1
sensors.compute_jobs.UNLAUNCHED_SECONDS = 5.0
sensors.abandoned_runs.STARTING_SECONDS = 60.0
sensors.abandoned_runs.BATCH_SILENCE_SECONDS = 20.0
ops.run_beats.INTERVAL_SECONDS = 1.0

_TICKING = ("compute_jobs", "abandoned_runs")
_start_container = DockerLauncher.start


def _start_with_programs(launcher: DockerLauncher, spec: LaunchSpec) -> Task:
    return _start_container(launcher, replace(spec, mounts=(*spec.mounts, *host_mounts())))


DockerLauncher.start = _start_with_programs  # type: ignore[method-assign]
defs = only_ticking(build_definitions(os.environ), _TICKING)

__all__ = ["defs"]
