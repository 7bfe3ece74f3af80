from __future__ import annotations

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from runstart.pipelines import Link
from runstart.sessions.ledger import Counts, Flow, add_up, bounds_of, flows_of, sent_on

COPY = (Link("source", "out", "work", "in"), Link("source", "out", "show", "in"), Link("work", "out", "show", "in"))

LINE = (Link("source", "out", "work", "in"), Link("work", "out", "show", "in"))


def test_what_was_sent_and_never_received_is_in_the_queue_and_what_was_received_and_not_finished_inside() -> None:
    counts = {
        "source": Counts(emitted=9, sent=(9, 7)),
        "work": Counts(received=6, finished=3, failed=1, emitted=3, sent=(3,)),
        "show": Counts(received=10, finished=10),
    }

    flows = flows_of(COPY, counts)

    assert (flows["work"].sent_in, flows["work"].queue, flows["work"].inside) == (9, 3, 2)
    assert flows["show"].sent_in == 10
    assert flows["show"].is_settled
    assert not flows["work"].is_settled


def test_each_link_has_the_counts_of_its_place_among_the_links_of_its_source() -> None:
    counts = {
        "source": Counts(sent=(5, 6), sent_bytes=(50, 60)),
        "work": Counts(sent=(7,), sent_bytes=(70,)),
        "show": Counts(),
    }

    assert [(sent, size) for _, sent, size in sent_on(COPY, counts)] == [(5, 50), (6, 60), (7, 70)]


def test_counts_of_unequal_length_are_added_place_by_place() -> None:
    together = add_up([Counts(received=1, sent=(1,)), Counts(), Counts(received=2, sent=(1, 4), sent_bytes=(2, 3))])

    assert together == Counts(received=3, sent=(2, 4), sent_bytes=(2, 3))


SETTLED, OPEN = Flow(5, 5, 5, 0, 5), Flow(5, 4, 3, 0, 3)
NONE: set[str] = set()


def test_losses_are_known_exactly_while_everybody_has_told_the_last_counts() -> None:
    flows = {"source": Flow(0, 0, 5, 0, 5), "work": OPEN, "show": OPEN}

    assert set(bounds_of(LINE, flows, NONE, NONE).values()) == {"exactly"}


def test_process_that_could_not_tell_its_last_counts_makes_losses_upper_bounds_and_those_behind_it_lower_ones() -> (
    None
):
    flows = {"source": Flow(0, 0, 5, 0, 5), "work": OPEN, "show": SETTLED}

    assert bounds_of(LINE, flows, {"work"}, NONE) == {
        "source": "exactly",
        "work": "at most",
        "show": "at least",
    }
    assert bounds_of(LINE, flows, {"work", "show"}, NONE)["show"] == "about"


def test_process_whose_messages_were_all_done_had_told_its_last_counts() -> None:
    flows = {"source": Flow(0, 0, 5, 0, 5), "work": SETTLED, "show": OPEN}

    assert set(bounds_of(LINE, flows, {"work"}, {"show"}).values()) == {"exactly"}


def test_process_that_may_have_sent_unasked_had_perhaps_sent_more_though_its_messages_were_all_done() -> None:
    flows = {"source": Flow(0, 0, 5, 0, 5), "work": SETTLED, "show": SETTLED}

    found = bounds_of(LINE, flows, {"work"}, {"work"})

    assert found == {"source": "exactly", "work": "at most", "show": "at least"}


def test_source_that_could_not_tell_its_last_counts_has_made_at_least_those_it_told() -> None:
    flows = {"source": Flow(0, 0, 5, 0, 5), "work": SETTLED, "show": SETTLED}

    found = bounds_of(LINE, flows, {"source", "work"}, NONE)

    assert found == {"source": "at least", "work": "about", "show": "at least"}


class _Line:
    """A source, a worker and a sink with a queue before each, where the worker may be killed at any step."""

    def __init__(self) -> None:
        self.queues: dict[str, deque[int]] = {"work": deque(), "show": deque()}
        self.lives = [Counts()]
        self.counts = {"source": Counts(sent=(0,)), "show": Counts()}
        self.at_work = False
        self.fate: Counter[str] = Counter()

    def step(self, action: str) -> None:
        getattr(self, f"_{action}")()

    def totals(self) -> dict[str, Counts]:
        return {**self.counts, "work": add_up(self.lives)}

    def drain(self) -> None:
        while self.at_work or self.queues["work"] or self.queues["show"]:
            for action in ("finish", "receive", "show"):
                self.step(action)

    def _send(self) -> None:
        self.counts["source"] += Counts(emitted=1, sent=(1,))
        self.queues["work"].append(1)

    def _receive(self) -> None:
        if self.queues["work"] and not self.at_work:
            self.queues["work"].popleft()
            self.at_work = True
            self.lives[-1] += Counts(received=1)

    def _finish(self) -> None:
        if self.at_work:
            self.at_work = False
            self.lives[-1] += Counts(finished=1, emitted=1, sent=(1,))
            self.queues["show"].append(1)

    def _fail(self) -> None:
        if self.at_work:
            self.at_work = False
            self.lives[-1] += Counts(failed=1)
            self.fate["failed"] += 1

    def _show(self) -> None:
        if self.queues["show"]:
            self.queues["show"].popleft()
            self.counts["show"] += Counts(received=1, finished=1)
            self.fate["shown"] += 1

    def _kill(self) -> None:
        self.fate["lost inside"] += self.at_work
        self.fate["lost before work"] += len(self.queues["work"])
        self.fate["lost before show"] += len(self.queues["show"])
        self.queues["work"].clear()
        self.queues["show"].clear()
        self.at_work = False
        self.lives.append(Counts())


@given(st.lists(st.sampled_from(["send", "send", "receive", "finish", "fail", "show", "kill"]), max_size=200))
def test_every_message_is_shown_failed_or_lost_and_counted_as_what_it_is(actions: list[str]) -> None:
    line = _Line()
    for action in actions:
        line.step(action)
    line.drain()

    flows = flows_of(LINE, line.totals())

    assert flows["work"].queue == line.fate["lost before work"]
    assert flows["work"].inside == line.fate["lost inside"]
    assert flows["work"].failed == line.fate["failed"]
    assert flows["show"].queue == line.fate["lost before show"]
    assert flows["show"].finished == line.fate["shown"]
    assert flows["work"].sent_in == sum(line.fate.values())
    was_lost = any(number for fate, number in line.fate.items() if fate.startswith("lost"))
    assert all(flow.is_settled for flow in flows.values()) != was_lost
