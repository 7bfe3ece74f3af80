"""Waits until there is room for a session.

On this machine that is what it is going to use, against what others have reserved. On a cluster every pod waits for a
place of its own, and the session can say which one does and why.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.sessions.tasks import needs_gpu

if TYPE_CHECKING:
    from runstart.host import Demand, HostResources, Reservation, Reservations
    from runstart.launchers import Launcher, Task
    from runstart.pipelines import Plan
    from runstart.sessions.order import SessionSettings

LOOK_S = 1.0


def demand_of(plan: Plan, settings: SessionSettings, host: HostResources) -> Demand:
    """Return what a session is going to use.

    Replicas with an allowance of their own reserve all of it. The others reserve the settings' share, and never so many
    processors that the machine could not run them: they take turns.
    """
    from runstart.host import Demand

    cpus = shared_cpus = 0.0
    memory = gpus = 0
    for stage in plan.stages:
        own = settings.allowances.get(stage.name)
        memory += stage.parallelism * (settings.reserved_memory_bytes if own is None else own.memory_bytes)
        if own is not None and own.cpus is not None:
            cpus += stage.parallelism * own.cpus
        else:
            shared_cpus += stage.parallelism * settings.reserved_cpus
        gpus += stage.parallelism * needs_gpu(stage)
    cpus += min(shared_cpus, max(0.0, host.cpus - cpus))
    return Demand(cpus=cpus, memory_bytes=memory, disk_bytes=settings.disk_bytes, gpus=gpus)


def reserve(
    launcher: Launcher,
    settings: SessionSettings,
    session_id: str,
    demand: Callable[[HostResources], Demand],
    wait: Callable[[str], bool],
) -> AbstractContextManager[Reservation | None] | None:
    """Return a session's share of this machine, or nothing of it for pods; None if it is not wanted any more.

    Parameters
    ----------
    launcher : Launcher
        Where the session runs.
    settings : SessionSettings
        Say where reservations are kept.
    session_id : str
        Who reserves.
    demand : callable
        Returns what the session is going to use of a machine.
    wait : callable
        Gets the reason for waiting, about once a second; returns whether to go on.

    Raises
    ------
    Alert
        If the machine could never hold it.
    """
    if not launcher.shares_machine:
        return contextlib.nullcontext()
    from runstart.host import Reservations, measure_host

    def measure() -> HostResources:
        return measure_host(Path(tempfile.gettempdir()))

    return wait_for_room(Reservations(settings.reservations), session_id, demand(measure()), measure, wait)


def why_waiting(launcher: Launcher, unbegun: Iterable[tuple[str, Task]]) -> str:
    """Return why the first of these tasks, each with a name for people, has not begun; empty if that is not known."""
    for name, task in unbegun:
        if reason := launcher.waits_for(task):
            return f"{name} waits: {reason}"
    return ""


def wait_for_room(
    reservations: Reservations,
    session_id: str,
    demand: Demand,
    measure: Callable[[], HostResources],
    wait: Callable[[str], bool],
) -> Reservation | None:
    """Return a reservation as soon as there is room, or None if the session is not wanted any more.

    Parameters
    ----------
    reservations : Reservations
        Of all sessions on this machine.
    session_id : str
        Who reserves.
    demand : Demand
        What.
    measure : callable
        Returns what the machine has.
    wait : callable
        Gets the reason for waiting, about once a second; returns whether to go on.

    Raises
    ------
    Alert
        If the machine could never hold it.
    """
    while True:
        answer = reservations.reserve(session_id, demand, measure())
        if not isinstance(answer, str):
            return answer
        if not wait(answer):
            return None
        time.sleep(LOOK_S)
