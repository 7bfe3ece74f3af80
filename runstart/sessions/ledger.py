"""What became of the messages between operators: counts of all replicas, dead ones included, that must add up.

An operator counts in a file that outlives it, so that nothing is lost without being counted: what was sent to an
operator and never received is lost on its way, and what it received and neither finished nor failed is lost inside. A pod
has no such file, and what it counted in the moment before it was killed is not known: it counts as not done, so that
of the messages to it too many rather than too few are told as lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runstart.pipelines import Link
    from runstart.sessions.outcome import Bound


@dataclass(frozen=True)
class Counts:
    """What one process of an operator, or several together, have counted.

    Attributes
    ----------
    received, received_bytes : int
        Messages taken from all inputs.
    finished, failed : int
        Messages worked on, with success and without.
    emitted : int
        Messages made.
    kernel_ns : int
        Time in the operator's function, in nanoseconds.
    sent, sent_bytes : tuple of int
        Messages handed to each link out of it, in the order of the stage's links.
    """

    received: int = 0
    received_bytes: int = 0
    finished: int = 0
    failed: int = 0
    emitted: int = 0
    kernel_ns: int = 0
    sent: tuple[int, ...] = ()
    sent_bytes: tuple[int, ...] = ()

    def __add__(self, other: Counts) -> Counts:
        """Return both together."""
        return Counts(
            self.received + other.received,
            self.received_bytes + other.received_bytes,
            self.finished + other.finished,
            self.failed + other.failed,
            self.emitted + other.emitted,
            self.kernel_ns + other.kernel_ns,
            _add(self.sent, other.sent),
            _add(self.sent_bytes, other.sent_bytes),
        )


@dataclass(frozen=True)
class Flow:
    """What became of the messages of one stage.

    Attributes
    ----------
    sent_in : int
        Handed to the links into it.
    received, finished, failed, emitted : int
        As in `Counts`.
    """

    sent_in: int
    received: int
    finished: int
    failed: int
    emitted: int

    @property
    def queue(self) -> int:
        """Messages on their way to it, or lost there."""
        return max(0, self.sent_in - self.received)

    @property
    def inside(self) -> int:
        """Messages that it works on, or that were lost inside."""
        return max(0, self.received - self.finished - self.failed)

    @property
    def is_settled(self) -> bool:
        """Whether every message that was sent to it has been worked on."""
        return self.sent_in == self.received == self.finished + self.failed


def add_up(counts: Iterable[Counts]) -> Counts:
    """Return all counts together."""
    return sum(counts, Counts())


def flows_of(links: Sequence[Link], counts: Mapping[str, Counts]) -> dict[str, Flow]:
    """Return what became of the messages of each stage.

    Parameters
    ----------
    links : sequence of Link
        All of the plan; the order of those out of a stage is that of its `Counts.sent`.
    counts : mapping of str to Counts
        Of each stage, all its processes together.

    Returns
    -------
    dict of str to Flow
        By stage.
    """
    sent_in = dict.fromkeys(counts, 0)
    for link, sent, _ in sent_on(links, counts):
        sent_in[link.target] += sent
    return {
        stage: Flow(sent_in[stage], count.received, count.finished, count.failed, count.emitted)
        for stage, count in counts.items()
    }


def bounds_of(
    links: Sequence[Link], flows: Mapping[str, Flow], unsaid: Collection[str], unasked: Collection[str]
) -> dict[str, Bound]:
    """Return in what sense what was lost of the messages to each stage is known.

    Where everything that was sent to a stage was worked on, its processes had told all counts when they ended, unless they
    send unasked. Otherwise what they did last counts as lost: at most so much was. What they had sent last is not known
    then, so that behind them at least so much was lost. Nothing is sent to a source: it has made at least so much.

    Parameters
    ----------
    links : sequence of Link
        All of the plan.
    flows : mapping of str to Flow
        Of each stage, in topological order.
    unsaid : collection of str
        Stages of which processes have ended without telling their last counts.
    unasked : collection of str
        Stages of which such processes may have sent what no message had made them send: for a trigger, or at their end.
    """
    bounds: dict[str, Bound] = {}
    sends_unknown: set[str] = set()
    for stage, flow in flows.items():
        before = {link.source for link in links if link.target == stage}
        is_known = not before & sends_unknown
        shows_all = bool(before) and is_known and flow.is_settled and stage not in unasked
        is_open = stage in unsaid and not shows_all
        if is_open:
            sends_unknown.add(stage)
        if is_open and before:
            bounds[stage] = "at most" if is_known else "about"
        else:
            bounds[stage] = "exactly" if is_known and not is_open else "at least"
    return bounds


def sent_on(links: Sequence[Link], counts: Mapping[str, Counts]) -> list[tuple[Link, int, int]]:
    """Return each link with the messages and bytes that were handed to it."""
    seen: dict[str, int] = {}
    result = []
    for link in links:
        place = seen.get(link.source, 0)
        seen[link.source] = place + 1
        count = counts[link.source]
        result.append((link, _at(count.sent, place), _at(count.sent_bytes, place)))
    return result


def _at(values: tuple[int, ...], place: int) -> int:
    return values[place] if place < len(values) else 0


def _add(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_at(left, place) + _at(right, place) for place in range(max(len(left), len(right))))
