"""Finds what is wrong with the runs that are live, from the figures that they tell of themselves.

A status that is old says only that its run is silent; its other figures are not judged.
"""

from __future__ import annotations

from collections.abc import Iterable

from runstart.alerts.conditions import Condition
from runstart.alerts.configuration import AlertsConfiguration
from runstart.metrics.live_status import LiveStatus

LIVE_KINDS = frozenset({"lag", "gap", "script_failing", "collector_trouble", "snapshot_age", "silence"})
STALE_SECONDS = 30.0  # several display intervals


def find_live_conditions(
    statuses: Iterable[LiveStatus], configuration: AlertsConfiguration, now: float
) -> list[Condition]:
    """Return what is wrong with live runs.

    Parameters
    ----------
    statuses : iterable of LiveStatus
        Of the runs whose Dagster run has not ended.
    configuration : AlertsConfiguration
        Rules and limits.
    now : float
        Time in s since 1970.

    Returns
    -------
    list of Condition
        Each with a link to the Dagster run.
    """
    found: list[Condition] = []
    for status in statuses:
        found += _find(status, configuration, now)
    return found


def run_link(base: str, dagster_run_id: str) -> str:
    """Return the address of a Dagster run's page, or nothing if there is no base."""
    from urllib.parse import quote

    return f"{base}/runs/{quote(dagster_run_id, safe='')}" if base and dagster_run_id else ""


def _find(status: LiveStatus, configuration: AlertsConfiguration, now: float) -> list[Condition]:
    rules = configuration.rules_of(status.instrument)
    link = run_link(configuration.link, status.dagster_run_id)
    age = status.age(now)
    found: list[Condition] = []

    def add(kind: str, text: str, since: float, subject: str = "") -> None:
        told = f"{status.instrument} {status.run_name or status.partition_key}: {text}"
        found.append(Condition(kind, status.instrument, status.partition_key, told, since, link, subject))

    if age > STALE_SECONDS:
        if 0 < rules.silence_seconds < age:
            add("silence", f"the live run has told nothing for {age:.0f} s.", status.written_at)
        return found
    if 0 < rules.lag_seconds < status.lag_seconds:
        limit = f"more than the limit of {rules.lag_seconds:g} s"
        add("lag", f"counting is {status.lag_seconds:.0f} s behind, {limit}.", now - status.lag_seconds)
    missing = status.ledger.get("missing_message_ids", 0)
    if rules.gap and missing > 0:
        add("gap", f"{missing:,} message ids are missing: events were lost before they reached Kafka.", now)
    snapshot_age = status.snapshot_age_seconds
    if snapshot_age is not None and 0 < rules.snapshot_age_seconds < snapshot_age:
        limit = f"more than the limit of {rules.snapshot_age_seconds:g} s"
        add("snapshot_age", f"the newest snapshot is {snapshot_age:.0f} s old, {limit}.", now - snapshot_age)
    if rules.script_failing and (error := _script_error(status)):
        add("script_failing", f"the reduction script fails: {error}", now)
    if rules.collector_trouble:
        for name, trouble in sorted(_collector_troubles(status).items()):
            add("collector_trouble", f"collector {name}: {trouble}", now, name)
    return found


def _script_error(status: LiveStatus) -> str:
    if status.script is not None and status.script.error:
        return status.script.error
    return next((trouble.text or trouble.name for trouble in status.troubles if trouble.kind == "script"), "")


def _collector_troubles(status: LiveStatus) -> dict[str, str]:
    told = {t.name: t.text or "is in trouble" for t in status.troubles if t.kind == "collector"}
    return told | {name: c.trouble for name, c in status.collectors.items() if c.trouble}
