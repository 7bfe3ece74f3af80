"""Executes a reduction script on one input, outside this process, and says what came of it.

An execution never raises for what the script does: exceptions, time-outs, memory, damaged outputs are the
outcome's `error`. The script has a scratch folder of its own, and of its environment only what Python needs.
Nothing of an execution is left when it is over, neither processes nor files.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runstart.launchers import Ended, Launcher, LaunchSpec, Limits, Mount, SubprocessLauncher, Task
from runstart.launchers.isolation import library_environment
from runstart.launchers.removal import remove_tree
from runstart.scripts._exchange import BadOutput, read_outputs, write_input
from runstart.scripts.model import NamedArray, ScriptInput, ScriptOutcome

if TYPE_CHECKING:
    from runstart.instruments.script import Script
    from runstart.scripts.sources import FetchedScript

__all__ = ["execute"]

_MEGABYTE = 1_000_000
_MOST_PROCESSES = 64
_DISK_MB = 256
_WAIT_S = 1.0
_GRACE_S = 60.0  # beyond its time limit, for whatever ends it


def execute(script: Script, fetched: FetchedScript, script_input: ScriptInput, launcher: Launcher) -> ScriptOutcome:
    """Execute a script and return what came of it; blocks until all of its processes are gone.

    Parameters
    ----------
    script : Script
        Its limits and its container image.
    fetched : FetchedScript
        Its text.
    script_input : ScriptInput
        What it is shown.
    launcher : Launcher
        What starts it. One that runs no images runs the script without, and the outcome remarks it; a script without an
        image is always a process of this machine.

    Raises
    ------
    OSError
        The scratch folder cannot be written: the disk is full.
    """
    if script.container is None and launcher.runs_images:
        launcher = SubprocessLauncher()
    began_at, began = time.time(), time.monotonic()
    top = Path(tempfile.mkdtemp(prefix="runstart-script-"))
    try:
        folders = {name: top / name for name in ("in", "out", "work")}
        for folder in folders.values():
            folder.mkdir()
        write_input(folders["in"], script_input, _file_name(script), fetched.text)
        _lend_fonts(folders["work"])
        spec = replace(_specify(script, launcher, folders), scratch=top)
        task = launcher.start(spec)
        try:
            ended = _await_end(task, script.timeout + _GRACE_S, launcher)
            printed = launcher.logs(task)
        finally:
            launcher.remove(task)
        arrays, figures, error = _judge(script, ended, folders["out"], printed)
    finally:
        remove_tree(top)
    in_image = launcher.runs_images and script.container is not None
    return ScriptOutcome(
        sha256=fetched.sha256,
        executed_at=began_at,
        seconds=time.monotonic() - began,
        output=printed,
        arrays=arrays,
        figures=figures,
        error=error,
        isolation=launcher.isolation,
        remark="" if in_image or script.container is None else _without_image(script.container),
    )


def _specify(script: Script, launcher: Launcher, folders: dict[str, Path]) -> LaunchSpec:
    in_image = launcher.runs_images and script.container is not None
    mounts = {name: Mount(path, f"/runstart/{name}", name != "in") for name, path in folders.items()}
    seen = {name: launcher.seen_at(mount, in_image=in_image) for name, mount in mounts.items()}
    # An image's own Python may find its packages by variables, which -I would hide.
    python = ("python3", "-B") if in_image else (sys.executable, "-I", "-B")
    return LaunchSpec(
        command=(*python, f"{seen['in']}/child.py", seen["in"], seen["out"]),
        name="reduction script",
        environment={
            **({} if in_image else {"PATH": "/usr/bin:/bin", **library_environment()}),
            "HOME": seen["work"],
            "TMPDIR": seen["work"],
            "MPLCONFIGDIR": seen["work"],
            "MPLBACKEND": "Agg",
            "LANG": "C.UTF-8",
            # One execution keeps to one core: counting needs the others.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "NUMEXPR_NUM_THREADS": "1",
        },
        mounts=tuple(mounts.values()),
        folder=seen["work"],
        limits=Limits(script.timeout, script.memory_mb * _MEGABYTE, _MOST_PROCESSES, _DISK_MB * _MEGABYTE),
        image=script.container,
        image_optional=True,
        confined=True,
        idle=True,
    )


def _await_end(task: Task, most_s: float, launcher: Launcher) -> Ended:
    """Return how a task ended; one that is not ended in time, though its limit is shorter, is lost."""
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < most_s:
        if (ended := launcher.wait(task, _WAIT_S)) is not None:
            return ended
    return Ended("lost", None, seconds, trouble="the process that watched it hangs")


def _judge(
    script: Script, ended: Ended, out: Path, printed: str
) -> tuple[dict[str, NamedArray], dict[str, bytes], str]:
    """Return the outputs, or none and why."""
    if error := _limit_exceeded(script, ended):
        return {}, {}, error
    try:
        arrays, figures, error, error_type = read_outputs(out)
    except FileNotFoundError:
        return {}, {}, _without_result(ended, printed)
    except BadOutput as problem:
        return {}, {}, f"{_file_name(script)}: {problem}"
    if error_type == "MemoryError":
        error = f"used more than {script.memory_mb} MB ({error})"
    return arrays, figures, error


def _limit_exceeded(script: Script, ended: Ended) -> str:
    match ended.reason:
        case "time":
            starved = ended.processor_s < script.timeout / 10
            busy = f"; it got {ended.processor_s:.1f} s of processor time: the machine is busy" if starved else ""
            return f"took longer than {script.timeout:g} s{busy}"
        case "memory":
            return f"used more than {script.memory_mb} MB"
        case "processes":
            return f"started more than {_MOST_PROCESSES} processes"
        case "disk":
            return f"wrote more than {_DISK_MB} MB"
        case "stopped":
            return "was stopped"
        case "lost":
            return f"was lost: {ended.trouble}"
        case _:
            return ""


def _without_result(ended: Ended, printed: str) -> str:
    if ended.exit_code is None:
        return f"could not be started: {ended.trouble}"
    code = ended.exit_code
    number = -code if code < 0 else code - 128  # as a shell and bwrap say it
    if number in set(signal.Signals):
        return f"was ended by {signal.Signals(number).name}"
    last = printed.strip().rpartition("\n")[2][:200]
    return f"ended with exit code {code} before reduce(run) returned" + (f": {last}" if last and code else "")


def _file_name(script: Script) -> str:
    """Return the name that the script has in messages."""
    path = urlsplit(script.url).path if script.url is not None else script.file
    name = PurePosixPath(path).name
    return name if name.endswith(".py") else "reduce.py"


def _without_image(image: str) -> str:
    return f"executed without the image {image}: nothing here runs images"


def _lend_fonts(work: Path) -> None:
    """Give the script matplotlib's list of fonts, which takes seconds to make."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None:
        return
    for found in Path(matplotlib.get_cachedir()).glob("fontlist-*.json"):
        shutil.copyfile(found, work / found.name)
