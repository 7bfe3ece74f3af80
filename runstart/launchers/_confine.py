"""What a task's first process does to itself before it becomes the task: limits, priority, isolation.

Runs in the warden's forked child, which has one thread. Everything here is inherited and cannot be undone by
the task.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runstart.launchers import _landlock, _seccomp

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS = 1, 22, 24, 28, 38
_SECCOMP_MODE_FILTER = 2
_NOROOT_LOCKED = 0b11
_CAPABILITY_VERSION_3 = 0x20080522
_SIGKILL = 9
_ADDRESS_SLACK = 512 << 20  # code, thread stacks and buffers of libraries that are reserved but not used
_OPEN_FILES = 256
_MEMORY_FOLDERS = ("/tmp", "/dev/shm")  # noqa: S108 - the task's own
_MEMORY_FOLDER_BYTES = 16 << 20  # what lies in them is memory that no process is charged for


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def confine(order: Mapping[str, Any]) -> None:
    """Apply an order to this process; see `runstart.launchers._warden` for its fields.

    Raises
    ------
    OSError
        The system refuses a step.
    """
    if order["idle"]:
        _yield_processor()
    _limit(order)
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if order["confined"] and order["level"] != "namespaces":
            _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            _drop_capabilities()
        if order["confined"] and order["level"] == "landlock":
            _landlock.restrict(order["readable"], order["writable"])
            _filter_calls()


def bubblewrap_command(order: Mapping[str, Any], filter_fd: int | None) -> list[str]:
    """Return the command that runs an order's command in namespaces of its own.

    Parameters
    ----------
    order : mapping
        See `runstart.launchers._warden`.
    filter_fd : int or None
        Open file with the filter of system calls.
    """
    command = [order["bubblewrap"], "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net"]
    command += ["--unshare-uts", "--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL"]
    command += ["--uid", "65534", "--gid", "65534", "--hostname", "isolated", "--dev", "/dev"]
    for folder in _MEMORY_FOLDERS:
        command += ["--size", str(_MEMORY_FOLDER_BYTES), "--tmpfs", folder]
    for path in order["readable"]:
        if Path(path).is_symlink() and path.count("/") == 1:
            command += ["--symlink", str(Path(path).readlink()), path]
        else:
            command += ["--ro-bind", path, path]
    for path in order["writable"]:
        command += ["--bind", path, path]
    command += ["--remount-ro", "/dev", "--remount-ro", "/"]
    if order["folder"]:
        command += ["--chdir", order["folder"]]
    if filter_fd is not None:
        command += ["--seccomp", str(filter_fd)]
    return [*command, "--", *order["command"]]


def _yield_processor() -> None:
    """Give way to everything else: to counting above all. A busy machine still leaves a share of some percent."""
    os.nice(19)
    # Where the kernel groups processes by session, niceness counts only within the group.
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text("19")


def _limit(order: Mapping[str, Any]) -> None:
    """Set the limits that the kernel holds for each process; the warden holds those of all together."""
    limits = order["limits"]
    if order["processors"]:
        os.sched_setaffinity(0, order["processors"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES if order["confined"] else None)
    _lower(resource.RLIMIT_FSIZE, limits["disk_bytes"])
    memory = limits["memory_bytes"]
    _lower(resource.RLIMIT_DATA, memory + _ADDRESS_SLACK if memory else None)
    if sys.platform == "linux" and memory:
        Path("/proc/self/oom_score_adj").write_text("1000")


def _lower(kind: int, most: int | None) -> None:
    if most is None:
        return
    hard = resource.getrlimit(kind)[1]
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (bound, bound))


def _drop_capabilities() -> None:
    """Give up what root may do beyond owning files, for this process and all that it starts."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # Refused where it is already given up: what is left is dropped below all the same.
    libc.prctl(_PR_SET_SECUREBITS, _NOROOT_LOCKED, 0, 0, 0)
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if libc.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())) != 0:
        raise OSError(ctypes.get_errno(), "the capabilities of root cannot be given up")


def _filter_calls() -> None:
    code = _seccomp.program()
    program = _Program(len(code) // 8, code)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0)


def _prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, *words) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl {option}: {os.strerror(error)}")
