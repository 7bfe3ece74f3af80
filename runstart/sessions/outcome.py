"""How a session has ended: what became of every message, and whether that is a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from runstart.errors import Alert

if TYPE_CHECKING:
    from runstart.sessions.records import State


Bound = Literal["exactly", "at most", "at least", "about"]
"""In what sense a number of lost messages is known."""


@dataclass(frozen=True)
class OperatorTotals:
    """What became of an operator's messages, all its replicas and their predecessors together.

    Attributes
    ----------
    received, finished, failed, emitted : int
        Messages taken, worked on with success and without, and made.
    lost_before, lost_inside : int
        Messages that never reached it, and that it was working on when it died.
    forgotten : int
        Messages whose results a replica held when it died.
    repeated : int
        Messages of a source that has died: it began anew, and may have made them twice.
    unsaid : int
        Processes that ended without telling their last counts, where nothing else says what these were.
    bound : str
        In what sense it is known how many messages were lost: see `runstart.sessions.ledger.bounds_of`.
    dead_letters : int
        Messages that broke it.
    restarts : int
        How often a replica was started again.
    gave_up : int
        Replicas that were not started again any more.
    failed_at_end : int
        Replicas that failed, or hung, when they were told to end.
    peak_memory_bytes : int
        Largest resident memory of a replica that was seen.
    troubles : tuple of str
        Why replicas died, in order.
    """

    received: int = 0
    finished: int = 0
    failed: int = 0
    emitted: int = 0
    lost_before: int = 0
    lost_inside: int = 0
    forgotten: int = 0
    repeated: int = 0
    unsaid: int = 0
    bound: Bound = "exactly"
    dead_letters: int = 0
    restarts: int = 0
    gave_up: int = 0
    failed_at_end: int = 0
    peak_memory_bytes: int = 0
    troubles: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        """Messages that were lost on the way to it or inside."""
        return self.lost_before + self.lost_inside


@dataclass(frozen=True)
class SessionOutcome:
    """How a session has ended.

    Attributes
    ----------
    session_id : str
        Its name.
    state : str
        `finished`, `failed` or `stopped`.
    seconds : float
        From its start to its end, without waiting for room.
    operators : mapping of str to OperatorTotals
        In topological order.
    triggers : tuple of str
        What the ordered triggers answered with an error.
    unwritten : int
        Objects that the store did not take.
    latency_ms : mapping of str to float
        As in the last status.
    """

    session_id: str
    state: State
    seconds: float
    operators: Mapping[str, OperatorTotals]
    triggers: tuple[str, ...] = ()
    unwritten: int = 0
    latency_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Messages that were lost."""
        return sum(totals.lost for totals in self.operators.values())

    @property
    def forgotten(self) -> int:
        """Messages whose results were lost with an operator that held them."""
        return sum(totals.forgotten for totals in self.operators.values())

    @property
    def dead_letters(self) -> int:
        """Messages that broke an operator."""
        return sum(totals.dead_letters for totals in self.operators.values())

    @property
    def restarts(self) -> int:
        """How often an operator was started again."""
        return sum(totals.restarts for totals in self.operators.values())

    def troubles(self) -> list[str]:
        """Return what makes the session a failure, a sentence each; empty for a good one."""
        sentences = [text for name, totals in self.operators.items() for text in _troubles_of(name, totals)]
        return sentences + [f"{text.rstrip('.')}." for text in self.triggers]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return {
            "session_id": self.session_id,
            "state": self.state,
            "seconds": round(self.seconds, 3),
            "operators": {name: asdict(totals) for name, totals in self.operators.items()},
            "triggers": list(self.triggers),
            "unwritten": self.unwritten,
            "latency_ms": dict(self.latency_ms),
        }


class SessionFailed(Alert):
    """A session that has come to its end, but not with everything.

    Parameters
    ----------
    outcome : SessionOutcome
        How it has ended; outputs are kept.
    """

    def __init__(self, outcome: SessionOutcome) -> None:
        what = f"Session {outcome.session_id} has ended, but not well: {' '.join(outcome.troubles())}"
        super().__init__(what, "What was put out is kept; run it again for a complete result.")
        self.outcome = outcome


def _troubles_of(name: str, totals: OperatorTotals) -> list[str]:
    sentences = _losses_of(name, totals)
    if totals.forgotten:
        sentences.append(f"{name} has died and forgotten {_messages(totals.forgotten)}.")
    if totals.repeated or (totals.unsaid and totals.bound == "at least"):
        least = "at least " if totals.unsaid else ""
        sentences.append(
            f"{name} has died after {least}{_messages(totals.repeated)} and begun anew: what follows it may hold them "
            "twice."
        )
    if totals.gave_up:
        sentences.append(f"{name} has died too often: {totals.gave_up} of its replicas gave up.")
    if totals.failed_at_end:
        sentences.append(f"{name} failed when it was told to end.")
    if sentences and totals.troubles:
        sentences.append(f"The last trouble of {name}: {totals.troubles[-1].rstrip('.')}.")
    return sentences


def _losses_of(name: str, totals: OperatorTotals) -> list[str]:
    before, inside = totals.lost_before, totals.lost_inside
    if totals.unsaid and totals.bound != "at least":
        died = "A process" if totals.unsaid == 1 else f"{totals.unsaid} processes"
        lost = f"{totals.bound} {_messages(totals.lost)} to {name} {_were(totals.lost)} lost"
        if not totals.lost:
            lost = "whether what was sent last has arrived is not known"
        return [f"{died} of {name} ended without telling the last counts: {lost}."]
    sentences = []
    least = "" if totals.bound == "exactly" else f"{totals.bound.capitalize()} "
    if before:
        sentences.append(f"{least}{_messages(before)} to {name} {_were(before)} lost on the way.")
    if inside:
        sentences.append(f"{_messages(inside)} {_were(inside)} lost inside {name}.")
    return sentences


def _messages(number: int) -> str:
    return "1 message" if number == 1 else f"{number} messages"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
