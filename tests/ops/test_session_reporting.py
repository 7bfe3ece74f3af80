"""What Dagster is told of a session while it runs, and how much of it."""

from __future__ import annotations

import dataclasses
import io
import itertools
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from PIL import Image

import ops.session_reporting
from ops.session_reporting import EVENT_LOG_BUDGET, MOST_OUTPUTS, DagsterSessionReporter
from runstart.errors import Alert
from runstart.pipelines import Link, Plan, Rate, Stage
from runstart.sessions import OperatorStatus, OperatorTotals, Published, SessionOutcome, SessionStatus
from runstart.specifications import OperatorSpec

SESSION = "0123456789ABCDEF"
LINK = Link("reader", "out", "display", "in")
KEY = dg.AssetKey(["pipelines", "toy"])


class Context:
    """Stands in for the step: keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.events: list[Any] = []
        self.log = SimpleNamespace(info=self.lines.append, warning=self.warnings.append)
        self.log_event = self.events.append

    def told(self, kind: type, *path: str) -> list[Any]:
        """Return the events of a kind on an asset of the pipeline."""
        return [e for e in self.events if isinstance(e, kind) and e.asset_key == dg.AssetKey([*KEY.path, *path])]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ops.session_reporting, "time", made)
    return made


def plan() -> Plan:
    spec = OperatorSpec(id=UUID(int=1), label="x", description="x", image="x/y:z")
    stages = tuple(Stage(name, UUID(int=n), spec) for n, name in enumerate(["reader", "display"]))
    return Plan("toy", stages, (LINK,))


def make_reporter(context: Context, time_limit_s: float | None = None) -> DagsterSessionReporter:
    step: Any = context
    return DagsterSessionReporter(
        step, SESSION, plan(), KEY, lambda name: dg.AssetKey([*KEY.path, name]), time_limit_s
    )


def status(seconds: float = 1.0, state: str = "running") -> SessionStatus:
    reader = OperatorStatus("reader", "busy", 1, 1, emitted=40)
    display = OperatorStatus(
        "display", "idle", 2, 1, received=30, received_bytes=3_000_000, queue=10, kernel_ms=2.5
    )
    rates = {LINK: Rate(15.0, 1_500_000.0, 40, 10)}
    return SessionStatus(SESSION, "toy", state, "", seconds, (reader, display), rates, {"display": 4.25})


def published(number: int, *, keep: bool = False) -> Published:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 100).save(buffer, "PNG")
    return Published("display", "image/png", buffer.getvalue(), f"map {number}", keep, number)


def tell(reporter: DagsterSessionReporter, now: SessionStatus | None = None) -> None:
    """Report twice, with what is drawn in between: what is drawn at one status is told at the next."""
    reporter.status(now or status())
    reporter._display.close()
    reporter.status(now or status())


def test_a_line_has_messages_megabytes_queue_and_latency_of_each_operator(clock: Clock) -> None:
    context = Context()
    make_reporter(context).status(status(state="starting"))
    (line,) = context.lines
    assert "reader busy: 40 sent;" in line
    assert "display 1/2 idle: 30 messages, 3.0 MB, queue 10, 4.2 ms" in line


def test_lines_come_each_two_seconds_and_after_an_hour_each_minute(clock: Clock) -> None:
    context = Context()
    reporter = make_reporter(context)
    for _ in range(60):
        reporter.status(status())
        clock.now += 1.0
    assert len(context.lines) == 30
    for _ in range(2 * 3600):
        reporter.status(status())
        clock.now += 1.0
    assert 1_800 <= len(context.lines) <= 1_800 + 62


def test_the_first_observation_comes_at_once_and_the_next_ones_back_off(clock: Clock) -> None:
    context = Context()
    reporter = make_reporter(context)
    begin, told = clock.now, []
    for _ in range(200):
        before = len(context.told(dg.AssetObservation))
        reporter.status(status())
        reporter._display.close()
        told += [clock.now - begin] * (len(context.told(dg.AssetObservation)) - before)
        clock.now += 1.0
    gaps = [later - earlier for earlier, later in itertools.pairwise(told)]
    assert told[0] <= 1.0
    assert gaps[0] == pytest.approx(10.0, abs=1.5)
    assert gaps == sorted(gaps)
    assert len(told) < 15


def test_an_observation_has_the_operators_the_graph_with_its_rates_and_the_host(clock: Clock) -> None:
    context = Context()
    tell(make_reporter(context))
    (observation,) = context.told(dg.AssetObservation)
    metadata = observation.metadata
    assert [row.data["operator"] for row in metadata["operators"].records] == ["reader", "display 1/2"]
    assert metadata["messages_per_s"].value == 15.0
    assert metadata["MB_per_s"].value == 1.5
    assert "data:image/svg+xml;base64," in metadata["graph"].value
    assert {row.data["resource"] for row in metadata["host"].records} >= {"processors", "memory", "disk", "GPUs"}


def test_what_an_operator_shows_is_observed_on_its_own_page_once(clock: Clock) -> None:
    context = Context()
    reporter = make_reporter(context)
    for number in range(5):
        reporter.published(published(number))
    tell(reporter)
    (observation,) = context.told(dg.AssetObservation, "display")
    assert observation.metadata["name"].value == "map 4"
    assert observation.metadata["picture"].value.startswith("![")
    clock.now += 60.0
    tell(reporter)
    assert len(context.told(dg.AssetObservation, "display")) == 1, "nothing new was shown"
    assert len(context.told(dg.AssetObservation)) == 2


def test_outputs_that_are_kept_are_materializations_up_to_a_number(clock: Clock) -> None:
    context = Context()
    reporter = make_reporter(context)
    for number in range(MOST_OUTPUTS + 3):
        reporter.published(published(number, keep=True))
    told = context.told(dg.AssetMaterialization, "display")
    assert [each.metadata["number"].value for each in told] == list(range(MOST_OUTPUTS))
    assert told[7].metadata["object"].value == f"sessions/{SESSION}/published/display/000007"


def test_a_session_of_a_month_stays_within_its_share_of_the_event_log(clock: Clock) -> None:
    context = Context()
    reporter = make_reporter(context)
    reporter._budget.total, reporter._budget.pictures = EVENT_LOG_BUDGET // 50, EVENT_LOG_BUDGET // 100
    for _ in range(300):
        reporter.published(published(0))
        tell(reporter)
        clock.now += 60.0
    pictured = [each for each in context.told(dg.AssetObservation, "display") if "picture" in each.metadata]
    assert 0 < len(pictured) < len(context.told(dg.AssetObservation, "display"))
    size = sum(len(str(each.metadata)) for each in context.events) + sum(map(len, context.lines))
    assert 0 < size < EVENT_LOG_BUDGET // 50


def test_long_texts_and_many_latencies_stay_within_the_share_too(clock: Clock) -> None:
    context = Context()
    reporter = make_reporter(context)
    hops = {f"{'x' * 90} -> {number}": 1.0 for number in range(1000)}
    for _ in range(200):
        reporter.log("x" * 1_000_000)
        tell(reporter, dataclasses.replace(status(), latency_ms=hops))
        clock.now += 60.0
    written = sum(map(len, context.lines)) + 1000 * 100 * len(context.told(dg.AssetObservation))
    assert written <= EVENT_LOG_BUDGET


def test_the_end_is_a_materialization_of_the_pipeline_and_of_each_operator(clock: Clock) -> None:
    context = Context()
    reporter = make_reporter(context)
    reporter.status(status())
    reporter.published(published(9))
    totals = {"reader": OperatorTotals(emitted=40), "display": OperatorTotals(received=40, finished=39, failed=1)}
    reporter.finish(SessionOutcome(SESSION, "finished", 3.0, totals, latency_ms={"reader -> display": 1.5}))
    (whole,) = context.told(dg.AssetMaterialization)
    assert (whole.metadata["lost"].value, whole.metadata["restarts"].value) == (0, 0)
    assert whole.metadata["MB_per_s"].value == 1.0
    assert whole.metadata["latency"].records[0].data == {"from and to": "reader -> display", "ms": "1.50"}
    (shown,) = context.told(dg.AssetMaterialization, "display")
    assert shown.metadata["name"].value == "map 9", "what it showed last stays on its page"
    assert shown.metadata["failed"].value == 1
    assert len(context.told(dg.AssetMaterialization, "reader")) == 1


def test_the_last_graph_shows_the_rates_of_the_whole_session(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Rate] = []

    def draw(_plan: Plan, rates: dict[Link, Rate], _states: dict[str, str]) -> str:
        drawn.append(rates[LINK])
        return "<svg/>"

    monkeypatch.setattr("runstart.pipelines.draw_plan", draw)
    reporter = make_reporter(Context())
    reporter.status(status(state="starting"))
    reporter.finish(SessionOutcome(SESSION, "finished", 4.0, {"display": OperatorTotals(received=40)}))
    assert drawn == [Rate(messages_per_s=10.0, bytes_per_s=750_000.0, messages=40, queue=10)]


def test_a_session_that_lost_messages_is_no_materialization(clock: Clock) -> None:
    context = Context()
    totals = {"display": OperatorTotals(received=40, lost_before=3, troubles=("It was killed.",))}
    make_reporter(context).fail(SessionOutcome(SESSION, "failed", 3.0, totals))
    (observation,) = context.told(dg.AssetObservation)
    assert observation.metadata["lost"].value == 3
    assert observation.metadata["operators"].records[0].data["trouble"] == "It was killed."
    assert not context.told(dg.AssetMaterialization)


def test_a_session_that_runs_for_longer_than_it_may_is_an_alert_and_one_at_its_end_is_not(clock: Clock) -> None:
    reporter = make_reporter(Context(), time_limit_s=10.0)
    reporter.status(status(500.0, "queued"))
    reporter.status(status(509.9))
    reporter.status(status(511.0, "finished"))
    with pytest.raises(Alert, match="time limit of 10 s"):
        reporter.status(status(510.1))


def test_a_graph_that_cannot_be_drawn_costs_no_message(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise ZeroDivisionError("no room")

    monkeypatch.setattr("runstart.pipelines.draw_plan", fail)
    context = Context()
    reporter = make_reporter(context)
    tell(reporter)
    assert context.lines
    reporter.finish(SessionOutcome(SESSION, "finished", 3.0, {"display": OperatorTotals(received=40)}))
    assert "no room" in context.warnings[0]
    (whole,) = context.told(dg.AssetMaterialization)
    assert "graph" not in whole.metadata
