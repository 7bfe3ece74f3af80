from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_status_kit import make_status, put_status
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from runstart.errors import Alert, Transient
from runstart.live.ledger import Ledger
from runstart.metrics import DaemonFigures, LiveStatus, SensorFigures, write_daemon_figures
from runstart.metrics.exporter import StoreCollector, serve_metrics
from runstart.metrics.families import make_run_families
from runstart.storage import FileStore, ObjectStore

DASHBOARD = Path(__file__).parents[3] / "docs/grafana/runstart.json"
FIGURES = DaemonFigures(
    written_at=time.time() - 5,
    runs={"started": 2, "queued": 1, "failure": 4},
    sensors={
        "run_starts": SensorFigures(ticked_at=time.time() - 3, unreadable=2, refused=1),
        "alerts": SensorFigures(ticked_at=time.time() - 9, failed=True),
        "new": SensorFigures(),
    },
)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Samples:
    """Return every sample by name and labels, and check that the text is right by the rules of the format."""
    samples: Samples = {}
    names = set()
    for family in text_string_to_metric_families(text):
        assert family.name not in names, "a family stands in one place"
        names.add(family.name)
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return samples


def scrape(store: ObjectStore) -> Samples:
    registry = CollectorRegistry()
    registry.register(StoreCollector(store))
    return parse(generate_latest(registry).decode())


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


@pytest.fixture
def full_store(file_store: FileStore) -> FileStore:
    put_status(file_store, make_status())
    put_status(file_store, make_status("LOKI", "run2"))
    write_daemon_figures(file_store, FIGURES)
    return file_store


def test_every_figure_of_a_live_run_is_told_in_base_units(full_store: FileStore) -> None:
    samples = scrape(full_store)
    run = {"instrument": "SANS", "run": "run1"}
    expected = {
        "runstart_live_run_events_in_views_total": 1000,
        "runstart_live_run_events_per_second": 50.5,
        "runstart_live_run_lag_seconds": 1.25,
        "runstart_live_run_proton_charge_coulombs_total": 3.6,
        "runstart_live_run_snapshots_total": 3,
        "runstart_live_run_snapshot_age_seconds": 12,
        "runstart_live_run_snapshot_size_bytes": 4096,
        "runstart_live_run_script_duration_seconds": 0.5,
        "runstart_live_run_script_failing": 0,
    }
    assert {name: value(samples, name, **run) for name in expected} == pytest.approx(expected)
    assert value(samples, "runstart_live_run_phase", phase="counting", **run) == 1
    assert value(samples, "runstart_live_run_phase", phase="closing", **run) == 0
    assert value(samples, "runstart_collector_samples_total", collector="epics", **run) == 5
    assert value(samples, "runstart_collector_trouble", collector="logs", **run) == 1
    assert value(samples, "runstart_live_run_troubles", kind="collector", **run) == 1
    assert value(samples, "runstart_live_run_info", run_name="SANS 1", dagster_run_id="abc", **run) == 1
    assert value(samples, "runstart_live_runs", instrument="LOKI") == 1


def test_every_column_of_the_ledger_is_told(full_store: FileStore) -> None:
    samples = scrape(full_store)
    for number, column in enumerate(Ledger().as_dict(), start=1):
        name = f"runstart_ledger_{column}_total"
        assert value(samples, name, instrument="SANS", run="run1") == number


def test_the_daemons_figures_are_told(full_store: FileStore) -> None:
    samples = scrape(full_store)
    assert value(samples, "runstart_dagster_runs", status="queued") == 1
    assert value(samples, "runstart_sensor_tick_failed", sensor="alerts") == 1
    assert value(samples, "runstart_sensor_tick_failed", sensor="run_starts") == 0
    assert value(samples, "runstart_sensor_tick_age_seconds", sensor="new") is None
    assert value(samples, "runstart_run_start_messages_unreadable_total", sensor="run_starts") == 2
    assert value(samples, "runstart_run_starts_refused_total", sensor="run_starts") == 1
    for name, labels in (
        ("runstart_daemon_report_age_seconds", {}),
        ("runstart_sensor_tick_age_seconds", {"sensor": "alerts"}),
    ):
        age = value(samples, name, **labels)
        assert age is not None
        assert age >= 5


def test_an_empty_store_is_no_failure(file_store: FileStore) -> None:
    samples = scrape(file_store)
    assert value(samples, "runstart_exporter_scrape_failed", source="live_status") == 0
    assert value(samples, "runstart_exporter_scrape_failed", source="daemon") == 0
    assert value(samples, "runstart_daemon_report_age_seconds") is None


def test_a_silent_run_tells_its_age_and_then_nothing(file_store: FileStore) -> None:
    put_status(file_store, make_status("SANS", "silent", written_at=time.time() - 3600))
    put_status(file_store, make_status("SANS", "forgotten", written_at=time.time() - 90_000))
    told = {dict(labels)["run"]: name for name, labels in scrape(file_store) if "run" in dict(labels)}
    assert told == {"silent": "runstart_live_run_status_age_seconds"}


