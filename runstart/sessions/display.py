"""Shows how a session stands, each second: its status and record in the store, its graph, and whoever is told."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from runstart.pipelines import draw_plan
from runstart.sessions.records import SessionRecord, State, encode_record, session_key
from runstart.sessions.showing import Meter
from runstart.sessions.status import SessionStatus
from runstart.sessions.wiring import links_in_order

if TYPE_CHECKING:
    from runstart.pipelines import Link, Plan, Rate
    from runstart.sessions.draining import Phase
    from runstart.sessions.keeping import Keeper
    from runstart.sessions.ledger import Counts
    from runstart.sessions.replicas import Replica
    from runstart.sessions.status import OperatorStatus, SessionReporter

_DRAW_S = 5.0


class Display:
    """What is shown of one session.

    Parameters
    ----------
    record : SessionRecord
        What others know of it; `record` is kept up to date.
    plan : Plan
        What it runs.
    keeper : Keeper
        Writes to the store.
    reporter : SessionReporter
        Is told.
    show_s : float
        Time between two looks.
    """

    def __init__(
        self, record: SessionRecord, plan: Plan, keeper: Keeper, reporter: SessionReporter, show_s: float
    ) -> None:
        self.record = record
        self._plan, self._keeper, self._reporter = plan, keeper, reporter
        self._meter = Meter(links_in_order(plan))
        self._show_s = show_s
        self._began_at = time.monotonic()
        self._next_show = self._next_draw = 0.0

    def set_state(self, state: State, reason: str = "") -> None:
        """Have everybody know a new state."""
        self.change(state=state, reason=reason)
        self._next_show = 0.0

    def change(self, **fields: object) -> None:
        """Have everybody know what has changed of the record."""
        changed = replace(self.record, **fields)  # type: ignore[arg-type]
        if changed != self.record:
            self.record = changed
            key = session_key(changed.session_id, "record.json")
            self._keeper.put(key, encode_record(changed), is_urgent=True)

    def show_waiting(self, reason: str) -> None:
        """Show that the session waits, and why."""
        if reason != self.record.reason:
            self._reporter.log(f"queued: {reason}")
            self.set_state("queued", reason)
        self._show((), {})

    def explain(self, reason: str) -> None:
        """Have everybody know why an operator has not begun; empty if none waits."""
        if reason != self.record.reason:
            self.change(reason=reason)
            if reason:
                self._reporter.log(reason)

    def show(
        self,
        stages: Mapping[str, Sequence[Replica]],
        counts: Mapping[str, Counts],
        phases: Mapping[str, Phase],
        latency_ms: Mapping[str, float],
        *,
        is_last: bool = False,
    ) -> None:
        """Show how the session stands, if the last time is a second ago, or the state has changed."""
        now = time.monotonic()
        if now < self._next_show and not is_last:
            return
        self.change(nodes=tuple(node for replicas in stages.values() for one in replicas for node in one.nodes))
        operators, rates = self._meter.measure(stages, counts, phases, now)
        if now >= self._next_draw or is_last:
            self._next_draw = now + _DRAW_S
            states = {operator.name: operator.state for operator in operators}
            self._put("graph.svg", draw_plan(self._plan, rates, states).encode())
        self._show(operators, rates, latency_ms)

    def _show(
        self,
        operators: tuple[OperatorStatus, ...],
        rates: Mapping[Link, Rate],
        latency_ms: Mapping[str, float] | None = None,
    ) -> None:
        now = time.monotonic()
        self._next_show = now + self._show_s
        status = SessionStatus(
            session_id=self.record.session_id,
            name=self.record.name,
            state=self.record.state,
            reason=self.record.reason,
            seconds=now - self._began_at,
            operators=operators,
            rates=rates,
            latency_ms=latency_ms or {},
        )
        self._put("status.json", json.dumps({**status.as_dict(), "at": time.time()}).encode())
        self._reporter.status(status)

    def _put(self, name: str, data: bytes) -> None:
        self._keeper.put(session_key(self.record.session_id, name), data)
