from __future__ import annotations

from runstart.pipelines import Link
from runstart.sessions.draining import Drain, Phase, StageView
from runstart.sessions.ledger import Flow

LINKS = (Link("a", "out", "b", "in"), Link("b", "out", "c", "in"))
NOTHING = Flow(0, 0, 0, 0, 0)
DONE = Flow(5, 5, 4, 1, 4)
MISSING = Flow(5, 4, 4, 0, 4)


def drain() -> Drain:
    return Drain(["a", "b", "c"], LINKS, still_s=2.0, stalled_s=60.0)


def views(**changes: StageView) -> dict[str, StageView]:
    plain = {"a": StageView(NOTHING), "b": StageView(NOTHING), "c": StageView(NOTHING)}
    return {**plain, **changes}


def test_nothing_ends_while_its_source_goes_on() -> None:
    one = drain()

    assert one.step(views(b=StageView(DONE)), 0.0) == []
    assert not one.has_begun


def test_stages_end_one_after_the_other_each_told_once() -> None:
    one = drain()
    ended = StageView(NOTHING, has_finished=True)

    assert one.step(views(a=ended, b=StageView(DONE)), 0.0) == ["b"]
    assert one.step(views(a=ended, b=StageView(DONE)), 0.1) == []
    told = one.step(views(a=ended, b=StageView(DONE, has_finished=True), c=StageView(DONE)), 0.2)
    assert told == ["c"]
    assert not one.is_over
    one.step(views(a=ended, b=ended, c=StageView(DONE, has_finished=True)), 0.3)
    assert one.is_over


def test_stage_with_messages_on_their_way_is_waited_for() -> None:
    one = drain()
    ended = StageView(NOTHING, has_finished=True)

    assert one.step(views(a=ended, b=StageView(MISSING)), 0.0) == []
    assert one.step(views(a=ended, b=StageView(MISSING)), 50.0) == []
    assert one.step(views(a=ended, b=StageView(DONE)), 50.1) == ["b"]


def test_what_stands_still_after_a_death_is_lost_after_two_seconds() -> None:
    for died in ("a", "b"):
        one = drain()
        now = {
            "a": StageView(NOTHING, has_finished=True, has_died=died == "a"),
            "b": StageView(MISSING, has_died=died == "b"),
        }

        assert one.step(views(**now), 0.0) == []
        assert one.step(views(**now), 1.9) == []
        assert one.step(views(**now), 2.0) == ["b"]


def test_standing_still_begins_anew_with_each_change_and_only_when_nobody_works() -> None:
    one = drain()
    ended = StageView(NOTHING, has_finished=True, has_died=True)
    busy, idle = StageView(MISSING, is_idle=False), StageView(MISSING)
    further = StageView(Flow(6, 5, 5, 0, 5))

    one.step(views(a=ended, b=busy), 0.0)
    assert one.step(views(a=ended, b=busy), 10.0) == []
    assert one.step(views(a=ended, b=idle), 11.5) == []
    assert one.step(views(a=ended, b=further), 12.5) == []
    assert one.step(views(a=ended, b=further), 14.0) == []
    assert one.step(views(a=ended, b=further), 14.5) == ["b"]


def test_without_a_death_a_stall_is_given_up_only_after_a_minute() -> None:
    one = drain()
    now = views(a=StageView(NOTHING, has_finished=True), b=StageView(MISSING))

    assert one.step(now, 0.0) == []
    assert one.step(now, 59.0) == []
    assert one.step(now, 60.0) == ["b"]


def test_source_that_may_finish_is_told_and_then_waited_for() -> None:
    one = drain()

    assert one.step(views(a=StageView(NOTHING, may_finish=True)), 0.0) == ["a"]
    assert one.phases["a"] is Phase.FINISHING
    one.step(views(a=StageView(NOTHING, may_finish=True, has_finished=True)), 0.1)
    assert one.phases["a"] is Phase.ENDED


def test_abandoned_stage_ends_at_once_and_those_behind_it_drain() -> None:
    one = drain()
    gone = StageView(MISSING, is_abandoned=True, has_died=True)

    told = one.step(views(a=gone, b=gone, c=StageView(DONE)), 0.0)

    assert told == ["c"]
    assert one.above("c") == {"a", "b"}
    assert one.above("a") == set()


def test_stage_behind_one_that_may_have_sent_more_than_is_known_is_waited_for_though_its_counts_agree() -> None:
    one = drain()
    now = {"a": StageView(NOTHING, has_finished=True, has_died=True, has_unsaid=True), "b": StageView(DONE)}

    assert one.step(views(**now), 0.0) == []
    assert one.step(views(**now), 1.9) == []
    assert one.step(views(**now), 2.0) == ["b"]
