from __future__ import annotations

import itertools
import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._serdes import serialize_value
from scan_work_kit import FRAMES, draw_frames, make_work, write_scan

import ops.scan_reporting
from ops.scan_reporting import DagsterScanReporter
from runstart.errors import Transient
from runstart.scans import Accounting, ScanStatus, ScanWork

DISPLAY = "scans/SIMSTEM/a.frames/display"


class Context:
    """Stands in for the step: keeps what is logged."""

    def __init__(self) -> None:
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
    monkeypatch.setattr(ops.scan_reporting, "time", made)
    return made


@pytest.fixture(autouse=True)
def _pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw what says of which frames it is."""
    monkeypatch.setattr("runstart.scans.pictures.overview_picture", lambda product: f"PNG {product}".encode())
    monkeypatch.setattr("runstart.scans.thumbnails.scan_thumbnails", lambda product: {"phase": f"![{product}](x)"})


@pytest.fixture
def work(tmp_path: Path) -> ScanWork:
    return make_work(write_scan(tmp_path / "a.frames", draw_frames()))


def _forgetful(work: ScanWork) -> ScanWork:
    """Return the work with a store that keeps nothing: one on disk makes sure that all is written."""
    return replace(work, store=SimpleNamespace(put=lambda key, data: ""))  # type: ignore[arg-type]


def _status(seen: int, waiting: float = 0.0) -> ScanStatus:
    return ScanStatus(Accounting(FRAMES, seen, seen), 100.0, waiting)


def _tell(reporter: DagsterScanReporter, seen: int, **options: Any) -> None:
    """Report, and wait for the picture."""
    reporter.status(_status(seen, **options), (lambda: seen) if seen else None)  # type: ignore[arg-type,return-value]
    reporter._display.close()


def test_picture_and_figures_are_in_the_store_at_each_status(work: ScanWork) -> None:
    reporter = DagsterScanReporter(Context(), work)  # type: ignore[arg-type]
    for seen in (3, 15):
        _tell(reporter, seen)
        assert work.store.get(f"{DISPLAY}/overview.png").data == b"PNG %d" % seen
        status = json.loads(work.store.get(f"{DISPLAY}/status.json").data)
        assert (status["seen"], status["covered"], status["ended"]) == (seen, seen / FRAMES, "")


def test_observations_begin_with_the_first_frames_and_thin_out(work: ScanWork, clock: Clock) -> None:
    context = Context()
    reporter = DagsterScanReporter(context, _forgetful(work))  # type: ignore[arg-type]
    begun, times = clock.now, []
    for second in range(30 * 60):
        clock.now = begun + second
        before = len(context.observations)
        _tell(reporter, min(second, FRAMES))
        times += [second] * (len(context.observations) - before)
    assert times[:3] == [2, 7, 13]
    between = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert between == sorted(between)
    assert between[-1] == 60


def test_an_observation_shows_thumbnails_in_place_and_the_overview_at_a_click(work: ScanWork) -> None:
    context = Context()
    reporter = DagsterScanReporter(context, work)  # type: ignore[arg-type]
    _tell(reporter, 3)
    _tell(reporter, 3)
    (observation,) = context.observations
    assert (observation.asset_key, observation.partition) == (
        dg.AssetKey(["SIMSTEM", "center_of_mass"]),
        "a.frames",
    )
    shown = {name: value.value for name, value in observation.metadata.items()}
    assert list(shown)[:3] == ["covered", "phase", "overview"]
    assert shown["phase"] == "![3](x)"
    assert str(shown["overview"]).startswith("![overview](data:image/png;base64,")
    assert (shown["covered"], shown["seen"]) == (0.1, 3)


def test_a_scan_of_hours_keeps_to_its_budget(work: ScanWork, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops.scan_reporting, "EVENT_LOG_BUDGET", 400_000)
    monkeypatch.setattr(ops.scan_reporting, "PICTURES_BUDGET", 200_000)
    monkeypatch.setattr("runstart.scans.pictures.overview_picture", lambda product: bytes(20_000))
    context = Context()
    reporter = DagsterScanReporter(context, _forgetful(work))  # type: ignore[arg-type]
    for _ in range(200):
        _tell(reporter, 3)
        clock.now += 60.0
    told = sum(len(serialize_value(observation)) for observation in context.observations)
    assert 200_000 < told + sum(map(len, context.lines)) <= 400_000
    assert ["overview" in each.metadata for each in context.observations[:: len(context.observations) - 1]] == [
        True,
        False,
    ]


def test_a_picture_that_cannot_be_drawn_costs_one_warning(work: ScanWork, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(product: object) -> bytes:
        raise RuntimeError("no font")

    monkeypatch.setattr("runstart.scans.pictures.overview_picture", fail)
    context = Context()
    reporter = DagsterScanReporter(context, work)  # type: ignore[arg-type]
    for _ in range(4):
        _tell(reporter, 3)
    assert context.warnings == ["The live picture could not be drawn: RuntimeError('no font')"]


def test_counting_does_not_wait_for_a_picture(work: ScanWork, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, may_end = [], threading.Event()

    def draw(product: object) -> bytes:
        drawn.append(product)
        assert may_end.wait(30)
        return b"PNG"

    monkeypatch.setattr("runstart.scans.pictures.overview_picture", draw)
    reporter = DagsterScanReporter(Context(), work)  # type: ignore[arg-type]
    for seen in (1, 2, 3):
        reporter.status(_status(seen), lambda: 0)  # type: ignore[arg-type,return-value]
    may_end.set()
    reporter._display.close()
    assert len(drawn) == 1


def test_lines_say_how_far_the_scan_is_and_that_nothing_comes(work: ScanWork, clock: Clock) -> None:
    context = Context()
    reporter = DagsterScanReporter(context, work)  # type: ignore[arg-type]
    _tell(reporter, 3)
    clock.now += 100.0
    _tell(reporter, 15, waiting=8.0)
    assert context.lines == ["3 of 30 frames (10.0%), 100 a second.", "15 of 30 frames (50.0%), none for 8 s."]


def test_what_was_stopped_says_so(work: ScanWork) -> None:
    reporter = DagsterScanReporter(Context(), work)  # type: ignore[arg-type]
    _tell(reporter, 3)
    reporter.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    status = json.loads(work.store.get(f"{DISPLAY}/status.json").data)
    assert (status["seen"], status["ended"]) == (3, "stopped")


def test_a_store_that_is_away_costs_a_warning(work: ScanWork, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(key: str, data: bytes = b"") -> str:
        raise Transient("away")

    context = Context()
    monkeypatch.setattr(type(work.store), "put", lambda self, key, data: refuse(key))
    with DagsterScanReporter(context, work) as reporter:  # type: ignore[arg-type]
        _tell(reporter, 1)
        _tell(reporter, 1)
    assert context.warnings == ["The live picture could not be stored: away"]
