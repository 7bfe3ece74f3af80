"""Shows a session while it runs: a line each two seconds, observations with its graph, and the outputs of operators.

Observations come at once, then every 10 s, with growing intervals up to 60 s; they carry the operators in a table, the
graph with its rates, and what operators show at the moment. Outputs that are kept are materializations, each with
its picture. All of it together takes at most 20 MB of Dagster's event log: pictures go first, then everything.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops.live_display import LARGEST_INTERVAL, LINE_BYTES, Display, EventLogBudget, GrowingInterval
from ops.operator_outputs import Shown, show_output
from ops.session_metadata import (
    describe_line,
    describe_operator_status,
    describe_outcome,
    describe_status,
    describe_totals,
)
from runstart.errors import Alert

if TYPE_CHECKING:
    from runstart.host import HostResources
    from runstart.pipelines import Link, Plan, Rate
    from runstart.sessions import Published, SessionOutcome, SessionStatus

FIRST_INTERVAL = 10.0  # seconds between observations
LINE_INTERVAL = 2.0  # seconds between lines of the log
MOST_STEADY_LINES = 1_800  # an hour of them; then one each minute
EVENT_LOG_BUDGET = 20_000_000  # bytes in Dagster's event log, for one session
PICTURES_BUDGET = 10_000_000  # of them, while events still carry pictures
FIGURES_BYTES = 3_000  # of an observation, and for each row of its tables a tenth of it more
MOST_OUTPUTS = 200  # kept outputs that are materializations of their own

_RUNNING = ("starting", "running", "draining")  # what comes after is told whenever it is

KeyOf = Callable[[str], dg.AssetKey]


@dataclass(frozen=True)
class _Drawn:
    """What one look at a session shows: the session, and the operators that have shown something new."""

    metadata: dict[str, Any]
    outputs: Mapping[str, Shown]
    nbytes: int


@dataclass
class _Outputs:
    """What operators have shown: the newest of each, which of them have not been told, and how many were kept."""

    newest: dict[str, Published] = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)
    kept: int = 0


class DagsterSessionReporter:
    """Tells Dagster of one session; use it as a context manager.

    Parameters
    ----------
    context : dagster.OpExecutionContext
        The step.
    session_id : str
        The session.
    plan : Plan
        What it runs.
    session_key : dagster.AssetKey
        The asset of the session as a whole.
    key_of : callable
        Returns the asset of an operator.
    time_limit_s : float or None
        After so many seconds of running the session fails.
    """

    def __init__(
        self,
        context: dg.OpExecutionContext,
        session_id: str,
        plan: Plan,
        session_key: dg.AssetKey,
        key_of: KeyOf,
        time_limit_s: float | None,
    ) -> None:
        self._context, self._session_id, self._plan = context, session_id, plan
        self._session_key, self._key_of = session_key, key_of
        self._time_limit_s, self._waited_s = time_limit_s, 0.0
        self._observations = GrowingInterval(FIRST_INTERVAL)
        self._lines = SteadyLines()
        self._budget = EventLogBudget(EVENT_LOG_BUDGET, PICTURES_BUDGET)
        self._display: Display[_Drawn] = Display(context.log.warning)
        self._outputs = _Outputs()
        self._last: SessionStatus | None = None

    def __enter__(self) -> DagsterSessionReporter:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is being drawn."""
        self._display.close()

    def log(self, text: str) -> None:
        """Write a sentence to the run's log."""
        if self._budget.spend(LINE_BYTES + len(text)):
            self._context.log.info(text)

    def status(self, status: SessionStatus) -> None:
        """Log and observe when it is time.

        Raises
        ------
        Alert
            If the session has run for longer than it may.
        """
        now = time.monotonic()
        self._last = status
        if status.operators and (status.state not in _RUNNING or self._lines.is_time(now)):
            self.log(describe_line(status))
        self._observe()
        self._display.tell_trouble()
        is_under_way = bool(status.operators) and status.state != "starting"
        if is_under_way and self._observations.is_over(now) and not self._display.is_busy:
            self._observations.begin(now)
            self._start_drawing(status)
        self._check_time(status)

    def published(self, published: Published) -> None:
        """List an output that is kept; one that is not is shown with the next observation."""
        self._outputs.newest[published.operator] = published
        if not published.keep:
            self._outputs.untold.add(published.operator)
            return
        self._outputs.kept += 1
        if self._outputs.kept > MOST_OUTPUTS:
            return
        shown = self._fit(self._show(published))
        if shown is not None:
            self._materialize(self._key_of(published.operator), shown)

    def finish(self, outcome: SessionOutcome) -> None:
        """List what has become of the session and of each operator, with the last that it showed."""
        self._display.close()
        self._materialize(self._session_key, self._last_of(None) | self._describe(outcome))
        for name, totals in outcome.operators.items():
            key = self._key_of(name)
            if key != self._session_key:
                self._materialize(key, self._last_of(name) | describe_totals(totals))

    def fail(self, outcome: SessionOutcome) -> None:
        """Show what has become of a session that has lost something: no materialization, because it is not whole."""
        self._display.close()
        metadata = self._last_of(None) | self._describe(outcome)
        self._context.log_event(dg.AssetObservation(self._session_key, metadata=metadata))

    def _describe(self, outcome: SessionOutcome) -> dict[str, Any]:
        states = {name: "failed" if totals.lost else "ended" for name, totals in outcome.operators.items()}
        rates = {} if self._last is None else _mean_rates(self._last, outcome.seconds)
        return describe_outcome(outcome, self._last, self._draw_last_graph(rates, states))

    def _check_time(self, status: SessionStatus) -> None:
        if status.state == "queued":
            self._waited_s = status.seconds
        limit = self._time_limit_s
        if limit is not None and status.seconds - self._waited_s > limit and status.state in _RUNNING:
            what = f"Session {status.session_id} has not ended within its time limit of {limit:g} s."
            raise Alert(what, "Its log says what it was doing; give a larger time_limit_s, or none.")

    def _start_drawing(self, status: SessionStatus) -> None:
        """Draw in a thread what is to be observed; only what has been told is told no more."""
        newest = {name: self._outputs.newest[name] for name in self._outputs.untold}
        self._outputs.untold.clear()
        self._display.start(lambda: self._draw(status, newest))

    def _draw(self, status: SessionStatus, newest: Mapping[str, Published]) -> _Drawn:
        graph = self._draw_graph(status.rates, {each.name: each.state for each in status.operators})
        metadata = describe_status(status, graph, _measure_host())
        outputs = {}
        by_name = {each.name: each for each in status.operators}
        for name, published in newest.items():
            shown = self._show(published)
            figures = describe_operator_status(by_name[name]) if name in by_name else {}
            outputs[name] = Shown(shown.metadata | figures, shown.nbytes)
        rows = len(status.operators) + len(status.latency_ms)
        figures_bytes = FIGURES_BYTES + rows * FIGURES_BYTES // 10
        graph_bytes = 4 * len(graph) // 3
        return _Drawn(metadata, outputs, figures_bytes + graph_bytes)

    def _draw_graph(self, rates: Mapping[Link, Rate], states: Mapping[str, str]) -> str:
        from runstart.pipelines import draw_plan

        return draw_plan(self._plan, rates, states)

    def _draw_last_graph(self, rates: Mapping[Link, Rate], states: Mapping[str, str]) -> str | None:
        display: Display[str] = Display(self._context.log.warning)
        display.start(lambda: self._draw_graph(rates, states))
        display.close()
        display.tell_trouble()
        return display.drawn

    def _observe(self) -> None:
        drawn = self._display.drawn
        if drawn is None:
            return
        self._display.drop()
        if self._budget.spend(drawn.nbytes):
            self._context.log_event(dg.AssetObservation(self._session_key, metadata=drawn.metadata))
        for name, shown in drawn.outputs.items():
            metadata = self._fit(shown)
            if metadata is not None:
                self._context.log_event(dg.AssetObservation(self._key_of(name), metadata=metadata))

    def _fit(self, shown: Shown) -> dict[str, Any] | None:
        """Return as much of what is shown as there is room for."""
        metadata, nbytes = shown
        if not self._budget.has_pictures:
            pictures = [name for name, value in metadata.items() if isinstance(value, dg.MarkdownMetadataValue)]
            metadata, nbytes = {name: v for name, v in metadata.items() if name not in pictures}, FIGURES_BYTES
        return metadata if self._budget.spend(nbytes) else None

    def _last_of(self, operator: str | None) -> dict[str, Any]:
        """Return what an operator showed last; without a name, what those did that have no page of their own."""
        newest = self._outputs.newest
        if operator is None:
            names = [name for name in newest if self._key_of(name) == self._session_key]
            operator = names[-1] if names else ""
        return self._show(newest[operator]).metadata if operator in newest else {}

    def _show(self, published: Published) -> Shown:
        part = f"{published.number:06d}" if published.keep else "latest"
        key = f"sessions/{self._session_id}/published/{published.operator}/{part}"
        return show_output(published, key)

    def _materialize(self, key: dg.AssetKey, metadata: dict[str, Any]) -> None:
        self._context.log_event(dg.AssetMaterialization(key, metadata=metadata))


