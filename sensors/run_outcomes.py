"""Reads from Dagster which runs and checks failed, and which got well again.

Only the ends of runs are followed, by one cursor; the checks of a run are read when it has ended. Work is bounded: at
most `MOST_EVENTS` ends of each sort in one look. What ended more than a day before it is looked at is not told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

import dagster as dg

from assets import INSTRUMENT_TAG
from ops.compute_to_data import CODE_TAG

if TYPE_CHECKING:
    from runstart.alerts import AlertsConfiguration, Condition

MOST_EVENTS = 50
OLDEST_SECONDS = 86_400.0
_ENDS = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)


@dataclass
class Outcomes:
    """What the ends of runs say.

    Attributes
    ----------
    read_up_to : int
        Storage id of the last event looked at.
    conditions : dict of str to Condition
        Failures, by identity.
    resolved : set of str
        Identities of failures that something later resolved.
    """

    read_up_to: int
    by_identity: dict[str, Condition] = field(default_factory=dict)
    resolved_identities: set[str] = field(default_factory=set)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The failures that nothing later resolved."""
        return tuple(self.by_identity.values())

    @property
    def resolved(self) -> frozenset[str]:
        """Identities of failures that something later resolved."""
        return frozenset(self.resolved_identities)

    def add(self, condition: Condition) -> None:
        """Note a failure."""
        self.by_identity[condition.identity] = condition
        self.resolved_identities.discard(condition.identity)

    def resolve(self, identity: str) -> None:
        """Note that a failure, if there was one, is resolved."""
        self.by_identity.pop(identity, None)
        self.resolved_identities.add(identity)


def read_outcomes(
    instance: dg.DagsterInstance, configuration: AlertsConfiguration, read_up_to: int | None, now: float
) -> Outcomes:
    """Return what the runs say that ended since the last look.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Keeps the runs.
    configuration : AlertsConfiguration
        Which failures are told, and where Dagster's UI is.
    read_up_to : int or None
        Storage id of the last event looked at; None begins with what ends from now on.
    now : float
        Time in s since 1970.
    """
    newest = max(
        (r.storage_id for kind in _ENDS for r in instance.fetch_run_status_changes(kind, 1).records), default=0
    )
    if read_up_to is None:
        return Outcomes(newest)
    outcomes = Outcomes(min(read_up_to, newest))  # an event log that was wiped counts from 1 again
    for record in _ended_since(instance, outcomes.read_up_to):
        outcomes.read_up_to = record.storage_id
        if record.timestamp < now - OLDEST_SECONDS:
            continue
        run = instance.get_run_by_id(record.run_id)
        if run is not None:
            _judge_run(outcomes, configuration, run, record.event_log_entry)
            _judge_checks(outcomes, configuration, run, instance)
    return outcomes


def _ended_since(instance: dg.DagsterInstance, storage_id: int) -> list[dg.EventLogRecord]:
    """Return the next ends of runs, in the order in which they were stored."""
    found: list[dg.EventLogRecord] = []
    horizon = float("inf")
    for kind in _ENDS:
        wanted = dg.RunStatusChangeRecordsFilter(kind, after_storage_id=storage_id)
        records = instance.fetch_run_status_changes(wanted, MOST_EVENTS, ascending=True).records
        if len(records) == MOST_EVENTS:
            horizon = min(
                horizon, records[-1].storage_id
            )  # of this sort there may be more, and earlier than others
        found += records
    return sorted((r for r in found if r.storage_id <= horizon), key=lambda record: record.storage_id)


def _judge_run(
    outcomes: Outcomes, configuration: AlertsConfiguration, run: dg.DagsterRun, entry: dg.EventLogEntry
) -> None:
    from runstart.alerts import Condition, identify, run_link

    instrument, key = _place(run)
    if run.status == dg.DagsterRunStatus.SUCCESS:
        outcomes.resolve(identify("failed_run", instrument, key))
        return
    if CODE_TAG in run.tags:
        return  # whoever ordered the job is told; it is nothing that the facility's people can mend
    if run.status != dg.DagsterRunStatus.FAILURE or not configuration.rules_of(instrument).failed_run:
        return
    again = " Dagster starts it again." if run.tags.get("dagster/will_retry") == "true" else ""
    text = (
        f"{' '.join(part for part in (instrument, key) if part)}: the Dagster run failed.{again} {_reason(entry)}"
    )
    link = run_link(configuration.link, run.run_id)
    outcomes.add(Condition("failed_run", instrument, key, text, entry.timestamp, link))


def _reason(entry: dg.EventLogEntry) -> str:
    """Return why a run failed: in the words of the step that failed first, if one did."""
    event = entry.dagster_event
    data = None if event is None else event.event_specific_data
    first = getattr(data, "first_step_failure_event", None)
    if first is None:
        return (event.message if event is not None else None) or entry.user_message
    failure = first.step_failure_data
    told = failure.user_failure_data
    if told is not None and told.description:
        return str(told.description)
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause  # Dagster wraps what the step raised
    return error.message if error is not None else str(first.message)


def _judge_checks(
    outcomes: Outcomes, configuration: AlertsConfiguration, run: dg.DagsterRun, instance: dg.DagsterInstance
) -> None:
    from runstart.alerts import Condition, identify

    instrument, key = _place(run)
    for evaluation, timestamp in _evaluations(instance, run):
        check = evaluation.asset_check_key.to_user_string()
        if evaluation.passed:
            outcomes.resolve(identify("failed_check", instrument, key, check))
        elif configuration.rules_of(instrument).failed_check:
            name = f"{instrument} {key}".strip()
            text = f"{name}: check {evaluation.check_name} failed: {evaluation.description or 'no description.'}"
            link = _check_link(configuration.link, evaluation.asset_key)
            outcomes.add(Condition("failed_check", instrument, key, text, timestamp, link, check))


def _evaluations(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> Iterator[tuple[dg.AssetCheckEvaluation, float]]:
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is not None:
            yield event.asset_check_evaluation_data, record.timestamp


def _place(run: dg.DagsterRun) -> tuple[str, str]:
    """Return instrument and partition of a run; without a partition the name of its job."""
    return run.tags.get(INSTRUMENT_TAG, ""), run.tags.get("dagster/partition") or run.job_name


def _check_link(base: str, asset: dg.AssetKey) -> str:
    path = "/".join(quote(part, safe="") for part in asset.path)
    return f"{base}/assets/{path}?view=checks" if base else ""
