"""Sessions of one machine, whatever processes run them, share it out: each holds a file that says what it wants.

A file counts as long as its session's process holds a lock on it; the kernel gives the lock back however the process
ends, so a killed session holds nothing. All demands are summed, and one is added, under one lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from runstart.errors import Alert, Transient
from runstart.host.resources import Demand, HostResources, size_text

_LOCK_WAIT_S = 10.0
_POLL_S = 0.01
_SHOWN_HOLDERS = 5


@dataclass(frozen=True)
class Held:
    """What a living session holds.

    Attributes
    ----------
    session_id : str
        The session.
    demand : Demand
        What it has reserved.
    gpus : tuple of int
        Numbers of the GPUs that are its own.
    since : float
        Unix time in seconds.
    """

    session_id: str
    demand: Demand
    gpus: tuple[int, ...]
    since: float


class Reservation:
    """Part of a machine, held until it is released or its process ends; a context manager.

    Parameters
    ----------
    held : Held
        What is held.
    file : Path
        Its file.
    descriptor : int
        Open file with the lock; closed by `release`.
    """

    def __init__(self, held: Held, file: Path, descriptor: int) -> None:
        self.held = held
        self._file = file
        self._descriptor: int | None = descriptor

    @property
    def gpus(self) -> tuple[int, ...]:
        """Numbers of the GPUs that are this session's own."""
        return self.held.gpus

    def release(self) -> None:
        """Give back what is held; nothing if it is released already."""
        if self._descriptor is not None:
            self._file.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Reservations:
    """Where the sessions of this machine share it out.

    Parameters
    ----------
    folder : Path
        On a local disk, the same for all; made at the first need.
    overcommit : float, optional
        How many times the processors may be promised: sessions mostly wait for data.
    """

    def __init__(self, folder: Path, overcommit: float = 2.0) -> None:
        self.folder = folder
        self.overcommit = overcommit

    def reserve(self, session_id: str, demand: Demand, host: HostResources) -> Reservation | str:
        """Reserve what a session wants, or say why it has to wait.

        Parameters
        ----------
        session_id : str
            The session; it must not hold anything yet.
        demand : Demand
            What it wants.
        host : HostResources
            What the machine has, measured now.

        Returns
        -------
        Reservation or str
            What it holds now, or the reason why it does not fit yet: what is missing, and which sessions hold it.

        Raises
        ------
        Alert
            It can never fit on this machine, or the folder cannot be used.
        Transient
            The folder's disk is full or its lock is held by a process that hangs.
        """
        self._refuse_impossible(demand, host)
        with self._told(), self._alone():
            others = self._living()
            reason = self._what_is_missing(demand, host, others)
            if reason is not None:
                return reason
            taken = {gpu for other in others for gpu in other.gpus}
            free = [gpu.index for gpu in host.gpus if gpu.index not in taken]
            return self._hold(Held(session_id, demand, tuple(free[: demand.gpus]), time.time()))

    def living(self) -> list[Held]:
        """Return what living sessions hold, the oldest first; files of dead ones are removed.

        Raises
        ------
        Alert
            The folder cannot be used.
        Transient
            The folder's lock is held by a process that hangs.
        """
        with self._told(), self._alone():
            return self._living()

    def _refuse_impossible(self, demand: Demand, host: HostResources) -> None:
        troubles = []
        promised = host.cpus * self.overcommit
        if demand.cpus > promised:
            troubles.append(
                f"{demand.cpus:g} processors ({host.cpus:g} are here, promised {self.overcommit:g} times)"
            )
        if demand.memory_bytes > host.memory_bytes:
            troubles.append(f"{size_text(demand.memory_bytes)} of memory ({size_text(host.memory_bytes)} are here)")
        if demand.disk_bytes > host.disk_bytes:
            troubles.append(
                f"{size_text(demand.disk_bytes)} of disk ({host.disk} is on one of {size_text(host.disk_bytes)})"
            )
        if demand.gpus > len(host.gpus):
            troubles.append(f"{demand.gpus} GPUs ({len(host.gpus)} are here)")
        if troubles:
            what = f"The session can never run on {host.name}: it needs {', '.join(troubles)}."
            raise Alert(what, "Ask for less (fewer replicas, lower limits), or run it on a larger machine.")

    def _what_is_missing(self, demand: Demand, host: HostResources, others: Sequence[Held]) -> str | None:
        held = sum((other.demand for other in others), Demand())
        cpus = host.cpus * self.overcommit - held.cpus
        memory = min(host.memory_bytes - held.memory_bytes, host.memory_available_bytes)
        disk = min(host.disk_bytes - held.disk_bytes, host.disk_free_bytes)
        gpus = len(host.gpus) - held.gpus
        missing = []
        # A hair's breadth for sums of tenths.
        if demand.cpus > cpus + 1e-9:
            missing.append(_Missing(f"{demand.cpus:g} processors", f"{max(0.0, cpus):g}", "cpus"))
        if demand.memory_bytes > memory:
            wanted, left = size_text(demand.memory_bytes), size_text(max(0, memory))
            missing.append(_Missing(f"{wanted} of memory", left, "memory_bytes"))
        if demand.disk_bytes > disk:
            wanted, left = size_text(demand.disk_bytes), size_text(max(0, disk))
            missing.append(_Missing(f"{wanted} of the disk of {host.disk}", left, "disk_bytes"))
        if demand.gpus > gpus:
            missing.append(_Missing(f"{demand.gpus} GPUs", str(gpus), "gpus"))
        if not missing:
            return None
        return f"Waits for room on {host.name}: " + "; ".join(one.text(others) for one in missing) + "."

    def _hold(self, held: Held) -> Reservation:
        file = self.folder / f"{held.session_id}.json"
        if file.exists():
            raise Alert(
                f"Session {held.session_id} has reserved its part already.", "A session can reserve only once."
            )
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, json.dumps(asdict(held)).encode())
        except BaseException:
            file.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return Reservation(held, file, descriptor)

    def _living(self) -> list[Held]:
        found = [held for file in self.folder.glob("*.json") if (held := _read_if_held(file)) is not None]
        return sorted(found, key=lambda held: held.since)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process sums or reserves here."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The lock's file is never removed: a lock on a removed file would exclude nobody.
        with (self.folder / "lock").open("ab") as lock:
            deadline = time.monotonic() + _LOCK_WAIT_S
            while not _try_lock(lock.fileno()):
                if time.monotonic() > deadline:
                    raise Transient(f"Another process has held {lock.name} for {_LOCK_WAIT_S:g} s: it must hang.")
                time.sleep(_POLL_S)
            yield

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            what = f"The folder {self.folder}, where sessions share out this machine, may not be written."
            raise Alert(what, "Give this user the right, or name another folder.") from error
        except OSError as error:
            raise Transient(f"Sessions cannot share out this machine in {self.folder}: {error}.") from error


