"""Runs a program of a stranger: in its image or without, confined, within limits, until it ends or has to.

What it sees is its job's folder: inputs, algorithm and descriptions to read, outputs and logs to write. A program without
an image sees these at their places on this machine, and the variables tell it where. When this returns none of its
processes is left, also when it raises.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from runstart.compute.folders import JobFolder
from runstart.compute.watching import JobTimedOut, Watch
from runstart.errors import Alert, Transient
from runstart.launchers import Ended, Launcher, LaunchSpec, Limits, Mount, Task
from runstart.launchers.failures import failure_of
from runstart.launchers.isolation import library_environment
from runstart.launchers.removal import remove_tree

JOB_LABEL, STORE_LABEL = "runstart.compute_job", "runstart.store"

_WAIT_S, _WAIT_AFAR_S = 0.25, 2.0
_SLACK_S = 60.0  # beyond its limit, for whatever ends it
_VOLUME = "/data"


@dataclass(frozen=True)
class Program:
    """What is run.

    Attributes
    ----------
    name : str
        For people, as a sentence's beginning.
    image : str
        The image.
    without_image : bool
        Whether a launcher without images may run it with this machine's programs.
    words : sequence of str
        Program and arguments, with variables such as `$ALGO`.
    limits : Limits
        What it may use.
    environment : mapping of str to str
        Variables beside those that tell places.
    """

    name: str
    image: str
    without_image: bool
    words: Sequence[str]
    limits: Limits
    environment: Mapping[str, str]


class ProgramFailed(Exception):
    """A program ended otherwise than it should; the text says how, without anything that it printed."""


def check_confinement(launcher: Launcher, *, without_image: bool) -> None:
    """Make sure that a launcher can run programs of strangers.

    Raises
    ------
    Alert
        It has no images, and the environment does not do without, or it cannot confine them.
    """
    if launcher.runs_images:
        return
    if not without_image:
        raise Alert(
            "This installation runs plain processes, which have no images.",
            "Set RUNSTART_LAUNCHER to containers, or raw_code_without_image for the environment.",
        )
    if launcher.isolation == "fault isolation only":
        raise Alert(
            "This machine cannot confine processes, so that algorithms of strangers are not run.",
            "Set RUNSTART_LAUNCHER to containers, or allow user namespaces or Landlock.",
        )


def run_confined(
    program: Program, folder: JobFolder, labels: Mapping[str, str], launcher: Launcher, watch: Watch, log: Path
) -> None:
    """Run a program to its end.

    Parameters
    ----------
    program : Program
        What is run.
    folder : JobFolder
        What it sees.
    labels : mapping of str to str
        By which it is found again.
    launcher : Launcher
        Runs it.
    watch : Watch
        Ends it early.
    log : Path
        Gets the end of what it printed, at most 64 kB, however it ends; what the program has put there is removed.

    Raises
    ------
    ProgramFailed
        It could not be started, failed, or went over a limit.
    JobTimedOut
        It reached its time limit.
    """
    try:
        task = launcher.start(_specify(program, folder, labels, launcher))
    except (Alert, Transient) as problem:
        raise ProgramFailed(_what(problem)) from problem
    try:
        ended = _await_end(task, launcher, watch)
    finally:
        try:
            printed = _read_log(task, launcher)
        finally:
            launcher.remove(task)
        write_log(log, printed)
    if ended.reason == "time":
        raise JobTimedOut(program.name, program.limits.seconds or ended.seconds)
    failure = failure_of(task, ended, "")
    if failure is not None:
        raise ProgramFailed(_what(failure))


def waiting_time(program: Program, launcher: Launcher) -> float:
    """Return how many seconds to wait for a program: its own, those until it gets its place, and until it is ended."""
    return (program.limits.seconds or math.inf) + launcher.place_s + _SLACK_S


def write_log(path: Path, text: str) -> None:
    """Write a file where a stranger's program may have put a link or a folder; that is removed, never followed."""
    remove_tree(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "w", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - a descriptor has no path
        file.write(text)


def _await_end(task: Task, launcher: Launcher, watch: Watch) -> Ended:
    while True:
        try:
            ended = launcher.wait(task, _WAIT_S if launcher.shares_machine else _WAIT_AFAR_S)
        except Transient as problem:
            raise ProgramFailed(_what(problem)) from problem
        if ended is not None:
            return ended
        watch.check()


def _read_log(task: Task, launcher: Launcher) -> str:
    try:
        return launcher.logs(task)
    except Transient as problem:
        return f"What was printed cannot be read: {problem}\n"


def _specify(program: Program, folder: JobFolder, labels: Mapping[str, str], launcher: Launcher) -> LaunchSpec:
    in_image = launcher.runs_images
    mounts = {
        "inputs": Mount(folder.inputs, f"{_VOLUME}/inputs"),
        "transformations": Mount(folder.transformations, f"{_VOLUME}/transformations"),
        "ddos": Mount(folder.ddos, f"{_VOLUME}/ddos"),
        "outputs": Mount(folder.outputs, f"{_VOLUME}/outputs", writable=True),
        "logs": Mount(folder.logs, f"{_VOLUME}/logs", writable=True),
    }
    seen = {name: launcher.seen_at(mount, in_image=in_image) for name, mount in mounts.items()}
    variables = {
        **program.environment,
        "VOLUME": _VOLUME if in_image else str(folder.top),
        "INPUTS": seen["inputs"],
        "OUTPUTS": seen["outputs"],
        "LOGS": seen["logs"],
        "DDOS": seen["ddos"],
        "ALGO": f"{seen['transformations']}/{folder.algorithm.name}",
    }
    if not in_image:
        mounts["work"] = Mount(folder.work, f"{_VOLUME}/work", writable=True)
        variables |= _variables_of_this_machine(folder)
    return LaunchSpec(
        command=tuple(Template(word).safe_substitute(variables) for word in program.words),
        name=program.name,
        environment=variables,
        mounts=tuple(mounts.values()),
        folder=None if in_image else str(folder.work),
        limits=program.limits,
        labels=labels,
        image=program.image,
        image_optional=program.without_image,
        confined=True,
        scratch=folder.top,
    )


def _variables_of_this_machine(folder: JobFolder) -> dict[str, str]:
    """Return what a program needs to find the programs of this machine, and a place for what it does not keep."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        **library_environment(),
        "HOME": str(folder.work),
        "TMPDIR": str(folder.work),
        "LANG": "C.UTF-8",
    }


def _what(problem: Alert | Transient) -> str:
    """Return an error's text without what a program printed: that may be what a filter has to see first."""
    return problem.what if isinstance(problem, Alert) else str(problem).partition("\n")[0]
