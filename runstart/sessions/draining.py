"""Decides when an operator has had all its messages: from the counts alone, never from a guess about time.

Operators end in topological order: when everything before one has ended and every message sent to it has been worked
on, it is told to finish, which makes it emit what it still holds; when it has, it has ended. Only where a process has
died can the counts never agree; then, once they have stood still with nobody at work, what is missing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runstart.sessions.ledger import Flow

if TYPE_CHECKING:
    from runstart.pipelines import Link


class Phase(StrEnum):
    """How far a stage is."""

    RUNNING = "running"
    FINISHING = "finishing"
    ENDED = "ended"


@dataclass(frozen=True)
class StageView:
    """What is known of a stage at an instant.

    Attributes
    ----------
    flow : Flow
        Its counts.
    is_idle : bool
        Whether all its replicas are ready and none is at work.
    has_finished : bool
        Whether all its living replicas say that they have finished.
    has_died : bool
        Whether a process of it has ever ended before its time.
    may_finish : bool
        Of a stage without inputs: whether it is to be told to finish, as its triggers are done or the session stops.
    is_abandoned : bool
        Whether it will never finish, as it or what follows it has given up.
    has_unsaid : bool
        Whether a process of it has ended without telling its last counts: it may have sent more than is known.
    """

    flow: Flow
    is_idle: bool = True
    has_finished: bool = False
    has_died: bool = False
    may_finish: bool = False
    is_abandoned: bool = False
    has_unsaid: bool = False


class Drain:
    """The phases of all stages.

    Parameters
    ----------
    stages : sequence of str
        All of the plan, in topological order.
    links : sequence of Link
        All of the plan.
    still_s, stalled_s : float
        For how long counts that cannot agree must stand still: after a death, and without one.
    """

    def __init__(self, stages: Sequence[str], links: Sequence[Link], still_s: float, stalled_s: float) -> None:
        self._before: dict[str, set[str]] = {stage: set() for stage in stages}
        for link in links:
            self._before[link.target].add(link.source)
        self._phases = dict.fromkeys(stages, Phase.RUNNING)
        self._still_s, self._stalled_s = still_s, stalled_s
        self._last: dict[str, tuple[Flow, float]] = {}

    @property
    def phases(self) -> Mapping[str, Phase]:
        """How far each stage is."""
        return self._phases

    @property
    def is_over(self) -> bool:
        """Whether all stages have ended."""
        return all(phase is Phase.ENDED for phase in self._phases.values())

    @property
    def has_begun(self) -> bool:
        """Whether a stage has finished, or is about to."""
        return any(phase is not Phase.RUNNING for phase in self._phases.values())

    def is_source(self, stage: str) -> bool:
        """Return whether nothing is wired into a stage."""
        return not self._before[stage]

    def above(self, stage: str) -> set[str]:
        """Return all stages whose messages reach a stage."""
        found: set[str] = set()
        left = [stage]
        while left:
            for source in self._before[left.pop()] - found:
                found.add(source)
                left.append(source)
        return found

    def step(self, views: Mapping[str, StageView], now: float) -> list[str]:
        """Go on as far as possible.

        Parameters
        ----------
        views : mapping of str to StageView
            Of every stage.
        now : float
            Monotonic time in seconds.

        Returns
        -------
        list of str
            The stages that are to be told to finish now.
        """
        told = []
        for stage, view in views.items():
            if view.is_abandoned:
                self._phases[stage] = Phase.ENDED
            elif self._phases[stage] is Phase.RUNNING and self._may_finish(stage, views, now):
                # A source ends by itself; only one that waits for triggers, or is stopped, has to be told.
                if self.is_source(stage) and view.has_finished:
                    self._phases[stage] = Phase.ENDED
                else:
                    self._phases[stage] = Phase.FINISHING
                    told.append(stage)
            elif self._phases[stage] is Phase.FINISHING and view.has_finished:
                self._phases[stage] = Phase.ENDED
        return told

    def _may_finish(self, stage: str, views: Mapping[str, StageView], now: float) -> bool:
        if self.is_source(stage):
            return views[stage].has_finished or views[stage].may_finish
        if any(self._phases[source] is not Phase.ENDED for source in self._before[stage]):
            return False
        return self._has_had_all(stage, views, now)

    def _has_had_all(self, stage: str, views: Mapping[str, StageView], now: float) -> bool:
        view = views[stage]
        last = self._last.get(stage)
        if last is None or last[0] != view.flow or not view.is_idle:
            self._last[stage] = last = (view.flow, now)
        if not view.is_idle:
            return False
        if view.flow.is_settled and not any(views[source].has_unsaid for source in self._before[stage]):
            return True
        died = view.has_died or any(views[source].has_died for source in self._before[stage])
        return now - last[1] >= (self._still_s if died else self._stalled_s)
