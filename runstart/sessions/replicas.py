"""One replica of an operator through all its lives: what it does now, and what its predecessors have left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from runstart.operators.counters import CounterValues, read_told_counters
from runstart.sessions.doors import Sender
from runstart.sessions.ledger import Counts

if TYPE_CHECKING:
    from runstart.launchers import Task
    from runstart.sessions.order import SessionSettings
    from runstart.sessions.records import NodeRecord

_FRESH_S = 1.5
_LAST_WORDS_S = 0.5
_GOING_S = 30.0


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
    told : CounterValues
        What its process has told of its counters, if they are in no file.
    told_at : float
        When, in monotonic seconds.
    has_told_all : bool
        Whether these were its last counts.
    is_behind : bool
        Whether it must have counted since it told its counts.
    has_been_ready, is_finishing : bool
        Whether its process has said that it is ready, and whether it was told to finish.
    gone_at : float or None
        Monotonic seconds at which its process was found to have ended; its last words may still come.
    doom : str or None
        Why its process had to be ended.
    busy_since_ns : int
        Since when it works on a message, on the machine's monotonic clock; 0 if it does not.
    forgotten, repeated, unsaid : int
        See `OperatorTotals`.
    unsaid_at_finish : int
        How many of those unsaid had been told to finish: what they held they may have sent.
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
    told: CounterValues = field(default_factory=CounterValues)
    told_at: float = 0.0
    has_told_all: bool = False
    is_behind: bool = False
    has_been_ready: bool = False
    is_finishing: bool = False
    gone_at: float | None = None
    doom: str | None = None
    busy_since_ns: int = 0
    forgotten: int = 0
    repeated: int = 0
    unsaid: int = 0
    unsaid_at_finish: int = 0
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
        """Whether it is ready and does not work on a message, as far as that is known."""
        return self.life in {Life.READY, Life.FINISHED} and not self.busy_since_ns and not self.is_behind

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

    def become_ready(self, *, keeps_state: bool) -> None:
        """Take note that its process is ready."""
        self.life = Life.READY
        self.has_been_ready, self.keeps_state = True, keeps_state

    def hear_counts(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take the counts that come with what its process says."""
        if self.task is None or "counters" not in content:
            return
        busy_ns = content.get("busy_ns")
        # Its own clock may be another machine's.
        since_ns = time.monotonic_ns() - busy_ns if type(busy_ns) is int and busy_ns > 0 else 0
        self.told = replace(read_told_counters(content["counters"]), busy_since_ns=since_ns)
        self.told_at = time.monotonic()
        self.has_told_all = self.has_told_all or kind in {"finished", "ended"}

    def hear_end(self) -> None:
        """Take note that its process has said its last word: whoever runs it may need a while to see it go."""
        self.has_told_all = True
        self.leaves_by = max(self.leaves_by, time.monotonic() + _GOING_S)

    def take_counts(self, values: CounterValues | None) -> None:
        """Take the counts of its process: from a file, or None for those that it has told."""
        if values is None:
            values = self.told
            self.is_behind = not self.has_told_all and time.monotonic() - self.told_at > _FRESH_S
        self.busy_since_ns = values.busy_since_ns
        self.now = Counts(
            values.received,
            values.received_bytes,
            values.finished,
            values.failed,
            values.emitted,
            values.kernel_ns,
            tuple(values.sent),
            tuple(values.sent_bytes),
        )

    def may_still_speak(self) -> bool:
        """Return whether the last counts of a process that has ended may be on their way."""
        if self.has_told_all:
            return False
        if self.gone_at is None:
            self.gone_at = time.monotonic()
        return time.monotonic() - self.gone_at < _LAST_WORDS_S

    def begin_life(self) -> None:
        """Forget what was said by a process before."""
        self.error, self.says = None, ""
        self.told, self.told_at = CounterValues(), time.monotonic()
        self.has_told_all = self.is_behind = self.has_been_ready = self.is_finishing = False
        self.gone_at = self.doom = None

    def bury(self, *, is_known: bool) -> None:
        """Add what a process that has died has counted to the past, and what was lost with it; see `part`."""
        had_finished = self.life is Life.FINISHED
        if self.keeps_state and not had_finished:
            self.forgotten += self.now.finished
        if self.is_source and not had_finished:
            self.repeated += self.now.emitted
        self.part(is_known=is_known)

    def part(self, *, is_known: bool) -> None:
        """Add what a process that has ended has counted to the past.

        Parameters
        ----------
        is_known : bool
            Whether that is all that it can have counted.
        """
        if not is_known:
            self.unsaid += 1
            self.unsaid_at_finish += self.is_finishing
        self.past, self.now = self.past + self.now, Counts()
        self.task, self.busy_since_ns = None, 0


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
