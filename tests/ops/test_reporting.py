from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value
from facility_kit import run_record, small_instrument

import ops.reporting
from ops.reporting import EVENT_LOG_BUDGET, FIGURES_BYTES, FIRST_INTERVAL, DagsterReporter
from runstart.errors import Transient
from runstart.live import Ledger, Sources, Status
from runstart.live.accumulation import Accumulation
from runstart.live.script_run import ShownOutcome
from runstart.metrics import live_status_key
from runstart.scripts import ScriptOutcome
from runstart.storage import FileStore

DAY = 24 * 3600


class Context:
    """Stands in for the step: keeps what is logged."""

    def __init__(self) -> None:
        self.asset_key = dg.AssetKey(["SMALL", "live_run"])
        self.partition_key = "run"
        self.run = SimpleNamespace(run_id="dagster-run")
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.observations: list[dg.AssetObservation] = []
        self.log = SimpleNamespace(info=self.lines.append, warning=self.warnings.append)
        self.log_event = self.observations.append


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ops.reporting, "time", made)
    return made


def _status(events: int) -> Status:
    ledger = dict.fromkeys(Ledger().as_dict(), 10**12)
    return Status("counting", events, 1.0, 0.0, 0.5, ledger, {0: 1}, 0)


def _reporter(tmp_path: Path, context: Context, store: Any = None) -> tuple[DagsterReporter, Accumulation]:
    instrument = small_instrument()
    record = run_record()
    sources = Sources("localhost:1", instrument, record)
    reporter = DagsterReporter(context, store or FileStore(tmp_path / "store"), sources)  # type: ignore[arg-type]
    return reporter, Accumulation(instrument, record.start_time_ns)


def _tell(reporter: DagsterReporter, status: Status, accumulation: Accumulation) -> None:
    """Report, and wait for the picture."""
    reporter.status(status, accumulation, dict)
    reporter.__exit__(None, None, None)


def test_the_picture_and_the_figures_are_in_the_store(tmp_path: Path) -> None:
    reporter, accumulation = _reporter(tmp_path, Context())
    _tell(reporter, _status(5), accumulation)
    store = FileStore(tmp_path / "store")
    shown = {key.rsplit("/", 1)[1]: key for key in store.list("live/SMALL/")}
    assert set(shown) == {"overview.png", "status.json", "views.json"}
    assert store.get(shown["overview.png"]).data.startswith(b"\x89PNG")
    assert json.loads(store.get(shown["views.json"]).data)["instrument"] == "SMALL"


def test_the_first_observation_comes_with_the_first_events(tmp_path: Path, clock: Clock) -> None:
    context = Context()
    reporter, accumulation = _reporter(tmp_path, context)
    for events, expected in ((0, 0), (0, 0), (3, 0), (4, 1)):
        _tell(reporter, _status(events), accumulation)
        assert len(context.observations) == expected, "an observation shows the picture before"
        clock.now += 2.0
    (observation,) = context.observations
    assert observation.partition == "run"
    assert observation.metadata["events_in_views"].value == 3


def test_a_day_of_observations_backs_off_to_a_minute_and_takes_at_most_20_mb(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops.reporting, "overview_png", lambda product: bytes(60_000))
    monkeypatch.setattr(ops.reporting, "views_json", lambda product, script: b"{}")
    monkeypatch.setattr(ops.reporting, "thumbnails", lambda product: {"TOF spectrum": "x" * 8_000})
    monkeypatch.setattr(ops.reporting, "make_live_product", lambda record, accumulation, ledger: None)
    monkeypatch.setattr(ops.reporting, "replace", lambda product, logs: None)
    monkeypatch.setattr(ops.reporting, "log_thumbnails", lambda product: {})
    context = Context()
    reporter, accumulation = _reporter(tmp_path, context)
    monkeypatch.setattr(reporter, "_store", SimpleNamespace(put=lambda key, data: None, delete=lambda key: None))
    times = []
    for _ in range(DAY // 10):
        before = len(context.observations)
        _tell(reporter, _status(7), accumulation)
        if len(context.observations) > before:
            times.append(clock.now)
        clock.now += 10.0
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) >= 10.0
    assert max(gaps) <= 70.0, "a minute, and the display interval of this test"
    assert gaps == sorted(gaps) or gaps[-1] >= 60.0
    assert times[-1] - times[0] > 0.95 * DAY, "figures come to the end, if pictures do not"
    sizes = [len(serialize_value(observation)) for observation in context.observations]
    assert sum(sizes) + 1000 * len(context.lines) <= EVENT_LOG_BUDGET
    assert sizes[-1] <= FIGURES_BYTES
    assert len(context.lines) < DAY / 50