@dataclass(frozen=True)
class _Missing:
    """One thing that does not fit."""

    wanted: str
    left: str
    attribute: str

    def text(self, others: Sequence[Held]) -> str:
        holders = [other for other in others if getattr(other.demand, self.attribute)]
        holders.sort(key=lambda other: -getattr(other.demand, self.attribute))
        text = f"it needs {self.wanted}, and {self.left} are left"
        if not holders:
            return f"{text} (other programs use the rest)"
        shown = ", ".join(
            f"session {other.session_id}, {self._amount(other.demand)}" for other in holders[:_SHOWN_HOLDERS]
        )
        more = f" and {len(holders) - _SHOWN_HOLDERS} more" if len(holders) > _SHOWN_HOLDERS else ""
        return f"{text} (held by: {shown}{more})"

    def _amount(self, demand: Demand) -> str:
        amount = getattr(demand, self.attribute)
        return size_text(amount) if self.attribute.endswith("_bytes") else f"{amount:g}"


def _read_if_held(file: Path) -> Held | None:
    """Return what a file says if its session lives; remove the file if it does not."""
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        return None
    with opened:
        if _try_lock(opened.fileno()):
            file.unlink(missing_ok=True)
            return None
        values = json.load(opened)
    return Held(values["session_id"], Demand(**values["demand"]), tuple(values["gpus"]), values["since"])


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
