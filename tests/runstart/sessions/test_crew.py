"""What is known of the counts of processes that share no file with their session, when they end in one way or another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from probe_kit import ListedEngine
from session_kit import WORK, House, line

from runstart.errors import Alert
from runstart.launchers import Ended, LaunchSpec, Task
from runstart.launchers.failures import Unschedulable
from runstart.operators.counters import CounterValues
from runstart.sessions import replicas
from runstart.sessions.accounting import account_of
from runstart.sessions.crew import Crew
from runstart.sessions.doors import NetworkDoor
from runstart.sessions.outcome import OperatorTotals
from runstart.sessions.replicas import Life, Replica
from runstart.sessions.tasks import TaskMaker, set_up
from runstart.sessions.wiring import PodWiring, links_in_order

KILLED = Ended("exit", -9, 1.0)
NO_PLACE = Ended("exit", None, 0.0, failure=Unschedulable("work", "Insufficient memory"))
HAS_WORKED = CounterValues(received=5, finished=5, emitted=5, sent=(5,))
HAS_MADE = CounterValues(finished=5, emitted=5, sent=(5,))


class Pods(ListedEngine):
    """Tasks that end when a test says so, or when they are stopped."""

    shares_machine = False

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[str, Ended] = {}
        self.reasons: dict[str, str] = {}

    def start(self, spec: LaunchSpec) -> Task:
        return Task(f"{spec.name}-{len(self.ends)}", spec.name)

    def wait(self, task: Task, timeout_s: float | None = None) -> Ended | None:
        return self.ends.get(task.identifier)

    def stop(self, task: Task, grace_s: float = 0.0) -> None:
        self.ends[task.identifier] = KILLED

    def logs(self, task: Task) -> str:
        return ""

    def waits_for(self, task: Task) -> str:
        return self.reasons.get(task.name, "")


class Team:
    """A source, a worker and a sink on pods."""

    def __init__(self, house: House, triggers: Sequence[str] = ()) -> None:
        self.pods = Pods()
        work = house.stage("work", WORK, inputs=["in"], outputs=["out"], triggers=triggers)
        self.stages = (house.source(1), work, house.sink())
        self.plan = line(*self.stages)
        setups = set_up(self.plan, house.settings)
        wiring = PodWiring(self.plan, NetworkDoor("10.1.2.3"))
        maker = TaskMaker(
            house.session_id,
            "0" * 16,
            wiring,
            house.settings,
            runs_images=True,
            shares_machine=False,
            network="net",
        )
        told = house.reporter.log
        self.crew = Crew(setups, {"source"}, self.pods, wiring, maker, house.settings, told)
        self.crew.look()
        self.source, self.work, self.sink = self.crew.replicas

    def begin(self) -> None:
        for one, counts in ((self.source, HAS_MADE), (self.work, HAS_WORKED), (self.sink, HAS_WORKED)):
            one.become_ready(keeps_state=False)
            tell(one, "status", counts)

    def end(self, replica: Replica, ended: Ended) -> None:
        """End a process, and have the session see that it says nothing more."""
        assert replica.task is not None
        self.pods.ends[replica.task.identifier] = ended
        replica.gone_at = time.monotonic() - 60
        self.crew.look()

    def account(self) -> dict[str, OperatorTotals]:
        counts = self.crew.counts()
        stages = {stage.name: stage for stage in self.stages}
        return account_of(stages, links_in_order(self.plan), self.crew.stages, counts)


def tell(replica: Replica, kind: str, counts: CounterValues) -> None:
    replica.hear_counts(kind, {"counters": {**asdict(counts), "sent": list(counts.sent)}})


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(House(tmp_path))


def bounds(account: dict[str, OperatorTotals]) -> list[str]:
    return [totals.bound for totals in account.values()]


def test_one_that_is_killed_as_it_does_not_end_is_heard_to_its_last_word(team: Team) -> None:
    team.begin()
    team.crew.dismiss({"work"})
    team.work.leaves_by = 0.0
    assert not team.crew.see_off()

    # It was asked to go first, and has answered while it was waited for.
    tell(team.work, "ended", CounterValues(received=5, finished=5, emitted=5, sent=(5,), kernel_ns=7))
    team.work.hear_end()
    team.crew.see_off()

    assert (team.work.task, team.work.unsaid, team.work.past.kernel_ns) == (None, 0, 7)
    assert team.work.failed_at_end
    assert team.work.troubles == ["work (replica 0) did not end within 2 s, and was killed."]


def test_one_whose_last_word_does_not_come_is_waited_for_only_a_while(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.begin()
    team.crew.dismiss({"work"})
    team.work.leaves_by = 0.0
    assert not team.crew.see_off()
    monkeypatch.setattr(replicas, "_LAST_WORDS_S", 0.0)
    team.crew.see_off()

    assert (team.work.task, team.work.unsaid) == (None, 1)


def test_pod_that_has_never_begun_has_left_nothing_untold(team: Team) -> None:
    team.end(team.work, NO_PLACE)

    assert (team.work.life, team.work.deaths, team.work.unsaid) == (Life.WAITING, 1, 0)


@pytest.mark.parametrize("is_ready", [True, False])
def test_source_may_have_sent_what_it_has_not_told_only_if_it_had_been_ready(team: Team, is_ready: bool) -> None:
    if is_ready:
        team.source.become_ready(keeps_state=False)
    team.end(team.source, KILLED)

    assert team.source.unsaid == int(is_ready)


def test_killed_one_that_had_done_all_is_known_to_have_lost_nothing(team: Team) -> None:
    team.begin()
    team.end(team.work, KILLED)

    assert team.work.unsaid == 1
    assert bounds(team.account()) == ["exactly"] * 3


def test_killed_one_that_was_told_to_finish_may_have_sent_what_it_held(team: Team) -> None:
    team.begin()
    team.work.is_finishing = True
    team.end(team.work, KILLED)
    account = team.account()

    assert bounds(account) == ["exactly", "at most", "at least"]
    assert (account["work"].lost, account["work"].unsaid) == (0, 1)


def test_killed_one_that_has_triggers_may_have_sent_for_one_of_them(tmp_path: Path) -> None:
    team = Team(House(tmp_path), triggers=["ask"])
    team.begin()
    team.end(team.work, KILLED)

    assert bounds(team.account()) == ["exactly", "at most", "at least"]


def test_successor_is_not_finishing_until_it_is_told_again(team: Team) -> None:
    team.begin()
    team.work.is_finishing = True
    team.end(team.work, KILLED)
    team.work.due_at = 0.0
    team.crew.look()

    assert (team.work.life, team.work.is_finishing, team.work.has_been_ready) == (Life.STARTING, False, False)


def test_first_that_waits_for_its_place_is_named_until_it_has_begun(team: Team) -> None:
    assert team.crew.why_waiting() == ""
    team.pods.reasons["work"] = "no node has a place for it"
    assert team.crew.why_waiting() == "work (replica 0) waits: no node has a place for it"
    team.begin()
    assert team.crew.why_waiting() == ""


def test_what_cannot_be_started_has_left_nothing_untold(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(spec: LaunchSpec) -> Task:
        raise Alert(f"{spec.name} is forbidden.")

    team.begin()
    team.end(team.work, KILLED)
    monkeypatch.setattr(team.pods, "start", refuse)
    team.work.due_at = 0.0
    team.crew.look()

    assert (team.work.deaths, team.work.unsaid) == (2, 1)
