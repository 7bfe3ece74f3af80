"""What is asked of a session, and how this deployment runs sessions."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.launchers import Mount

if TYPE_CHECKING:
    from runstart.pipelines import Plan

MOST_RESTARTS = 3
"""How often a replica that has died is started again."""


@dataclass(frozen=True)
class SessionOrder:
    """A session that is to be run.

    Attributes
    ----------
    session_id : str
        16 upper-case hexadecimal digits.
    plan : Plan
        The operators, how many of each, and how they are wired.
    run_id : str
        Of the Dagster run that it belongs to; empty without one.
    triggers : tuple of (str, str)
        Stage and trigger, pulled in this order as soon as everything has started.
    keep_running : bool
        Whether the session goes on when its sources have ended, until it is told to stop.
    """

    session_id: str
    plan: Plan
    run_id: str = ""
    triggers: tuple[tuple[str, str], ...] = ()
    keep_running: bool = False


@dataclass(frozen=True)
class Allowance:
    """What each replica of an operator may use.

    Attributes
    ----------
    cpus : float or None
        Processors' worth of time; None for as much as there is.
    memory_bytes : int
        Resident memory.
    processes : int
        At any moment; of pods the cluster's nodes say how many they may have.
    """

    cpus: float | None = None
    memory_bytes: int = 1 << 30
    processes: int = 256


@dataclass(frozen=True)
class SessionSettings:
    """How sessions are run here.

    Attributes
    ----------
    operators : mapping of str to Path
        Folder of each operator that runs from its folder, by the folder's name.
    allowance : Allowance
        What each replica may use.
    allowances : mapping of str to Allowance
        The same, for single stages; these are reserved in full.
    reserved_cpus, reserved_memory_bytes
        What is reserved for a replica without an allowance of its own: most use far less than they may.
    disk_bytes : int
        What is reserved of the temporary folder's disk for a session.
    reservations : Path
        Folder in which the sessions of this machine share it out.
    image : str or None
        Runs all operators in this image with this machine's Python, instead of their own images.
    image_mounts : tuple of Mount
        What that image needs of this machine.
    image_folders : tuple of Path
        Folders that this image has itself, in the same place: operators in them need no mount.
    mount_roots : tuple of Path or None
        Folders inside which mount parameters must lie; None for anywhere.
    environment : mapping of str to str
        For every operator.
    address : str or None
        IPv4 address at which pods reach this process; None for the one that it has towards the cluster.
    ports : range or None
        Ports of which this process may take one for each session on pods; None for any.
    ready_s : float
        Until all operators must be ready, once they have their places.
    resolve_s : float
        Until the host names of all operators must be known on the session's network.
    silence_s : float
        After this long without a sign of life an operator counts as hung.
    message_limit_s : float
        After this long on one message an operator counts as hung.
    restart_delay_s : float
        After its second death an operator is started again after this long, after its third after twice as long.
    show_s : float
        Between two looks at how a session stands.
    command_poll_s : float
        Between two looks for commands.
    still_s : float
        Counts that stand still for this long after an operator has died: what is missing is lost.
    stalled_s : float
        The same, where none has died.
    grace_s : float
        Until an operator that was told to end is killed.
    engine_patience_s : float
        For which a container engine may be unreachable.
    queue : int
        High-water mark of each socket, in messages.
    """

    operators: Mapping[str, Path] = field(default_factory=dict)
    allowance: Allowance = Allowance()
    allowances: Mapping[str, Allowance] = field(default_factory=dict)
    reserved_cpus: float = 0.1
    reserved_memory_bytes: int = 128 << 20
    disk_bytes: int = 64 << 20
    reservations: Path = field(
        default_factory=lambda: Path(tempfile.gettempdir()) / f"runstart-reservations-{os.getuid()}"
    )
    image: str | None = None
    image_mounts: tuple[Mount, ...] = ()
    image_folders: tuple[Path, ...] = ()
    mount_roots: tuple[Path, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    ports: range | None = None
    ready_s: float = 120.0
    resolve_s: float = 20.0
    silence_s: float = 30.0
    message_limit_s: float = 600.0
    restart_delay_s: float = 1.0
    show_s: float = 1.0
    command_poll_s: float = 0.5
    still_s: float = 2.0
    stalled_s: float = 60.0
    grace_s: float = 5.0
    engine_patience_s: float = 300.0
    queue: int = 100

    def allowance_of(self, stage: str) -> Allowance:
        """Return what each replica of a stage may use."""
        return self.allowances.get(stage, self.allowance)

    def with_place_time(self, place_s: float) -> SessionSettings:
        """Return settings with which operators may also wait for their places, so many seconds at most."""
        if not place_s:
            return self
        ready_s = self.ready_s + place_s
        # One that has its place looks for the names of others that have none yet.
        return replace(self, ready_s=ready_s, resolve_s=max(self.resolve_s, ready_s))
