"""One replica of an operator through all its lives: what it does now, and what its predecessors have left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from runstart.sessions.control_hub import Sender
from runstart.sessions.ledger import Counts, Flow
from runstart.sessions.outcome import OperatorTotals

if TYPE_CHECKING:
    from runstart.launchers import Task
    from runstart.sessions.order import SessionSettings
    from runstart.sessions.records import NodeRecord


class Life(StrEnum):
    """What a replica does."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    FINISHED = "finished"
    LEAVING = "leaving"
    ENDED = "ended"
    GAVE_UP = "given up"


ALIVE = frozenset({Life.STARTING, Life.READY, Life.FINISHED, Life.LEAVING})
"""Those with a process."""


@dataclass
class Replica:
    """A replica, with what is known of it.

    Attributes
    ----------
    stage : str
        The operator.
    number : int
        Among the operator's replicas, from 0.
    is_source : bool
        Whether nothing is wired into it.
    incarnation : int
        How often it was started before.
    life : Life
        What it does.
    task : Task or None
        Its process.
    heard_at, due_at : float
        Monotonic seconds of the last sign of life, and from when a waiting one is started.
    leaves_by : float
        Monotonic seconds at which one that was told to leave is killed.
    keeps_state : bool
        Whether it holds results of messages that it has had.
    says : str
        The state that it has told last.
    error : str or None
        The trouble that it has told last.
    deaths, restarts : int
        How often it has died, and was started again.
    past : Counts
        What its predecessors have counted.
    now : Counts
        What its process has counted so far.
    busy_since_ns : int
        Since when it works on a message, on the machine's monotonic clock; 0 if it does not.
    forgotten, repeated : int
        See `OperatorTotals`.
    failed_at_end : bool
        Whether it failed, or hung, when it was told to end.
    peak_memory_bytes : int
        Largest of all its lives.
    troubles : list of str
        Why it has died, each time.
    nodes : list of NodeRecord
        All its processes.
    """

    stage: str
    number: int
    is_source: bool
    incarnation: int = 0
    life: Life = Life.WAITING
    task: Task | None = None
    heard_at: float = field(default_factory=time.monotonic)
    due_at: float = 0.0
    leaves_by: float = 0.0
    keeps_state: bool = False
    says: str = ""
    error: str | None = None
    deaths: int = 0
    restarts: int = 0
    past: Counts = field(default_factory=Counts)
    now: Counts = field(default_factory=Counts)
    busy_since_ns: int = 0
    forgotten: int = 0
    repeated: int = 0
    failed_at_end: bool = False
    peak_memory_bytes: int = 0
    troubles: list[str] = field(default_factory=list)
    nodes: list[NodeRecord] = field(default_factory=list)

    @property
    def sender(self) -> Sender:
        """Name of its present process."""
        return Sender(self.stage, self.number, self.incarnation)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.stage} (replica {self.number})"

    @property
    def is_idle(self) -> bool:
        """Whether it is ready and does not work on a message."""
        return self.life in {Life.READY, Life.FINISHED} and not self.busy_since_ns

    @property
    def has_died(self) -> bool:
        """Whether one of its processes has ended before its time."""
        return self.incarnation > 0 or self.life in {Life.WAITING, Life.GAVE_UP} or bool(self.troubles)

    def is_hung(self, now: float, settings: SessionSettings) -> str | None:
        """Return why a process counts as hung, if it does."""
        silent = now - self.heard_at
        if self.life is Life.STARTING:
            return f"was not ready within {silent:.0f} s" if silent > settings.ready_s else None
        if silent > settings.silence_s:
            return f"has given no sign of life for {silent:.0f} s"
        busy_s = (time.monotonic_ns() - self.busy_since_ns) / 1e9 if self.busy_since_ns else 0.0
        return f"has worked on one message for {busy_s:.0f} s" if busy_s > settings.message_limit_s else None

    def bury(self, *, had_finished: bool) -> None:
        """Add what a process that has ended has counted to the past, and what was lost with it."""
        if self.keeps_state and not had_finished:
            self.forgotten += self.now.finished
        if self.is_source and not had_finished:
            self.repeated += self.now.emitted
        self.past, self.now = self.past + self.now, Counts()
        self.task, self.busy_since_ns = None, 0


def totals_of(flow: Flow, replicas: Sequence[Replica]) -> OperatorTotals:
    """Return what became of an operator's messages, when nothing of it runs any more."""
    return OperatorTotals(
        received=flow.received,
        finished=flow.finished,
        failed=flow.failed,
        emitted=flow.emitted,
        lost_before=flow.queue,
        lost_inside=flow.inside,
        forgotten=sum(replica.forgotten for replica in replicas),
        repeated=sum(replica.repeated for replica in replicas),
        dead_letters=flow.failed,
        restarts=sum(replica.restarts for replica in replicas),
        gave_up=sum(replica.life is Life.GAVE_UP for replica in replicas),
        failed_at_end=sum(replica.failed_at_end for replica in replicas),
        peak_memory_bytes=max(replica.peak_memory_bytes for replica in replicas),
        troubles=tuple(trouble for replica in replicas for trouble in replica.troubles),
    )


def state_of(replicas: Iterable[Replica]) -> str:
    """Return the state of an operator, from those of its replicas: the one that matters most to people."""
    found = {_shown(replica) for replica in replicas}
    for state in ("given up", "restarting", "starting", "error", "waiting to send", "busy", "draining", "idle"):
        if state in found:
            return state
    return "ended"


def _shown(replica: Replica) -> str:
    match replica.life:
        case Life.WAITING | Life.LEAVING:
            return "restarting" if replica.incarnation or replica.deaths else "starting"
        case Life.STARTING:
            return "starting" if replica.incarnation == 0 else "restarting"
        case Life.READY:
            return replica.says or "idle"
        case Life.GAVE_UP:
            return "given up"
        case _:
            return "ended"
