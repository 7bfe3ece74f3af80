"""Turns figures into Prometheus' metric families: base units (s, bytes, C), one name and help text each.

A silent run (its status is older than `STALE_SECONDS`) tells only its age, and after `FORGOTTEN_SECONDS` nothing, so
that no old figure passes for a new one. Names and texts that come from outside become label values of bounded length;
escaping them is the library's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from runstart.metrics.daemon import DaemonFigures
from runstart.metrics.live_status import LiveStatus

STALE_SECONDS = 60.0
FORGOTTEN_SECONDS = 86_400.0
PHASES = ("counting", "closing", "finishing")
LONGEST_LABEL = 200
COULOMBS_PER_MICROAMPERE_HOUR = 0.0036

_RUN = ("instrument", "run")
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,60}")

_GAUGES = {
    "events_per_second": "Events added to the views in a second.",
    "lag_seconds": "Age of the newest message that has been added, by Kafka's clock; 0 if all have been.",
    "snapshot_age_seconds": "Age of the newest snapshot.",
    "snapshot_size_bytes": "Size of the newest snapshot.",
    "script_duration_seconds": "How long the newest execution of the reduction script took.",
    "script_failing": "1 if the reduction script fails, else 0.",
}
_COUNTERS = {
    "events_in_views": "Events in the TOF spectrum.",
    "proton_charge_coulombs": "Proton charge of the run's pulses; 0.0036 C are 1 microampere hour.",
    "snapshots": "Snapshots written by the run's process.",
}


def make_run_families(statuses: Iterable[LiveStatus], now: float) -> list[Metric]:
    """Return the metrics of live runs.

    Parameters
    ----------
    statuses : iterable of LiveStatus
        No two of the same instrument and run.
    now : float
        Time in s since 1970.

    Returns
    -------
    list of prometheus_client.Metric
        Names begin with `runstart_live_run_` or, for columns of the ledger, `runstart_ledger_`.
    """
    known = [status for status in statuses if status.age(now) <= FORGOTTEN_SECONDS]
    fresh = [status for status in known if status.age(now) <= STALE_SECONDS]
    return [
        _count_runs(fresh),
        _ages(known, now),
        _identities(fresh),
        _phases(fresh),
        *_plain(fresh),
        *_ledgers(fresh),
        *_collectors(fresh),
        _troubles(fresh),
    ]


def make_daemon_families(figures: DaemonFigures | None, now: float) -> list[Metric]:
    """Return the metrics of Dagster's daemon; none if nothing was ever written."""
    if figures is None:
        return []
    age = GaugeMetricFamily("runstart_daemon_report_age_seconds", "Age of the figures of Dagster's daemon.")
    age.add_metric((), max(0.0, now - figures.written_at))
    runs = GaugeMetricFamily("runstart_dagster_runs", "Dagster runs that are kept, by status.", labels=("status",))
    for status, count in sorted(figures.runs.items()):
        runs.add_metric((_label(status),), count)
    ticks = GaugeMetricFamily(
        "runstart_sensor_tick_age_seconds",
        "Time since the newest tick of a sensor or schedule.",
        labels=("sensor",),
    )
    failed = GaugeMetricFamily(
        "runstart_sensor_tick_failed",
        "1 if the newest tick of a sensor or schedule failed, else 0.",
        labels=("sensor",),
    )
    unreadable = CounterMetricFamily(
        "runstart_run_start_messages_unreadable", "Run announcements that could not be decoded.", labels=("sensor",)
    )
    refused = CounterMetricFamily(
        "runstart_run_starts_refused", "Run announcements that cannot be runs.", labels=("sensor",)
    )
    for name, sensor in sorted(figures.sensors.items()):
        labels = (_label(name),)
        if sensor.ticked_at is not None:
            ticks.add_metric(labels, max(0.0, now - sensor.ticked_at))
        failed.add_metric(labels, float(sensor.failed))
        if sensor.unreadable is not None:
            unreadable.add_metric(labels, sensor.unreadable)
        if sensor.refused is not None:
            refused.add_metric(labels, sensor.refused)
    return [age, runs, ticks, failed, unreadable, refused]


def _count_runs(fresh: Iterable[LiveStatus]) -> Metric:
    family = GaugeMetricFamily("runstart_live_runs", "Runs that are live now.", labels=("instrument",))
    counts: dict[str, int] = {}
    for status in fresh:
        counts[status.instrument] = counts.get(status.instrument, 0) + 1
    for instrument, count in sorted(counts.items()):
        family.add_metric((_label(instrument),), count)
    return family


