"""Where the sockets and counters of a session's operators are, in three forms: plain processes, containers, and pods.

Each replica of an operator binds one socket for each edge out of it, to which all replicas of the edge's target
connect: what an operator puts out is copied to every edge, and shared among the replicas behind it. Processes find each
other by files in the session's folder, containers and pods by names on the session's network. On one machine the control
and the counters are files, so that the session needs no network, and counts outlive who counted; pods share no file with
the session, reach it by TCP, and tell their counts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.errors import Alert
from runstart.launchers import Mount
from runstart.operators.counters import MOST_OUTPUTS, make_counters
from runstart.sessions.doors import Door, FileDoor, NetworkDoor, Sender
from runstart.sessions.mounts import IN_CONTAINER, link_mounts

if TYPE_CHECKING:
    from runstart.launchers import Launcher
    from runstart.pipelines import Link, Plan, Stage
    from runstart.sessions.order import SessionSettings

_FIRST_PORT = 47000
_LONGEST_PATH = 100
_RUN = "/run/runstart"
_CONTROL_SOCKET = "hub"
_PASSABLE, _OPEN = 0o711, 0o777


def links_in_order(plan: Plan) -> tuple[Link, ...]:
    """Return all edges, those out of a stage in the order of its ports: the order in which it counts."""
    return tuple(
        link
        for stage in plan.stages
        for port in stage.spec.outputs
        for link in plan.links
        if (link.source, link.source_port) == (stage.name, port.name)
    )


class Wiring(ABC):
    """The sockets and counters of one session.

    Parameters
    ----------
    plan : Plan
        What is wired.
    door : Door
        Where the session's end of the control is.

    Raises
    ------
    Alert
        A stage has more edges out of it than can be counted.
    """

    def __init__(self, plan: Plan, door: Door) -> None:
        self._links = links_in_order(plan)
        self._stages = {stage.name: stage for stage in plan.stages}
        self._numbers = {stage.name: number for number, stage in enumerate(plan.stages)}
        self.door = door
        for stage in plan.stages:
            count = sum(link.source == stage.name for link in self._links)
            if count > MOST_OUTPUTS:
                raise Alert(
                    f"{stage.name} has {count} edges out of it, and at most {MOST_OUTPUTS} can be counted.",
                    "Put an operator between that copies.",
                )

    @abstractmethod
    def prepare(self) -> None:
        """Make what has to be there before the control is opened."""

    @abstractmethod
    def prepare_process(self, sender: Sender) -> None:
        """Make what has to be there before a process is started."""

    @abstractmethod
    def counters(self, sender: Sender) -> Path | None:
        """Return the file in which a process counts; None if it tells its counts instead."""

    def inputs(self, stage: str) -> dict[str, list[str]]:
        """Return the sockets that each of a stage's replicas connects to, by input port."""
        found: dict[str, list[str]] = {port.name: [] for port in self._stages[stage].spec.inputs}
        for place, link in enumerate(self._links):
            if link.target == stage:
                replicas = range(self._stages[link.source].parallelism)
                found[link.target_port] += [self._reached_at(place, link.source, replica) for replica in replicas]
        return found

    def outputs(self, stage: str, replica: int) -> dict[str, list[str]]:
        """Return the sockets that a replica binds, by output port."""
        found: dict[str, list[str]] = {port.name: [] for port in self._stages[stage].spec.outputs}
        for place, link in enumerate(self._links):
            if link.source == stage:
                found[link.source_port].append(self._bound_at(place, replica))
        return found

    @abstractmethod
    def counters_seen_at(self, sender: Sender) -> str | None:
        """Return where a process sees the file in which it counts; None if it has none."""

    @abstractmethod
    def mounts(self, sender: Sender, data: Mapping[str, Mount]) -> tuple[Mount, ...]:
        """Return what a process needs to see of this machine: its data, and its ends of the wires."""

    @abstractmethod
    def show_data(self, stage: Stage, data: Mapping[str, Mount]) -> str:
        """Return the folder in which a stage's processes find its mount parameters."""

    @abstractmethod
    def alias(self, sender: Sender) -> str | None:
        """Return the name of a process on the session's network, if there is one."""

    @abstractmethod
    def _reached_at(self, place: int, source: str, replica: int) -> str:
        """Return where the socket of an edge is for those who connect."""

    @abstractmethod
    def _bound_at(self, place: int, replica: int) -> str:
        """Return where the socket of an edge is for the replica that binds it."""


