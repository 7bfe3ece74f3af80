"""The algorithm of a compute job: its image is brought before it runs, and it runs confined to what its job has."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable

from runstart.compute.addresses import resolve
from runstart.compute.confined import Program, check_confinement, run_confined, waiting_time
from runstart.compute.environments import ComputeEnvironment
from runstart.compute.folders import JobFolder
from runstart.compute.job_record import JobRecord
from runstart.compute.provision import AlgorithmProvisioningFailed
from runstart.compute.watching import Watch
from runstart.errors import Alert, Transient
from runstart.launchers import Launcher, Limits

LOG_NAME = "algorithm.log"

_GIGABYTE = 1_000_000_000
_PULL_PATIENCE_S = 60.0
_LOOK_S = 0.25
_HTTPS = 443


def prepare_image(record: JobRecord, environment: ComputeEnvironment, launcher: Launcher, watch: Watch) -> None:
    """See that the algorithm's image can be run, and pull it if it is not here.

    Raises
    ------
    AlgorithmProvisioningFailed
        It does not exist, may not be run, or this installation cannot confine algorithms or hold them to their limits.
    """
    image = record.workflow.stage.algorithm.container.reference
    try:
        check_confinement(launcher, without_image=environment.raw_code_without_image)
        program = algorithm_program(record, environment)
        launcher.check_limits(program.name, program.limits)
        if launcher.runs_images:
            watch.patiently(lambda: _check_registry(image, environment), _PULL_PATIENCE_S)
            watch.patiently(lambda: _in_background(lambda: launcher.fetch_image(image), watch), _PULL_PATIENCE_S)
    except (Alert, Transient) as problem:
        raise AlgorithmProvisioningFailed(str(problem)) from problem


def run_algorithm(
    record: JobRecord,
    environment: ComputeEnvironment,
    folder: JobFolder,
    labels: dict[str, str],
    launcher: Launcher,
    watch: Watch,
) -> None:
    """Run the algorithm to its end; the end of what it printed is among its logs.

    Raises
    ------
    ProgramFailed
        It could not be started, failed, or went over a limit.
    JobTimedOut
        It reached its time limit.
    """
    program = algorithm_program(record, environment)
    run_confined(program, folder, labels, launcher, watch, folder.logs / LOG_NAME)


def algorithm_time(record: JobRecord, environment: ComputeEnvironment, launcher: Launcher) -> float:
    """Return how many seconds the algorithm's phase may take."""
    return waiting_time(algorithm_program(record, environment), launcher)


def algorithm_program(record: JobRecord, environment: ComputeEnvironment) -> Program:
    """Return what is run, within the smaller of what the job asked for and what its environment gives."""
    stage = record.workflow.stage
    asked = stage.compute
    ram_gb, disk_gb = asked.ram_gb or environment.ram_gb, asked.disk_gb or environment.disk_gb
    return Program(
        name="The algorithm",
        image=stage.algorithm.container.reference,
        without_image=environment.raw_code_without_image,
        words=shlex.split(stage.algorithm.container.entrypoint),
        limits=Limits(
            seconds=min(record.max_s, environment.max_job_s),
            memory_bytes=round(min(ram_gb, environment.ram_gb) * _GIGABYTE),
            processes=environment.processes,
            disk_bytes=round(min(disk_gb, environment.disk_gb) * _GIGABYTE),
            cpus=min(asked.cpus or environment.cpus, environment.cpus),
        ),
        environment={**told_of(record), "secret": record.secret},
    )


def told_of(record: JobRecord) -> dict[str, str]:
    """Return the variables that tell a program which data and which algorithm its job has."""
    stage = record.workflow.stage
    return {
        "DIDS": json.dumps([each.folder for each in stage.input]),
        "TRANSFORMATION_DID": (stage.algorithm.id or "").removeprefix("did:op:"),
    }


def _check_registry(image: str, environment: ComputeEnvironment) -> None:
    """Refuse an image from inside the facility, unless its environment names the images that are allowed.

    Raises
    ------
    Alert
        Its registry is internal.
    """
    registry, slash, _ = image.partition("/")
    if environment.images or not slash or not (registry == "localhost" or {".", ":"} & set(registry)):
        return
    host, _, port = registry.partition(":")
    may_be_internal = not {host, registry}.isdisjoint(environment.internal_hosts)
    resolve(host, int(port or _HTTPS), f"The image {image[:200]}", may_be_internal=may_be_internal)


def _in_background(action: Callable[[], None], watch: Watch) -> None:
    """Do what cannot be interrupted in a thread; when the phase has to end it is left to itself."""
    problems: list[BaseException] = []

    def work() -> None:
        try:
            action()
        except BaseException as problem:  # noqa: BLE001 - raised again by whoever waits
            problems.append(problem)

    thread = threading.Thread(target=work, name="image of an algorithm", daemon=True)
    thread.start()
    while thread.is_alive():
        watch.check()
        thread.join(_LOOK_S)
    if problems:
        raise problems[0]