def test_a_picture_that_cannot_be_drawn_costs_a_warning_and_nothing_else(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(product: object) -> bytes:
        raise ZeroDivisionError("no axis")

    monkeypatch.setattr(ops.reporting, "overview_png", fail)
    context = Context()
    reporter, accumulation = _reporter(tmp_path, context)
    _tell(reporter, _status(1), accumulation)
    _tell(reporter, _status(1), accumulation)
    assert "could not be drawn: ZeroDivisionError('no axis')" in context.warnings[0]
    assert context.observations == []


def _shown(output: str = "", error: str = "") -> ShownOutcome:
    outcome = ScriptOutcome("0" * 64, 0.0, 0.1, output, {}, {}, error, "namespaces")
    return ShownOutcome(outcome, {"script_I.png": b"\x89PNG"}, {"I": "![I](data:,)"})


def test_what_a_script_says_is_logged_when_it_is_new_and_not_too_often(tmp_path: Path, clock: Clock) -> None:
    context = Context()
    reporter, _ = _reporter(tmp_path, context)
    for second, output in enumerate(["one", "one", "two", "three"]):
        clock.now = 1000.0 + second
        reporter.script(_shown(output))
    clock.now += FIRST_INTERVAL
    reporter.script(_shown("three", "reduce.py:3: ValueError: bad"))
    assert context.lines == ["The reduction script printed:\none"]
    assert context.warnings == [
        "The reduction script printed:\nthree",
        "The reduction script failed: reduce.py:3: ValueError: bad",
    ]


def test_a_script_that_says_something_else_each_time_stays_within_the_budget(tmp_path: Path, clock: Clock) -> None:
    context = Context()
    reporter, _ = _reporter(tmp_path, context)
    for execution in range(7 * DAY // 10):
        reporter.script(_shown(f"{execution}" + "x" * 60_000))
        clock.now += 10.0
    assert 0 < sum(map(len, context.lines)) <= EVENT_LOG_BUDGET


def test_the_script_s_pictures_are_shown_with_the_others(tmp_path: Path, clock: Clock) -> None:
    context = Context()
    reporter, accumulation = _reporter(tmp_path, context)
    reporter.script(_shown())
    _tell(reporter, _status(3), accumulation)
    _tell(reporter, _status(3), accumulation)
    assert context.observations[0].metadata["I"].value == "![I](data:,)"
    store = FileStore(tmp_path / "store")
    assert (
        store.get("live/SMALL/" + reporter._sources.record.partition_key + "/display/script_I.png").data
        == b"\x89PNG"
    )


def test_a_live_run_is_listed_until_it_ends(tmp_path: Path) -> None:
    reporter, accumulation = _reporter(tmp_path, Context())
    store, record = FileStore(tmp_path / "store"), reporter._sources.record
    reporter.status(_status(5), accumulation, dict)
    reporter._display.close()
    status = json.loads(store.get(live_status_key(record.instrument, record.partition_key)).data)
    assert (status["partition_key"], status["dagster_run_id"]) == (record.partition_key, "dagster-run")
    assert status["events_in_views"] == 5
    reporter.__exit__(None, None, None)
    assert store.list("live_status/") == []


def test_a_store_that_is_away_costs_a_warning(tmp_path: Path, clock: Clock) -> None:
    def refuse(key: str, data: bytes = b"") -> str:
        raise Transient("away")

    context = Context()
    reporter, accumulation = _reporter(tmp_path, context, SimpleNamespace(put=refuse, delete=refuse))
    _tell(reporter, _status(1), accumulation)
    _tell(reporter, _status(1), accumulation)
    assert context.warnings == ["The live picture could not be stored: away"]
