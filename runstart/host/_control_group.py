"""The limits of the control group that this process lives in: in a container they count, not the machine's size."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

# Version 1 writes a number near 2**63 for "no limit".
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class GroupLimits:
    """What a control group allows.

    Attributes
    ----------
    cpus : float or None
        Processors' worth of time; None without a limit.
    memory_bytes : int or None
        Memory of all processes of the group; None without a limit.
    memory_used_bytes : int
        What they use of it, without file caches that can be dropped; 0 without a limit.
    """

    cpus: float | None = None
    memory_bytes: int | None = None
    memory_used_bytes: int = 0


def read_limits(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> GroupLimits:
    """Return the tightest limits of this process's control group and those above it, of version 1 or 2.

    Parameters
    ----------
    root : Path, optional
        Where the control groups are mounted.
    membership : Path, optional
        Says which group this process is in.
    """
    cpus: list[float] = []
    memories: list[tuple[int, int]] = []
    for folder in _folders(root, membership):
        cpu = _cpus(folder)
        if cpu is not None:
            cpus.append(cpu)
        memory = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        if memory is not None and memory < _NO_LIMIT:
            memories.append((memory, _used(folder)))
    if not memories:
        return GroupLimits(min(cpus, default=None))
    tightest, used = min(memories, key=lambda pair: pair[0] - pair[1])
    return GroupLimits(min(cpus, default=None), tightest, used)


def _folders(root: Path, membership: Path) -> list[Path]:
    """Return the folders of this process's groups and of all above them, as far as they are seen from here."""
    folders = []
    with contextlib.suppress(OSError):
        for line in membership.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            top = root / controllers if controllers else root
            inner = top / path.lstrip("/")
            folders += [
                folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir()
            ]
    return list(dict.fromkeys(folders))


def _cpus(folder: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else None


def _used(folder: Path) -> int:
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            name, value = line.split()
            if name in ("inactive_file", "total_inactive_file"):
                return max(0, used - int(value))
    return used


def _number(file: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text())
    return None