def test_a_status_that_cannot_be_understood_is_counted_and_the_others_are_told(full_store: FileStore) -> None:
    full_store.put("live_status/SANS/broken.json", b'{"instrument": "SANS"')
    full_store.put("live_status/SANS/elsewhere.json", json.dumps(make_status("SANS", "run1")).encode())
    full_store.put(
        "live_status/SANS/nan.json", json.dumps(make_status("SANS", "nan", lag_seconds=float("nan"))).encode()
    )
    samples = scrape(full_store)
    assert value(samples, "runstart_exporter_unreadable_statuses") == 3
    assert value(samples, "runstart_exporter_scrape_failed", source="live_status") == 0
    assert value(samples, "runstart_live_run_lag_seconds", instrument="SANS", run="run1") == 1.25


class Unreachable(FileStore):
    error: Exception = Transient("The object store does not answer.")

    def list(self, prefix: str = "") -> Any:
        raise self.error

    def get(self, key: str) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [Transient("no answer"), Alert("no access"), ZeroDivisionError("a bug")])
def test_a_store_that_fails_is_a_metric_and_no_crash(tmp_path: Path, error: Exception) -> None:
    store = Unreachable(tmp_path)
    store.error = error
    samples = scrape(store)
    assert value(samples, "runstart_exporter_scrape_failed", source="live_status") == 1
    assert value(samples, "runstart_exporter_scrape_failed", source="daemon") == 1


def test_daemon_figures_that_cannot_be_understood_fail_only_themselves(full_store: FileStore) -> None:
    full_store.put("metrics/daemon.json", b"[]")
    samples = scrape(full_store)
    assert value(samples, "runstart_exporter_scrape_failed", source="daemon") == 1
    assert value(samples, "runstart_live_runs", instrument="SANS") == 1


NAMES = st.text(max_size=300)


@given(NAMES, NAMES, st.dictionaries(NAMES, st.integers()), NAMES)
def test_names_from_outside_cannot_break_the_format(
    instrument: str, run: str, ledger: dict[str, int], collector: str
) -> None:
    status = LiveStatus.model_validate(
        make_status(instrument, run, run_name=run, ledger=ledger, collectors={collector: {}}, written_at=0.0)
    )

    class Collector:
        def collect(self) -> Iterator[Any]:
            yield from make_run_families([status], 0.0)

    registry = CollectorRegistry()
    registry.register(Collector())  # type: ignore[arg-type]
    samples = parse(generate_latest(registry).decode())
    assert all(len(text) <= 200 for _, labels in samples for _, text in labels)


@contextmanager
def served(store: ObjectStore) -> Iterator[str]:
    with serve_metrics(store, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}/metrics"


def test_each_scrape_over_http_reads_the_store_anew(file_store: FileStore) -> None:
    with served(file_store) as url:
        for events in (1, 2):
            put_status(file_store, make_status(events_in_views=events))
            with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own address
                assert answer.headers["Content-Type"].startswith("text/plain")
                samples = parse(answer.read().decode())
            assert (
                value(samples, "runstart_live_run_events_in_views_total", instrument="SANS", run="run1") == events
            )


def test_a_port_that_is_taken_is_told(file_store: FileStore) -> None:
    with (
        serve_metrics(file_store, "127.0.0.1", 0) as port,
        pytest.raises(Alert, match=f"port {port}"),
        serve_metrics(file_store, "127.0.0.1", port),
    ):
        pass


@pytest.mark.store
@pytest.mark.real
def test_figures_are_read_from_s3(s3_store: Any) -> None:
    put_status(s3_store, make_status())
    write_daemon_figures(s3_store, FIGURES)
    samples = scrape(s3_store)
    assert value(samples, "runstart_live_runs", instrument="SANS") == 1
    assert value(samples, "runstart_dagster_runs", status="started") == 2


def test_the_dashboard_asks_only_for_metrics_that_there_are(full_store: FileStore) -> None:
    told = {name for name, _ in scrape(full_store)}
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [query for query in _values_of(dashboard, ("expr", "query")) if "runstart_" in query]
    assert len(queries) > 10
    asked = {name for query in queries for name in re.findall(r"\brunstart_\w+", query)}
    assert asked - told == set()


def test_the_documentation_names_every_metric(full_store: FileStore) -> None:
    text = DASHBOARD.with_name("README.md").read_text()
    told = {name for name, _ in scrape(full_store) if not name.startswith("runstart_ledger_")}
    named = set(re.findall(r"`(runstart_\w+)`", text))
    assert {name for name in named if not name.startswith("runstart_ledger_")} == told


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["id"] is None
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["templating"]["list"][0] | {"current": None} == dashboard["templating"]["list"][0] | {
        "current": None,
        "type": "datasource",
        "query": "prometheus",
    }
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"


def _values_of(node: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            if key in keys and isinstance(child, str):
                yield child
            yield from _values_of(child, keys)
    elif isinstance(node, list):
        for child in node:
            yield from _values_of(child, keys)
