"""The wardens of this user on this machine, whoever has started them: found by their command lines, told by signals.

A command line says which task it is, so that there is no register which could be wrong. `SIGUSR1` passes a wish to end
on to the task (its owner sees `stopped`); `SIGTERM` removes it (its owner sees `lost`, or `stopped` after a wish). Who
owns it, and whether that process works, hangs or is stopped, does not matter. Linux only; elsewhere none is found.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from runstart.launchers._tree import descendants, parent

WISH, REMOVE = signal.SIGUSR1, signal.SIGTERM

_ROOT = str(Path(__file__).resolve().parents[2])
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from runstart.launchers._warden import main; main()"
_OPTIONS = ("-I", "-S", "-c", _PROGRAM)
_PROC = Path("/proc")
_MOMENT_S = 0.0002


@dataclass(frozen=True)
class About:
    """What a warden's command line says of its task; every user of the machine can read it.

    Attributes
    ----------
    identifier, name : str
        The task's.
    labels : mapping of str to str
        As in its specification.
    started_at : float
        Unix time in seconds.
    processors : tuple of int
        Those that the task is kept on; none if it may use all.
    """

    identifier: str
    name: str
    labels: Mapping[str, str]
    started_at: float
    processors: tuple[int, ...] = ()


def warden_command(about: About) -> list[str]:
    """Return the command of a warden."""
    return [sys.executable, *_OPTIONS, _ROOT, json.dumps(asdict(about) | {"labels": dict(about.labels)})]


def wait_until_shown(warden: subprocess.Popen[bytes]) -> None:
    """Wait for the moment from which every process finds a started warden; it comes just after the program's begin."""
    command_line = _PROC / str(warden.pid) / "cmdline"
    while command_line.exists() and warden.poll() is None and not command_line.read_bytes():
        time.sleep(_MOMENT_S)


def find_wardens() -> dict[int, About]:
    """Return the running wardens of this user by their process ids."""
    found: dict[int, About] = {}
    for folder in _PROC.iterdir() if _PROC.is_dir() else ():
        if folder.name.isdigit() and (about := _about(folder)) is not None:
            found[int(folder.name)] = about
    # A warden that is just starting its task is there twice: the copy becomes the task.
    return {process: about for process, about in found.items() if parent(process) not in found}


def end_warden(identifier: str, grace_s: float | None, patience_s: float) -> None:
    """End a task through its warden, and return when none of its processes is left; nothing if it is gone.

    Parameters
    ----------
    identifier : str
        The task's.
    grace_s : float or None
        Seconds that the task has to end by itself after a wish; None: no wish, it is removed.
    patience_s : float
        After which a warden that does not do as told is killed with its task.
    """
    for process, about in find_wardens().items():
        if about.identifier == identifier:
            with contextlib.suppress(ProcessLookupError), _handle(process) as handle:
                # The number may be another process's by now: the handle cannot.
                if _about(_PROC / str(process)) == about:
                    _end(process, handle, grace_s, patience_s)


def kill_with_task(process: int, patience_s: float) -> None:
    """Kill a warden that hangs, after all that it has started."""
    deadline = time.monotonic() + patience_s
    while (living := descendants(process)) and time.monotonic() < deadline:
        for one in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _end(process: int, handle: int, grace_s: float | None, patience_s: float) -> None:
    signal.pidfd_send_signal(handle, signal.SIGCONT)
    if grace_s is not None:
        signal.pidfd_send_signal(handle, WISH)
        if _has_ended(handle, grace_s):
            return
    signal.pidfd_send_signal(handle, REMOVE)
    if not _has_ended(handle, patience_s):
        kill_with_task(process, patience_s)
        _has_ended(handle, patience_s)


@contextlib.contextmanager
def _handle(process: int) -> Iterator[int]:
    """Return a file that stands for a process, and for no other that gets its number."""
    handle = os.pidfd_open(process)
    try:
        yield handle
    finally:
        os.close(handle)


def _has_ended(handle: int, within_s: float) -> bool:
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    return bool(waiting.poll(within_s * 1000))


def _about(folder: Path) -> About | None:
    """Return what the command line of a process says, or None if it is no warden of this user."""
    try:
        words = (folder / "cmdline").read_bytes().split(b"\0")
        if words[1:5] != [option.encode() for option in _OPTIONS] or folder.stat().st_uid != os.geteuid():
            return None
        said = json.loads(words[6])
        return About(**said | {"processors": tuple(said["processors"])})
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # it has ended since, or is somebody else's where /proc hides those
    except (IndexError, ValueError, TypeError, KeyError):
        return None  # another version's, or somebody's who only looks like one
