from __future__ import annotations

from runstart.pipelines import Link
from runstart.sessions.draining import Phase
from runstart.sessions.ledger import Counts
from runstart.sessions.replicas import Life, Replica, state_of
from runstart.sessions.showing import Meter

LINK = Link("a", "out", "b", "in")
RUNNING = {"a": Phase.RUNNING, "b": Phase.RUNNING}


def ready(stage: str, says: str = "") -> Replica:
    return Replica(stage, 0, is_source=stage == "a", life=Life.READY, says=says)


def test_rates_are_those_since_the_last_look_and_totals_those_since_the_start() -> None:
    meter = Meter((LINK,))
    stages = {"a": [ready("a")], "b": [ready("b")]}
    first = {"a": Counts(sent=(100,), sent_bytes=(1000,)), "b": Counts(received=90, received_bytes=900)}
    second = {"a": Counts(sent=(300,), sent_bytes=(3000,)), "b": Counts(received=270, received_bytes=2700)}

    _, rates = meter.measure(stages, first, RUNNING, 10.0)
    assert rates[LINK].messages_per_s == 0.0
    operators, rates = meter.measure(stages, second, RUNNING, 12.0)

    assert (rates[LINK].messages_per_s, rates[LINK].bytes_per_s, rates[LINK].messages) == (100.0, 1000.0, 300)
    assert rates[LINK].queue == 30
    assert (operators[0].messages_per_s, operators[1].messages_per_s) == (100.0, 90.0)
    assert operators[1].queue == 30


def test_mean_time_on_a_message_counts_failed_ones_too() -> None:
    counts = {"a": Counts(), "b": Counts(received=4, finished=3, failed=1, kernel_ns=8_000_000)}
    operators, _ = Meter((LINK,)).measure({"a": [ready("a")], "b": [ready("b")]}, counts, RUNNING, 0.0)

    assert operators[1].kernel_ms == 2.0
    assert operators[1].dead_letters == 1


def test_state_that_matters_most_is_shown() -> None:
    starting = Replica("b", 1, is_source=False, life=Life.STARTING)
    again = Replica("b", 2, is_source=False, life=Life.STARTING, incarnation=1)
    gone = Replica("b", 3, is_source=False, life=Life.GAVE_UP)

    assert state_of([ready("b", "busy"), ready("b", "idle")]) == "busy"
    assert state_of([ready("b", "busy"), ready("b", "waiting to send")]) == "waiting to send"
    assert state_of([ready("b", "busy"), starting]) == "starting"
    assert state_of([ready("b", "busy"), starting, again]) == "restarting"
    assert state_of([ready("b"), gone]) == "given up"
    assert state_of([Replica("b", 0, is_source=False, life=Life.FINISHED)]) == "ended"


def test_stage_that_has_ended_is_shown_so_unless_it_gave_up() -> None:
    counts = {"a": Counts(), "b": Counts()}
    ended = {"a": Phase.ENDED, "b": Phase.ENDED}
    stages = {"a": [ready("a", "idle")], "b": [Replica("b", 0, is_source=False, life=Life.GAVE_UP)]}

    operators, _ = Meter((LINK,)).measure(stages, counts, ended, 0.0)

    assert [operator.state for operator in operators] == ["ended", "given up"]
