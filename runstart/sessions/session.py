"""A session from its first process to its last: started, begun when all are ready, watched, drained, and accounted for.

One thread does all of it, in turns of a twentieth of a second: hear the operators, look after their processes, obey
commands, see who has had everything, and show how it stands. Nothing in a turn waits for a store or an operator.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert, Transient
from runstart.launchers.failures import shown_end
from runstart.sessions.accounting import account_of
from runstart.sessions.commands import CommandDesk
from runstart.sessions.draining import Drain, Phase, StageView
from runstart.sessions.gathering import Gathering
from runstart.sessions.ledger import Counts, flows_of
from runstart.sessions.mailbox import encode_reply, reply_key
from runstart.sessions.order import MOST_RESTARTS
from runstart.sessions.outcome import SessionOutcome
from runstart.sessions.replicas import ALIVE, Life, Replica
from runstart.sessions.tracking import Latencies
from runstart.sessions.triggers import Triggers
from runstart.sessions.wiring import links_in_order

if TYPE_CHECKING:
    from runstart.launchers import Launcher
    from runstart.sessions.control_hub import ControlHub, Said
    from runstart.sessions.crew import Crew, Death
    from runstart.sessions.display import Display
    from runstart.sessions.doors import Sender
    from runstart.sessions.keeping import Keeper
    from runstart.sessions.mailbox import Mailbox
    from runstart.sessions.order import SessionOrder, SessionSettings
    from runstart.sessions.status import SessionReporter
    from runstart.sessions.tasks import StageSetup

_TURN_S = 0.05
_LOOK_S = 0.1
_REASON_S = 1.0
_LONGEST_STATE, _LONGEST_ERROR = 40, 2_000  # of what operators say of themselves; each status repeats it


class Session:
    """A session that runs.

    Parameters
    ----------
    order : SessionOrder
        What is run.
    display : Display
        Shows how it stands.
    setups : mapping of str to StageSetup
        The stages of the plan.
    crew : Crew
        Their processes.
    hub : ControlHub
        What they say.
    launcher : Launcher
        Has their logs.
    settings : SessionSettings
        How sessions run here.
    keeper : Keeper
        Writes what is shown and kept.
    mailbox : Mailbox
        Commands.
    reporter : SessionReporter
        Is told.
    stop : callable
        Whether the session is to end.
    """

    def __init__(
        self,
        order: SessionOrder,
        display: Display,
        setups: Mapping[str, StageSetup],
        crew: Crew,
        hub: ControlHub,
        launcher: Launcher,
        settings: SessionSettings,
        keeper: Keeper,
        mailbox: Mailbox,
        reporter: SessionReporter,
        stop: Callable[[], bool],
    ) -> None:
        self._order, self._setups, self._settings = order, setups, settings
        self._crew, self._hub, self._launcher = crew, hub, launcher
        self._keeper, self._mailbox, self._reporter, self._stop = keeper, mailbox, reporter, stop
        plan = order.plan
        self._links = links_in_order(plan)
        self._drain = Drain(list(setups), self._links, settings.still_s, settings.stalled_s)
        self._triggers = Triggers(order.triggers, hub.send, reporter.log)
        self._gathering = Gathering(order.session_id, keeper, reporter)
        self._latencies = Latencies()
        self._display = display
        self._desk = CommandDesk(
            plan, setups, crew, hub, self._triggers, self._drain, settings, self._answer, self._ask_to_stop
        )
        self._began_at = time.monotonic()
        self._next_turn = self._next_look = 0.0
        self._next_reason = self._began_at + _REASON_S
        self._told_garbage = 0
        self._has_begun = self._is_stopped = self._ends_now = False
        self._abandoned: set[str] = set()

    def run(self) -> SessionOutcome:
        """Run it to its end, and return what became of every message.

        Raises
        ------
        Alert, Transient
            Something could not be started; see `runstart.launchers.failures`.
        """
        self._display.set_state("starting")
        self._make_ready()
        if not self._ends_now:
            self._begin()
        while not self._drain.is_over and not self._ends_now:
            self._turn()
        self.leave()
        return self._outcome()

    def leave(self, engine_patience_s: float = math.inf) -> None:
        """Tell all processes to end, see them off, and hear their last words; nothing if they are gone.

        After `engine_patience_s` seconds those are left whose engine does not answer.
        """
        deadline = time.monotonic() + engine_patience_s
        for replica in self._crew.dismiss(set(self._crew.stages)):
            self._hub.send(replica.sender, {"kind": "stop"})
        while not self._crew.see_off() and not (self._crew.waits_for_engine and time.monotonic() > deadline):
            for said in self._hub.receive(_TURN_S):
                self._hear(said)
        for said in self._hub.receive(_TURN_S):
            self._hear(said)
        for replica in self._crew.replicas:
            self._triggers.lost(replica.sender)

    def _make_ready(self) -> None:
        """Start everything, in order, and wait until all are ready."""
        deadline = time.monotonic() + self._settings.ready_s
        while not self._ends_now and any(replica.life is not Life.READY for replica in self._crew.replicas):
            self._turn()
            if time.monotonic() > deadline and not self._crew.waits_for_engine:
                raise self._not_ready()

    def _tell_garbage(self) -> None:
        # A flood of it is told a few times only.
        if self._hub.garbage > 2 * self._told_garbage:
            self._told_garbage = self._hub.garbage
            self._reporter.log(f"Not understood, or from strangers, and left out: {self._told_garbage} so far.")

    def _begin(self) -> None:
        """Let the sources begin: whoever is to hear them is there."""
        self._has_begun = True
        self._display.set_state("running")
        for replica in self._crew.replicas:
            self._hub.send(replica.sender, {"kind": "start"})

    def _turn(self) -> None:
        for said in self._hub.receive(_TURN_S):
            self._hear(said)
        now = time.monotonic()
        if now < self._next_turn:
            return
        self._next_turn = now + _TURN_S
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            for death in self._crew.look():
                self._mourn(death)
        if self._stop() and not self._is_stopped:
            self._ask_to_stop(False)
        for command in self._mailbox.take():
            self._desk.obey(command)
        counts = self._crew.counts()
        if self._has_begun:
            self._triggers.pull_next(self._ready_ones)
            self._go_on_draining(counts, now)
        if now >= self._next_reason:
            self._next_reason = now + _REASON_S
            self._display.explain(self._crew.why_waiting())
        self._tell_garbage()
        self._display.show(self._crew.stages, counts, self._drain.phases, self._latencies.as_dict())
        for trouble in (*self._keeper.troubles(), *self._mailbox.troubles()):
            self._reporter.log(f"The store: {trouble}")

    def _hear(self, said: Said) -> None:
        match said.kind:
            case "dead_letter":
                self._gathering.dead_letter(said)
            case "publish":
                self._gathering.published(said)
            case "tracking":
                self._latencies.take(said.content.get("entries"))
            case "trigger_done":
                self._triggers.heard(said.sender, said.content)
        sender = said.sender
        replica = self._crew.find(sender.operator, sender.replica, sender.incarnation)
        # What one has said that has died since says nothing about its successor.
        if replica is not None:
            replica.hear_counts(said.kind, said.content)
        if said.kind == "ended":
            if replica is not None:
                replica.hear_end()
            # Only now it goes: what it has counted is known.
            self._hub.send(sender, {"kind": "heard"})
        if replica is not None and replica.life in ALIVE:
            replica.heard_at = time.monotonic()
            self._hear_of(replica, said.kind, said.content)

    def _hear_of(self, replica: Replica, kind: str, content: Mapping[str, Any]) -> None:
        match kind:
            case "ready" if replica.life is Life.STARTING:
                replica.become_ready(keeps_state=bool(content.get("keeps_state")))
                self._welcome(replica)
            case "status":
                replica.says = str(content.get("state") or "")[:_LONGEST_STATE]
                error = content.get("error")
                replica.error = None if error is None else str(error)[:_LONGEST_ERROR]
            case "finished" if replica.life is Life.READY:
                replica.life = Life.FINISHED
            case "failed":
                replica.error = str(content.get("error"))[:_LONGEST_ERROR]
            case "unresolved":
                self._take_unresolved(replica, str(content.get("host"))[:_LONGEST_ERROR])

    def _welcome(self, replica: Replica) -> None:
        """Tell a process that was started again where the session is."""
        if not self._has_begun:
            return
        self._reporter.log(f"{replica.name} is ready again.")
        self._desk.tell_again(replica)
        self._hub.send(replica.sender, {"kind": "start"})
        if self._drain.phases[replica.stage] is Phase.FINISHING:
            self._tell_to_finish(replica)

    def _tell_to_finish(self, replica: Replica) -> None:
        replica.is_finishing = True
        self._hub.send(replica.sender, {"kind": "finish"})

    def _take_unresolved(self, replica: Replica, host: str) -> None:
        replica.error = f"The host name {host!r} does not resolve"
        if not self._has_begun:
            raise Alert(
                f"{replica.name} waits for messages from {host!r}, and this host name does not resolve.",
                "See whether the operator before it runs, and the network's name service." + self._printed(replica),
            )

    def _mourn(self, death: Death) -> None:
        replica = death.replica
        self._triggers.lost(replica.sender)
        if not self._has_begun:
            raise death.failure
        if replica.life is Life.WAITING:
            what = f"It is started again ({replica.deaths} of {MOST_RESTARTS} times)."
        else:
            what = "It had finished." if replica.life is Life.ENDED else "It is not started again any more."
        self._reporter.log(f"{replica.name} has died: {death.failure}\n{what}")
        lives = {other.life for other in self._crew.stages[replica.stage]}
        if Life.GAVE_UP in lives and lives <= {Life.GAVE_UP, Life.ENDED}:
            self._abandon(replica.stage)

    def _abandon(self, stage: str) -> None:
        """Give up an operator, and with it those whose messages it would have to take."""
        stages = {stage} | self._drain.above(stage)
        self._reporter.log(
            f"{stage} has given up: what is behind it gets what is on its way, and the session ends."
        )
        self._abandoned |= stages
        self._triggers.abandon(stages)
        for replica in self._crew.dismiss(stages):
            self._hub.send(replica.sender, {"kind": "stop"})
            self._triggers.lost(replica.sender)

    def _go_on_draining(self, counts: Mapping[str, Counts], now: float) -> None:
        flows = flows_of(self._links, counts)
        views = {}
        for stage, replicas in self._crew.stages.items():
            is_abandoned = stage in self._abandoned
            views[stage] = StageView(
                flow=flows[stage],
                is_idle=not self._triggers.are_left_for(stage)
                and all(replica.is_idle or replica.life in {Life.ENDED, Life.GAVE_UP} for replica in replicas),
                has_finished=all(replica.life in {Life.FINISHED, Life.ENDED, Life.GAVE_UP} for replica in replicas),
                has_died=is_abandoned or any(replica.has_died for replica in replicas),
                may_finish=self._may_finish(stage),
                is_abandoned=is_abandoned and all(replica.task is None for replica in replicas),
                has_unsaid=any(replica.unsaid for replica in replicas),
            )
        if self._order.keep_running and not self._is_stopped and not self._abandoned:
            return
        for stage in self._drain.step(views, now):
            for replica in self._crew.stages[stage]:
                self._tell_to_finish(replica)
        if self._drain.has_begun and self._display.record.state == "running":
            self._display.set_state("draining")

    def _may_finish(self, stage: str) -> bool:
        """Return whether a source that does not end by itself is to finish."""
        has_triggers = any(ordered == stage for ordered, _ in self._order.triggers)
        return self._is_stopped or bool(self._abandoned) or (has_triggers and self._triggers.are_done)

    def _ready_ones(self, stage: str) -> list[Sender]:
        replicas = self._crew.stages[stage]
        if any(replica.life in {Life.WAITING, Life.STARTING, Life.LEAVING} for replica in replicas):
            return []
        return [replica.sender for replica in replicas if replica.life is Life.READY]

    def _ask_to_stop(self, now: bool) -> None:
        self._is_stopped = True
        self._ends_now = self._ends_now or now or not self._has_begun
        self._reporter.log("The session ends, as it was told" + (" at once." if self._ends_now else "."))

    def _answer(self, number: str, status: str, message: str) -> None:
        self._reporter.log(f"Command: {message}")
        self._keeper.put(reply_key(self._order.session_id, number), encode_reply(status, message))

    def _outcome(self) -> SessionOutcome:
        now = time.monotonic()
        counts = self._crew.counts()
        stages = {name: setup.stage for name, setup in self._setups.items()}
        outcome = SessionOutcome(
            session_id=self._order.session_id,
            state="stopped" if self._is_stopped else "finished",
            seconds=now - self._began_at,
            operators=account_of(stages, self._links, self._crew.stages, counts),
            triggers=tuple(self._triggers.errors),
            latency_ms=self._latencies.as_dict(),
        )
        if outcome.troubles() and not self._ends_now:
            outcome = replace(outcome, state="failed")
        self._display.set_state(outcome.state)
        self._display.show(self._crew.stages, counts, self._drain.phases, self._latencies.as_dict(), is_last=True)
        return outcome

    def _not_ready(self) -> Alert:
        late = [replica for replica in self._crew.replicas if replica.life is not Life.READY]
        names = ", ".join(replica.name for replica in late)
        return Alert(
            f"{names}: not ready within {self._settings.ready_s:g} s.",
            "See what it waits for when it starts." + self._printed(late[0]),
        )

    def _printed(self, replica: Replica) -> str:
        try:
            return "" if replica.task is None else shown_end(self._launcher.logs(replica.task))
        except Transient:
            return ""
