"""The tasks of a probe session: what starts each, what it has said, and how it has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient
from runstart.launchers import LaunchSpec
from runstart.launchers.failures import failure_of
from runstart.probe_sessions.order import environment_of
from runstart.probe_sessions.outcome import Report, read_report
from runstart.sessions.labels import task_labels
from runstart.sessions.records import NodeRecord
from runstart.sessions.status import OperatorStatus
from runstart.sessions.tasks import limits_of

if TYPE_CHECKING:
    from runstart.launchers import Ended, Launcher, Task
    from runstart.probe_sessions.order import Names, ProbeOrder
    from runstart.probe_sessions.programs import Program
    from runstart.sessions.order import SessionSettings

_SHORTEST_LIMIT_S = 120.0
_SLOWEST_PER_S = 2000.0
_STATES = {"": "starting", "listening": "idle", "running": "busy", "done": "ended", "failed": "error"}


@dataclass
class Member:
    """One program of a session, started.

    Attributes
    ----------
    program : str
        Which.
    task : Task
        The launcher's.
    node : NodeRecord
        What the session's record says of it.
    report : Report
        The last that it has said.
    ended : Ended or None
        How it has ended; None while it runs.
    failure : Alert or Transient or None
        What that amounts to; None for a good end.
    """

    program: Program
    task: Task
    node: NodeRecord
    report: Report = field(default_factory=Report)
    ended: Ended | None = None
    failure: Alert | Transient | None = None

    def look(self, launcher: Launcher) -> None:
        """See what the program has said, and whether it has ended.

        Raises
        ------
        Transient
            The engine does not answer.
        """
        if self.ended is not None:
            return
        ended = launcher.wait(self.task, 0.0)
        output = launcher.logs(self.task)
        self.report = read_report(self.program, output)
        if ended is not None:
            self.ended = ended
            self.failure = failure_of(self.task, ended, output)
            status = "exited" if ended.reason == "exit" else ended.reason
            self.node = replace(self.node, finished_at=time.time(), status=status)

    def status(self, before: Mapping[str, int], seconds: float) -> OperatorStatus:
        """Return how it stands, with rates since it had these counts, so many seconds ago."""
        counts = self.report.counts
        leading = "sent" if self.program == "probe" else "received"
        moved = counts.get(leading, 0) - before.get(leading, 0)
        return OperatorStatus(
            name=self.program,
            state="ended"
            if self.ended is not None and self.failure is None
            else _STATES.get(self.report.state, "busy"),
            replicas=1,
            ready=int(self.report.state != ""),
            received=counts.get("received", 0),
            finished=counts.get("received", 0),
            emitted=counts.get("sent", counts.get("forwarded", 0)),
            messages_per_s=moved / seconds if seconds > 0 else 0.0,
            error=self.report.error or None,
        )


def make_spec(
    program: Program,
    order: ProbeOrder,
    store_id: str,
    names: Names,
    ports: Mapping[str, int],
    settings: SessionSettings,
    image: str | None,
    *,
    shares_machine: bool = True,
) -> LaunchSpec:
    """Return what starts a program.

    Parameters
    ----------
    program : str
        Which.
    order : ProbeOrder
        What is asked.
    store_id : str
        Which store has the session's record.
    names : Names
        Where the others are.
    ports : mapping of str to int
        Where those listen that have been started already; where the others are to.
    settings : SessionSettings
        What it may use; its image and mounts if there is one for all.
    image : str or None
        The image; None for a process.
    shares_machine : bool, optional
        Whether it runs on this machine.
    """
    allowance = settings.allowance_of(program)
    environment = environment_of(program, order, names, ports)
    seconds = time_limit_s(order.count)
    if not shares_machine:
        # The others come only when the cluster has places for them.
        environment["patience_s"] = f"{settings.ready_s:g}"
        seconds += len(order.programs) * settings.ready_s
    has_our_python = image is None or settings.image is not None
    return LaunchSpec(
        command=(sys.executable if has_our_python else "python", "-m", "runstart.probe_sessions", program),
        name=program,
        environment={**settings.environment, **environment},
        mounts=settings.image_mounts if image is not None and settings.image is not None else (),
        limits=limits_of(allowance, shares_machine=shares_machine, seconds=seconds),
        labels=task_labels(order.session_id, store_id, program, 0),
        network=names.network or None,
        network_alias=names.alias(program),
        image=image,
    )


def image_of(program: Program, settings: SessionSettings) -> str:
    """Return the image of a program: that of all, or its operator's.

    Raises
    ------
    Alert
        There is no such operator here.
    """
    if settings.image is not None:
        return settings.image
    folder = settings.operators.get(program)
    if folder is None:
        what = f"The operator {program} is in no folder here, so its image is not known."
        raise Alert(what, "Add the folder of operators that ship to RUNSTART_OPERATORS.")
    from runstart.specifications import OPERATOR_FILE, read_operator_spec

    return read_operator_spec(folder / OPERATOR_FILE).image


def time_limit_s(count: int) -> float:
    """Return after how many seconds a program is ended, whatever it does."""
    return _SHORTEST_LIMIT_S + count / _SLOWEST_PER_S