class SteadyLines:
    """Says when a line is due: each two seconds in the first hour, then each minute."""

    def __init__(self) -> None:
        self._next = 0.0
        self._told = 0

    def is_time(self, now: float) -> bool:
        """Return whether a line is due, which is then told."""
        if now < self._next:
            return False
        self._told += 1
        # A little less than the interval, because statuses come each second and not to the millisecond.
        self._next = now + (LINE_INTERVAL if self._told < MOST_STEADY_LINES else LARGEST_INTERVAL) - 0.5
        return True


def _mean_rates(last: SessionStatus, seconds: float) -> dict[Link, Rate]:
    """Return what went over each edge in the mean of the whole session.

    Bytes are counted where they arrive: edges with one target share them as they do its messages.
    """
    arrived: Counter[str] = Counter()
    for link, rate in last.rates.items():
        arrived[link.target] += rate.messages
    received_bytes = {each.name: each.received_bytes for each in last.operators}
    means = {}
    for link, rate in last.rates.items():
        share = rate.messages / max(1, arrived[link.target])
        nbytes = received_bytes.get(link.target, 0) * share
        means[link] = replace(
            rate, messages_per_s=rate.messages / max(seconds, 1e-3), bytes_per_s=nbytes / max(seconds, 1e-3)
        )
    return means


def _measure_host() -> HostResources:
    import tempfile

    from runstart.host import measure_host

    return measure_host(Path(tempfile.gettempdir()))