def _ages(known: Iterable[LiveStatus], now: float) -> Metric:
    family = GaugeMetricFamily(
        "runstart_live_run_status_age_seconds", "Time since a run told its status.", labels=_RUN
    )
    for status in known:
        family.add_metric(_labels(status), status.age(now))
    return family


def _identities(fresh: Iterable[LiveStatus]) -> Metric:
    family = InfoMetricFamily("runstart_live_run", "Name and Dagster run of a live run.", labels=_RUN)
    for status in fresh:
        told = {"run_name": _label(status.run_name), "dagster_run_id": _label(status.dagster_run_id)}
        family.add_metric(_labels(status), told)
    return family


def _phases(fresh: Iterable[LiveStatus]) -> Metric:
    family = GaugeMetricFamily(
        "runstart_live_run_phase",
        "1 for the phase that a run is in (counting, closing, finishing), else 0.",
        labels=(*_RUN, "phase"),
    )
    for status in fresh:
        for phase in PHASES:
            family.add_metric((*_labels(status), phase), float(status.phase == phase))
    return family


def _plain(fresh: Iterable[LiveStatus]) -> list[Metric]:
    gauges = {n: GaugeMetricFamily(f"runstart_live_run_{n}", text, labels=_RUN) for n, text in _GAUGES.items()}
    counters = {
        n: CounterMetricFamily(f"runstart_live_run_{n}", text, labels=_RUN) for n, text in _COUNTERS.items()
    }
    families: Mapping[str, GaugeMetricFamily | CounterMetricFamily] = {**gauges, **counters}
    for status in fresh:
        for name, value in _values(status).items():
            if value is not None:
                families[name].add_metric(_labels(status), value)
    return list(families.values())


def _values(status: LiveStatus) -> dict[str, float | None]:
    script = status.script
    failing = any(trouble.kind == "script" for trouble in status.troubles)
    return {
        "events_per_second": status.events_per_second,
        "lag_seconds": status.lag_seconds,
        "snapshot_age_seconds": status.snapshot_age_seconds,
        "snapshot_size_bytes": status.snapshot_bytes,
        "script_duration_seconds": None if script is None else script.seconds,
        "script_failing": None if script is None else float(failing or bool(script.error)),
        "events_in_views": status.events_in_views,
        "proton_charge_coulombs": status.proton_charge_uah * COULOMBS_PER_MICROAMPERE_HOUR,
        "snapshots": status.snapshots,
    }


def _ledgers(fresh: Iterable[LiveStatus]) -> list[Metric]:
    families: dict[str, CounterMetricFamily] = {}
    for status in fresh:
        for column, value in status.ledger.items():
            if not _COLUMN.fullmatch(column):
                continue  # no name of a metric; the ledger itself has none of these
            if column not in families:
                text = f"Ledger of a live run: {column.replace('_', ' ')}."
                families[column] = CounterMetricFamily(f"runstart_ledger_{column}", text, labels=_RUN)
            families[column].add_metric(_labels(status), value)
    return [families[column] for column in sorted(families)]


def _collectors(fresh: Iterable[LiveStatus]) -> list[Metric]:
    labels = (*_RUN, "collector")
    samples = CounterMetricFamily("runstart_collector_samples", "Samples that a collector took.", labels=labels)
    trouble = GaugeMetricFamily(
        "runstart_collector_trouble", "1 if a collector gets nothing, else 0.", labels=labels
    )
    for status in fresh:
        for name, collector in sorted(status.collectors.items()):
            samples.add_metric((*_labels(status), _label(name)), collector.samples)
            trouble.add_metric((*_labels(status), _label(name)), float(bool(collector.trouble)))
    return [samples, trouble]


def _troubles(fresh: Iterable[LiveStatus]) -> Metric:
    family = GaugeMetricFamily(
        "runstart_live_run_troubles", "Things that are wrong with a live run, by kind.", labels=(*_RUN, "kind")
    )
    for status in fresh:
        counts: dict[str, int] = {}
        for trouble in status.troubles:
            counts[_label(trouble.kind)] = counts.get(_label(trouble.kind), 0) + 1
        for kind, count in sorted(counts.items()):
            family.add_metric((*_labels(status), kind), count)
    return family


def _labels(status: LiveStatus) -> tuple[str, str]:
    return _label(status.instrument), _label(status.partition_key)


def _label(text: str) -> str:
    return text[:LONGEST_LABEL].encode("utf-8", "replace").decode()
