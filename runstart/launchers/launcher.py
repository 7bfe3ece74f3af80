"""What can start a task, whatever runs it: a process here, a container of an engine, a pod of a cluster.

A task is described before it is started, and nothing of it outlives its removal. A limit that a launcher cannot
hold is an error, never ignored; so is an image where none can be run, unless the caller says that it may be.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from runstart.errors import Alert, Transient

Reason = Literal["exit", "time", "memory", "processes", "disk", "stopped", "lost"]
"""Why a task ended: by itself, over a limit, stopped by its caller, or lost: removed by somebody else, or with whatever
watched it."""


@dataclass(frozen=True)
class Limits:
    """What a task may use, all its processes together.

    Attributes
    ----------
    seconds : float or None
        From start to end.
    memory_bytes : int or None
        Resident memory.
    processes : int or None
        At any moment.
    disk_bytes : int or None
        In the folders that it may write.
    cpus : float or None
        Processors' worth of time; plain processes are kept on that many processors, rounded up.
    """

    seconds: float | None = None
    memory_bytes: int | None = None
    processes: int | None = None
    disk_bytes: int | None = None
    cpus: float | None = None


@dataclass(frozen=True)
class Mount:
    """A folder or file of this machine that a task sees.

    Attributes
    ----------
    source : Path
        Absolute path here.
    target : str
        Where a container sees it; a plain process sees it at its source.
    writable : bool
        Whether the task may write it.
    """

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class LaunchSpec:
    """A task to start.

    Attributes
    ----------
    command : tuple of str
        Program and arguments, never a shell's line.
    name : str
        For people.
    environment : mapping of str to str
        All of it: nothing is inherited.
    mounts : tuple of Mount
        What it sees of this machine's files.
    folder : str or None
        Working folder, as the task sees it.
    limits : Limits
        What it may use.
    labels : mapping of str to str
        By which tasks are found again.
    network : str or None
        A network that `Launcher.make_network` has made; a container without one has no network at all.
    network_alias : str or None
        Name under which other tasks of its network reach it.
    image : str or None
        Container image to run it in.
    image_optional : bool
        Whether a launcher without images may run the command without it.
    confined : bool
        No network, no files but the mounts and the interpreter's, as far as the launcher's isolation goes.
    idle : bool
        Runs only on processor time that nothing else wants.
    scratch : Path or None
        Folder that the caller removes after the task, and that is removed with it if the caller is killed.
    """

    command: tuple[str, ...]
    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    folder: str | None = None
    limits: Limits = Limits()
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None
    network_alias: str | None = None
    image: str | None = None
    image_optional: bool = False
    confined: bool = False
    idle: bool = False
    scratch: Path | None = None


@dataclass(frozen=True)
class Task:
    """A task that was started.

    Attributes
    ----------
    identifier : str
        The launcher's own.
    name : str
        As in its specification.
    """

    identifier: str
    name: str


@dataclass(frozen=True)
class ListedTask:
    """A task that is there, whoever has started it.

    Attributes
    ----------
    task : Task
        By which it can be stopped and removed.
    labels : mapping of str to str
        As in its specification.
    started_at : float
        Unix time in seconds.
    is_running : bool
        Whether it has not ended yet.
    """

    task: Task
    labels: Mapping[str, str]
    started_at: float
    is_running: bool


@dataclass(frozen=True)
class ListedNetwork:
    """A network that is there, whoever has made it.

    Attributes
    ----------
    name : str
        By which it can be removed.
    labels : mapping of str to str
        As it was made.
    """

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Ended:
    """How a task ended.

    Attributes
    ----------
    reason : Reason
        Why.
    exit_code : int or None
        Of its first process; negative for a signal; None if there never was one.
    seconds : float
        From start to end.
    processor_s : float
        Seconds of processor time.
    peak_memory_bytes : int
        Largest resident memory seen.
    trouble : str
        Why it could not be started, or empty.
    failure : Alert or Transient or None
        The error that this end amounts to, if the launcher knows more of it than the reason tells.
    """

    reason: Reason
    exit_code: int | None
    seconds: float
    processor_s: float = 0.0
    peak_memory_bytes: int = 0
    trouble: str = ""
    failure: Alert | Transient | None = None


class Launcher(ABC):
    """Starts tasks and removes them."""

    name: str
    """What tasks are here: `processes`, `containers` or `pods`."""

    runs_images: bool
    """Whether `LaunchSpec.image` can be honoured."""

    has_networks: bool
    """Whether tasks can have networks of their own, with names by which they reach each other."""

    shares_machine: bool = True
    """Whether tasks run on this machine: they share its files and its room with whoever starts them."""

    place_s: float = 0.0
    """Seconds that a started task may wait until it gets its place and begins."""

    @property
    @abstractmethod
    def isolation(self) -> str:
        """What confines a confined task here, as named in logs and metadata."""

    @abstractmethod
    def start(self, spec: LaunchSpec) -> Task:
        """Start a task and return at once; a cluster's trouble with its image or place shows in `Ended.failure`.

        Raises
        ------
        Alert
            It cannot be run here as specified: see `runstart.launchers.failures`.
        Transient
            The engine does not answer, or the image could not be pulled.
        """

    @abstractmethod
    def wait(self, task: Task, timeout_s: float | None = None) -> Ended | None:
        """Return how the task ended, or None if it has not within `timeout_s` seconds."""

    @abstractmethod
    def logs(self, task: Task) -> str:
        """Return the end of what the task has printed so far, at most 64 kB."""

    @abstractmethod
    def stop(self, task: Task, grace_s: float = 0.0) -> None:
        """End the task with all its processes; return when none is left.

        Parameters
        ----------
        task : Task
            One that was started here, or listed.
        grace_s : float, optional
            Seconds between SIGTERM and SIGKILL; without any it is killed at once, or as soon as the launcher can.
        """

    @abstractmethod
    def remove(self, task: Task) -> None:
        """Stop the task if it runs, and forget it with its output; nothing if it is gone."""

    @abstractmethod
    def list(self, labels: Mapping[str, str]) -> Sequence[ListedTask]:
        """Return the tasks of this machine, or engine, that carry these labels, whoever has started them."""

    @abstractmethod
    def make_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a network on which tasks reach each other by their aliases, and nothing else.

        Raises
        ------
        Alert
            There are no networks here, or one has this name.
        """

    @abstractmethod
    def remove_network(self, name: str) -> None:
        """Remove a network; nothing if it is gone."""

    @abstractmethod
    def list_networks(self, labels: Mapping[str, str]) -> Sequence[ListedNetwork]:
        """Return the networks that carry these labels, whoever has made them."""

    @abstractmethod
    def fetch_image(self, image: str) -> None:
        """See that an image is here, and pull it if it is not.

        Raises
        ------
        Alert
            There is no such image, it is not allowed, or images cannot be run here.
        Transient
            It could not be pulled.
        """

    def check_limits(self, name: str, limits: Limits) -> None:  # noqa: ARG002
        """Make sure, before a task is started, that it would be held to its limits; most launchers hold all.

        Parameters
        ----------
        name : str
            Of the task, for people.
        limits : Limits
            What it may use.

        Raises
        ------
        Alert
            A limit cannot be held here.
        """
        return

    def remove_expired(self) -> Sequence[str]:
        """Remove tasks that nobody will end any more, and return what was removed and why; most launchers leave none."""
        return []

    def waits_for(self, task: Task) -> str:  # noqa: ARG002
        """Return why a task has not begun yet, as a sentence's end; empty if it has, or nothing is known."""
        return ""

    def address_here(self) -> str:
        """Return the IPv4 address at which tasks of other machines reach what listens in this process.

        Raises
        ------
        Transient
            There is no way to them just now.
        """
        raise AssertionError(f"{self.name} are on this machine")

    @abstractmethod
    def seen_at(self, mount: Mount, *, in_image: bool = False) -> str:
        """Return the path at which a task sees a mount, with its image or without."""
