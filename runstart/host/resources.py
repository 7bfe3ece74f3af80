"""What a machine has and what is left of it, as far as this process may use it: its control group's limits count."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runstart.host._control_group import read_limits
from runstart.host.gpus import Gpu, measure_gpus

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class HostResources:
    """A machine at a moment.

    Attributes
    ----------
    name : str
        Its host name.
    cpus : float
        Processors that this process may use.
    load : float
        Mean number of processes that wanted a processor, over the last minute.
    memory_bytes, memory_available_bytes : int
        Memory, and what can be had of it without swapping.
    disk : str
        Folder whose disk was measured.
    disk_bytes, disk_free_bytes : int
        That disk, and what a user may still write.
    gpus : tuple of Gpu
        Its GPUs.
    """

    name: str
    cpus: float
    load: float
    memory_bytes: int
    memory_available_bytes: int
    disk: str
    disk_bytes: int
    disk_free_bytes: int
    gpus: tuple[Gpu, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return asdict(self)


@dataclass(frozen=True)
class Demand:
    """What a session wants to have for itself.

    Attributes
    ----------
    cpus : float
        Processors' worth of time.
    memory_bytes : int
        Resident memory.
    disk_bytes : int
        Room on the disk of temporary folders.
    gpus : int
        Whole GPUs.
    """

    cpus: float = 0.0
    memory_bytes: int = 0
    disk_bytes: int = 0
    gpus: int = 0

    def __add__(self, other: Demand) -> Demand:
        """Return both together."""
        return Demand(
            self.cpus + other.cpus,
            self.memory_bytes + other.memory_bytes,
            self.disk_bytes + other.disk_bytes,
            self.gpus + other.gpus,
        )


def measure_host(disk: Path) -> HostResources:
    """Return what this machine has and what is left of it now.

    Parameters
    ----------
    disk : Path
        A folder on the disk that is meant; the nearest one above it that is there is measured.
    """
    import psutil

    limits = read_limits()
    cpus = float(len(os.sched_getaffinity(0)))
    memory = psutil.virtual_memory()
    total, available = int(memory.total), int(memory.available)
    if limits.memory_bytes is not None:
        total = min(total, limits.memory_bytes)
        available = max(0, min(available, limits.memory_bytes - limits.memory_used_bytes))
    folder = next(path for path in (disk.absolute(), *disk.absolute().parents) if path.is_dir())
    space = psutil.disk_usage(str(folder))
    return HostResources(
        name=socket.gethostname(),
        cpus=cpus if limits.cpus is None else min(cpus, limits.cpus),
        load=os.getloadavg()[0],
        memory_bytes=total,
        memory_available_bytes=available,
        disk=str(folder),
        disk_bytes=int(space.total),
        disk_free_bytes=int(space.free),
        gpus=measure_gpus(),
    )


def size_text(size: float) -> str:
    """Return a number of bytes for people, with three digits: `1.50 GB`."""
    power = 0
    while size >= 999.5 and power < len(_UNITS) - 1:
        size /= 1000
        power += 1
    if power == 0:
        return f"{size:.0f} bytes"
    return f"{size:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f} {_UNITS[power]}"
