"""Tells people what is wrong: failed runs and checks from Dagster, and live runs from what they tell of themselves.

`alerts.toml` is read in each tick: a mistake in it fails the tick, and nothing else. What Dagster's events say is
read in the order in which they were stored, a bounded number in a tick. What was told, and what channels still owe, is
in the cursor, which moves when the tick ends: if the daemon dies before that, a notice comes twice and never not at
all. Before the first tick nothing is told. What is wrong is left for the live page too, whether or not there is a channel.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from resources import ObjectStoreResource

if TYPE_CHECKING:
    from runstart.alerts import AlertsConfiguration, AlertsState, Condition, Deliveries, Memory, Sighting
    from runstart.instruments import Instrument
    from runstart.metrics import LiveStatus
    from runstart.storage import ObjectStore

TICK_SECONDS = 30


def define_alerts_sensor(instruments: Iterable[Instrument], config_file: Path) -> dg.SensorDefinition:
    """Return the sensor that tells people what is wrong.

    Parameters
    ----------
    instruments : iterable of Instrument
        Of the facility.
    config_file : Path
        `alerts.toml`; without it nobody is told but who looks at the live page.
    """
    names = tuple(instrument.name for instrument in instruments)

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells people by webhook and mail what is wrong, as {config_file.name} says: failed runs and "
        "checks, lag, gaps, scripts and collectors in trouble.",
    )
    def alerts(context: dg.SensorEvaluationContext, object_store: ObjectStoreResource) -> dg.SensorResult:
        from runstart.alerts import AlertsConfiguration, deliver, hold, judge, open_channels, read_alerts

        configuration = read_alerts(config_file, names) if config_file.is_file() else AlertsConfiguration()
        channels = open_channels(configuration)
        now = time.time()
        state = _recall(context)
        state, sighting = _look(context, object_store, configuration, state, now)
        memory, notices = judge(state.memory, sighting, now, configuration.policy)
        outbox = hold(state.outbox, notices, [channel.name for channel in channels])
        done = deliver(outbox, channels, now, configuration.quiet)
        _log(context, done)
        _show(context, object_store, memory)
        state = replace(state, memory=memory, outbox=done.outbox)
        nobody = "" if channels else _why_nobody_is_told(config_file)
        return dg.SensorResult(skip_reason=_sum_up(state, done, nobody), cursor=state.to_json())

    return alerts


def _recall(context: dg.SensorEvaluationContext) -> AlertsState:
    """Return what the cursor remembers; nothing if another version of this code wrote it."""
    from runstart.alerts import AlertsState

    try:
        return AlertsState.from_json(context.cursor)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # The old cursor would fail every tick for ever, and nobody would be told anything any more.
        context.log.error(
            f"What was told before cannot be read ({type(error).__name__}: {error}): conditions that last are told "
            "again, and failures since the last tick are not."
        )
        return AlertsState()


def _look(
    context: dg.SensorEvaluationContext,
    object_store: ObjectStoreResource,
    configuration: AlertsConfiguration,
    state: AlertsState,
    now: float,
) -> tuple[AlertsState, Sighting]:
    """Return what is wrong now, and the state with the place up to which Dagster's events were read."""
    from runstart.alerts import LIVE_KINDS, Sighting, find_live_conditions
    from runstart.errors import Alert, Transient
    from sensors.run_outcomes import read_outcomes

    outcomes = read_outcomes(context.instance, configuration, state.read_up_to, now)
    try:
        live = find_live_conditions(_live_statuses(context, object_store.open(), now), configuration, now)
        unseen: frozenset[str] = frozenset()
    except (Alert, Transient) as error:
        context.log.warning(f"Live runs cannot be looked at: {error}")
        live, unseen = [], LIVE_KINDS
    conditions: tuple[Condition, ...] = (*outcomes.conditions, *live)
    return replace(state, read_up_to=outcomes.read_up_to), Sighting(conditions, outcomes.resolved, unseen)


def _live_statuses(context: dg.SensorEvaluationContext, store: ObjectStore, now: float) -> list[LiveStatus]:
    """Return the status of the live runs; of silent ones only those that Dagster thinks are still going."""
    from runstart.alerts import STALE_SECONDS
    from runstart.metrics import read_live_statuses

    found = read_live_statuses(store)
    for key in found.unreadable:
        context.log.warning(f"{key} is not the status of a live run.")
    silent = [s.dagster_run_id for s in found.statuses if s.age(now) > STALE_SECONDS and s.dagster_run_id]
    runs = context.instance.get_runs(dg.RunsFilter(run_ids=silent)) if silent else []
    going = {run.run_id for run in runs if not run.is_finished}
    return [s for s in found.statuses if s.age(now) <= STALE_SECONDS or s.dagster_run_id in going]


def _show(context: dg.SensorEvaluationContext, object_store: ObjectStoreResource, memory: Memory) -> None:
    """Leave what is wrong where pages find it; that nobody sees it there must not keep a notice back."""
    from runstart.alerts import show_known
    from runstart.errors import Alert, Transient

    try:
        show_known(object_store.open(), memory)
    except (Alert, Transient) as error:
        context.log.warning(f"Pages do not show what is wrong: {error}")


def _log(context: dg.SensorEvaluationContext, done: Deliveries) -> None:
    for channel, notices in done.sent.items():
        for notice in notices:
            context.log.info(f"{channel}: {notice.state}: {notice.condition.text}")
    for trouble in done.troubles:
        context.log.warning(trouble)


def _why_nobody_is_told(config_file: Path) -> str:
    missing = "names no webhook and no e-mail" if config_file.is_file() else "does not exist"
    return f"nobody is told but who looks at the live page: {config_file} {missing}"


def _sum_up(state: AlertsState, done: Deliveries, nobody: str) -> str:
    sent = sum(len(notices) for notices in done.sent.values())
    owed = sum(len(channel.notices) for channel in state.outbox.values())
    told = nobody or f"{sent} notices delivered, {owed} still to be delivered"
    return "; ".join([f"{len(state.memory)} conditions, {told}", *done.troubles[:5]])
