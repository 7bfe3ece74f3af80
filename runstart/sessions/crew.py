"""The processes of a session: started in order, watched, started again when they die, and ended.

A process that has ended without being told to, or hangs, has died: it is started again up to three times, and then
gives up. An engine that does not answer is no death: its processes may well go on, so it is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient
from runstart.launchers.failures import failure_of, shown_end
from runstart.operators.counters import Counters
from runstart.sessions.ending import remove_tasks
from runstart.sessions.ledger import Counts, add_up
from runstart.sessions.order import MOST_RESTARTS
from runstart.sessions.records import NodeRecord
from runstart.sessions.replicas import ALIVE, Life, Replica
from runstart.sessions.reserving import why_waiting

if TYPE_CHECKING:
    from runstart.launchers import Ended, Launcher, Task
    from runstart.sessions.order import SessionSettings
    from runstart.sessions.tasks import StageSetup, TaskMaker
    from runstart.sessions.wiring import Wiring

_REMOVAL_S = 30.0
_AGAIN_S = 0.5


@dataclass(frozen=True)
class Death:
    """A process that has ended before its time.

    Attributes
    ----------
    replica : Replica
        Whose it was.
    failure : Alert or Transient
        Why.
    """

    replica: Replica
    failure: Alert | Transient


class Crew:
    """All processes of a session.

    Parameters
    ----------
    setups : mapping of str to StageSetup
        The stages, in topological order.
    sources : set of str
        Those into which nothing is wired.
    launcher : Launcher
        Runs them.
    wiring : Wiring
        Their sockets and files.
    maker : TaskMaker
        What starts them.
    settings : SessionSettings
        For how long they may be silent, and the like.
    tell : callable
        Takes a sentence for people.
    """

    def __init__(
        self,
        setups: Mapping[str, StageSetup],
        sources: set[str],
        launcher: Launcher,
        wiring: Wiring,
        maker: TaskMaker,
        settings: SessionSettings,
        tell: Callable[[str], None],
    ) -> None:
        self._setups = setups
        self._launcher, self._wiring, self._maker = launcher, wiring, maker
        self._settings, self._tell = settings, tell
        self._engine_lost_at: float | None = None
        self._left_over: list[Task] = []
        self.stages: dict[str, list[Replica]] = {
            name: [Replica(name, number, name in sources) for number in range(setup.stage.parallelism)]
            for name, setup in setups.items()
        }

    @property
    def waits_for_engine(self) -> bool:
        """Whether the engine did not answer the last time."""
        return self._engine_lost_at is not None

    @property
    def replicas(self) -> list[Replica]:
        """All of them, in topological order of their operators."""
        return [replica for replicas in self.stages.values() for replica in replicas]

    def find(self, stage: str, number: int, incarnation: int) -> Replica | None:
        """Return the replica whose present process is this."""
        replicas = self.stages.get(stage, [])
        if not 0 <= number < len(replicas) or replicas[number].incarnation != incarnation:
            return None
        return replicas[number]

    def counts(self) -> dict[str, Counts]:
        """Return what each stage has counted, ended processes included."""
        for replica in self.replicas:
            if replica.life in ALIVE:
                self._read_counters(replica)
        return {
            stage: add_up(replica.past + replica.now for replica in replicas)
            for stage, replicas in self.stages.items()
        }

    def why_waiting(self) -> str:
        """Return why the first process that has not begun waits for that; empty if none does, or it is not known."""
        starting = (replica for replica in self.replicas if replica.life is Life.STARTING)
        return why_waiting(
            self._launcher, ((replica.name, replica.task) for replica in starting if replica.task is not None)
        )

    def look(self) -> list[Death]:
        """Watch everything once: end what hangs, start what is due; return what has died since the last look."""
        deaths: list[Death] = []
        with self._riding_out():
            for replica in self.replicas:
                if replica.life is Life.WAITING and time.monotonic() >= replica.due_at:
                    self._start(replica, deaths)
                elif replica.life in ALIVE:
                    self._watch(replica, deaths)
            self._see_off_all()
            self._remove_left_over()
        return deaths

    def restart(self, stage: str) -> list[Replica]:
        """Have all replicas of a stage end and start anew; return those that are to be told to stop."""
        told = [replica for replica in self.stages[stage] if replica.life in {Life.STARTING, Life.READY}]
        for replica in told:
            replica.life = Life.LEAVING
            replica.leaves_by = time.monotonic() + self._settings.grace_s
        return told

    def dismiss(self, stages: set[str]) -> list[Replica]:
        """Have all replicas of some stages end for good; return those that are to be told to stop."""
        told = []
        for replica in (replica for stage in stages for replica in self.stages[stage]):
            if replica.life in ALIVE:
                told.append(replica)
                # One that is still starting has nothing to put in order.
                grace_s = 0.0 if replica.life is Life.STARTING else self._settings.grace_s
                replica.leaves_by = time.monotonic() + grace_s
            if replica.life is not Life.GAVE_UP:
                replica.life = Life.ENDED
        return told

    def see_off(self) -> bool:
        """Look after those that were told to end; return whether all have."""
        with self._riding_out():
            self._see_off_all()
        return all(replica.task is None for replica in self.replicas)

    def remove_all(self) -> list[str]:
        """End and remove everything; return what could not be removed."""
        left = [*self._left_over, *(replica.task for replica in self.replicas if replica.task is not None)]
        deadline = time.monotonic() + _REMOVAL_S
        while True:
            problems = dict(zip(left, remove_tasks(self._launcher, left), strict=True))
            left = [task for task, problem in problems.items() if problem is not None]
            for task in left:
                self._tell(f"{task.name} could not be removed: {problems[task]}")
            if not left or time.monotonic() > deadline:
                return [task.name for task in left]
            time.sleep(_AGAIN_S)

    def _start(self, replica: Replica, deaths: list[Death]) -> None:
        if replica.nodes:
            replica.incarnation += 1
            replica.restarts += 1
        replica.begin_life()
        self._wiring.prepare_process(replica.sender)
        try:
            replica.task = self._launcher.start(self._maker.make(self._setups[replica.stage], replica.sender))
        except Alert as problem:
            replica.nodes.append(
                NodeRecord("", replica.stage, replica.number, time.time(), time.time(), "not started")
            )
            self._has_died(replica, problem, deaths)
            return
        except Transient:
            # It was no attempt: the engine is asked again.
            if replica.nodes:
                replica.incarnation -= 1
                replica.restarts -= 1
            raise
        replica.nodes.append(NodeRecord(replica.task.identifier, replica.stage, replica.number, time.time()))
        replica.life = Life.STARTING
        replica.heard_at = time.monotonic()

    def _watch(self, replica: Replica, deaths: list[Death]) -> None:
        if replica.task is None:
            return
        ended = self._launcher.wait(replica.task, 0.0)
        if ended is None:
            self._read_counters(replica)
            replica.doom = self._must_end(replica)
            if replica.doom is None:
                return
            self._launcher.stop(replica.task)
            ended = self._launcher.wait(replica.task, _REMOVAL_S)
        if not self._may_still_speak(replica):
            self._has_ended(replica, ended, replica.doom, deaths)

    def _see_off_all(self) -> None:
        for replica in self.replicas:
            if replica.task is not None and replica.life is Life.ENDED:
                self._see_off(replica, replica.task)

    def _see_off(self, replica: Replica, task: Task) -> None:
        ended = self._launcher.wait(task, 0.0)
        if ended is None:
            if time.monotonic() < replica.leaves_by:
                return
            replica.doom = f"did not end within {self._settings.grace_s:g} s, and was killed"
            self._launcher.stop(task)
            ended = self._launcher.wait(task, 0.0)
        if self._may_still_speak(replica):
            return
        why = "" if replica.doom is None else f"{replica.name} {replica.doom}."
        if ended is not None:
            replica.peak_memory_bytes = max(replica.peak_memory_bytes, ended.peak_memory_bytes)
            why = why or str(failure_of(task, ended, self._launcher.logs(task)) or "")
        if why:
            replica.failed_at_end = True
            replica.troubles.append(why)
            self._tell(why)
        self._read_counters(replica)
        self._note_end(replica, "exited")
        self._left_over.append(task)
        replica.part(is_known=self._knows_all_counts(replica, ended))

    def _must_end(self, replica: Replica) -> str | None:
        now = time.monotonic()
        if replica.life is Life.LEAVING:
            return "was told to end" if now >= replica.leaves_by else None
        return replica.is_hung(now, self._settings)

    def _has_ended(self, replica: Replica, ended: Ended | None, why: str | None, deaths: list[Death]) -> None:
        task = replica.task
        if task is None:
            return
        self._read_counters(replica)
        logs = self._launcher.logs(task)
        if ended is not None:
            replica.peak_memory_bytes = max(replica.peak_memory_bytes, ended.peak_memory_bytes)
        self._left_over.append(task)
        if replica.life is Life.LEAVING:
            self._note_end(replica, "exited")
            replica.bury(is_known=self._knows_all_counts(replica, ended))
            replica.life, replica.due_at = Life.WAITING, 0.0
            return
        self._note_end(replica, "exited" if ended is None or ended.reason == "exit" else ended.reason)
        replica.bury(is_known=self._knows_all_counts(replica, ended))
        self._has_died(replica, _failure(replica, task, ended, why, logs), deaths)

    def _has_died(self, replica: Replica, failure: Alert | Transient, deaths: list[Death]) -> None:
        replica.deaths += 1
        replica.troubles.append(str(failure))
        if replica.life is Life.FINISHED:
            replica.life = Life.ENDED
        elif replica.deaths > MOST_RESTARTS:
            replica.life = Life.GAVE_UP
        else:
            replica.life = Life.WAITING
            replica.due_at = time.monotonic() + (replica.deaths - 1) * self._settings.restart_delay_s
        deaths.append(Death(replica, failure))

    def _remove_left_over(self) -> None:
        # A container's successor has its name on the network: the old one must be gone first.
        while self._left_over:
            self._launcher.remove(self._left_over[-1])
            self._left_over.pop()

    def _read_counters(self, replica: Replica) -> None:
        file = self._wiring.counters(replica.sender)
        replica.take_counts(None if file is None else Counters.read(file))

    def _tells_counts(self, replica: Replica) -> bool:
        return self._wiring.counters(replica.sender) is None

    def _may_still_speak(self, replica: Replica) -> bool:
        return self._tells_counts(replica) and replica.may_still_speak()

    def _knows_all_counts(self, replica: Replica, ended: Ended | None) -> bool:
        """Return whether a process that has ended can have counted nothing but what is known."""
        if not self._tells_counts(replica) or replica.has_told_all:
            return True
        # A source begins when it is told to, which it is when it is ready.
        never_began = replica.is_source and not replica.has_been_ready
        return never_began or (ended is not None and ended.reason == "exit" and ended.exit_code is None)

    def _note_end(self, replica: Replica, status: str) -> None:
        if replica.nodes and replica.nodes[-1].finished_at is None:
            replica.nodes[-1] = replace(replica.nodes[-1], finished_at=time.time(), status=status)

    @contextmanager
    def _riding_out(self) -> Iterator[None]:
        """Bear that the engine does not answer, for a time."""
        now = time.monotonic()
        try:
            yield
        except Transient as problem:
            if self._engine_lost_at is None:
                self._engine_lost_at = now
                self._tell(f"{problem} It is asked again for {self._settings.engine_patience_s:.0f} s.")
            if now - self._engine_lost_at > self._settings.engine_patience_s:
                raise
        else:
            if self._engine_lost_at is not None:
                self._tell(f"It answers again, after {now - self._engine_lost_at:.0f} s.")
                self._engine_lost_at = None


def _failure(replica: Replica, task: Task, ended: Ended | None, why: str | None, logs: str) -> Alert | Transient:
    """Return why a process has ended that was not told to."""
    if why is not None or ended is None:
        return Alert(f"{replica.name} {why or 'could not be ended'}.", f"See what it was doing.{shown_end(logs)}")
    failure = failure_of(task, ended, logs)
    if failure is None:
        return Alert(f"{replica.name} has ended by itself.", f"An operator must not exit.{shown_end(logs)}")
    return failure