class _Filed(Wiring):
    """Control and counters as files of the session's folder.

    Parameters
    ----------
    plan : Plan
        What is wired.
    folder : Path
        The session's own; removed with it.

    Raises
    ------
    Alert
        The folder's path is too long.
    """

    _open_to_all: bool
    """Whether operators may run as other users."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._folder = folder
        self._control_socket = folder / "control" / _CONTROL_SOCKET
        super().__init__(
            plan, FileDoor(self._control_socket, open_to_all=self._open_to_all, seen_at=self._seen_at())
        )
        longest = max(
            map(len, [str(self._control_socket), *(f"{folder}/{place}.127" for place in range(len(self._links)))])
        )
        if longest > _LONGEST_PATH:
            raise Alert(
                f"Sockets in {folder} would have paths of {longest} characters, and at most {_LONGEST_PATH} are possible.",
                "Set TMPDIR to a folder with a short path.",
            )

    def prepare(self) -> None:
        """Make the folders."""
        folder = self._control_socket.parent
        folder.mkdir()
        if self._open_to_all:
            folder.chmod(_PASSABLE)

    def prepare_process(self, sender: Sender) -> None:
        """Make the file in which a process will count."""
        folder = self._own_folder(sender)
        folder.mkdir(parents=True, exist_ok=True)
        if self._open_to_all:
            folder.chmod(_OPEN)
        make_counters(self.counters(sender), open_to_all=self._open_to_all)

    def counters(self, sender: Sender) -> Path:
        """Return the file in which a process counts."""
        return self._own_folder(sender) / f"counters-{sender.incarnation}"

    @abstractmethod
    def _seen_at(self) -> str:
        """Return where processes see the control's socket."""

    def _own_folder(self, sender: Sender) -> Path:
        return self._folder / f"task-{self._numbers[sender.operator]}.{sender.replica}"


class _Named(Wiring):
    """Messages by names on the session's network."""

    def show_data(self, stage: Stage, data: Mapping[str, Mount]) -> str:  # noqa: ARG002
        """Return the folder in which containers see their data."""
        return IN_CONTAINER

    def alias(self, sender: Sender) -> str | None:
        """Return a name that is unique on the session's network."""
        return self._name(sender.operator, sender.replica)

    def _name(self, stage: str, replica: int) -> str:
        # A label of DNS has 63 characters at most; the number keeps shortened names apart.
        return f"{stage[:40].rstrip('-')}-{self._numbers[stage]}-{replica}"

    def _reached_at(self, place: int, source: str, replica: int) -> str:
        return f"tcp://{self._name(source, replica)}:{_FIRST_PORT + place}"

    def _bound_at(self, place: int, replica: int) -> str:  # noqa: ARG002
        return f"tcp://*:{_FIRST_PORT + place}"


class ProcessWiring(_Filed):
    """Files of the session's folder, for processes of this user."""

    _open_to_all = False

    def counters_seen_at(self, sender: Sender) -> str:
        """Return the file."""
        return str(self.counters(sender))

    def mounts(self, sender: Sender, data: Mapping[str, Mount]) -> tuple[Mount, ...]:  # noqa: ARG002
        """Return the data: everything else is seen without."""
        return tuple(data.values())

    def show_data(self, stage: Stage, data: Mapping[str, Mount]) -> str:
        """Return a folder of links."""
        folder = self._folder / stage.name / "mnt"
        link_mounts(folder, data)
        return str(folder)

    def alias(self, sender: Sender) -> str | None:  # noqa: ARG002
        """Return None: processes have no network of their own."""
        return None

    def _seen_at(self) -> str:
        return str(self._control_socket)

    def _reached_at(self, place: int, source: str, replica: int) -> str:  # noqa: ARG002
        return f"ipc://{self._folder}/{place}.{replica}"

    def _bound_at(self, place: int, replica: int) -> str:
        return f"ipc://{self._folder}/{place}.{replica}"


class ContainerWiring(_Named, _Filed):
    """Names on the session's network for messages, and mounted files for control and counters."""

    _open_to_all = True

    def counters_seen_at(self, sender: Sender) -> str:
        """Return the file, as it is mounted."""
        return f"{_RUN}/own/{self.counters(sender).name}"

    def mounts(self, sender: Sender, data: Mapping[str, Mount]) -> tuple[Mount, ...]:
        """Return the data, the control's folder, and the one in which the process counts."""
        wires = (
            Mount(self._control_socket.parent, f"{_RUN}/control"),
            Mount(self._own_folder(sender), f"{_RUN}/own", writable=True),
        )
        return (*data.values(), *wires)

    def _seen_at(self) -> str:
        return f"{_RUN}/control/{_CONTROL_SOCKET}"


class PodWiring(_Named):
    """Names on the session's network for messages, and TCP for control and counts: no file is shared."""

    def prepare(self) -> None:
        """Nothing has to be there."""

    def prepare_process(self, sender: Sender) -> None:
        """Nothing has to be there."""

    def counters(self, sender: Sender) -> None:
        """Return None: pods tell their counts."""

    def counters_seen_at(self, sender: Sender) -> None:
        """Return None: pods tell their counts."""

    def mounts(self, sender: Sender, data: Mapping[str, Mount]) -> tuple[Mount, ...]:  # noqa: ARG002
        """Return the data, which has to lie on volumes that the launcher knows."""
        return tuple(data.values())


def make_wiring(launcher: Launcher, plan: Plan, folder: Path, settings: SessionSettings) -> Wiring:
    """Return the wiring that a launcher's tasks need."""
    if not launcher.shares_machine:
        return PodWiring(plan, NetworkDoor(settings.address or launcher.address_here(), settings.ports))
    return ContainerWiring(plan, folder) if launcher.has_networks else ProcessWiring(plan, folder)
