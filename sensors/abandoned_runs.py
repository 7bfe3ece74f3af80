"""Fails live runs whose process is gone, so that run retries start them again.

Dagster's default launcher does not watch its runs. A live run renews a lease in the object store; a lease that
has not moved for twice its duration, by this sensor's own clock, means that its holder is dead. The same goes
for a run that was started and never took its lease.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from resources import ObjectStoreResource
from sensors.places import find_place

if TYPE_CHECKING:
    from runstart.instruments import Instrument
    from runstart.storage import ObjectStore

SILENCE_FACTOR = 2.0
STARTING_SECONDS = 180.0  # a run may take so long from its start to its lease


def define_abandoned_runs_sensor(instruments: Iterable[Instrument]) -> dg.SensorDefinition:
    """Return the sensor that watches the live runs of these instruments."""
    names = tuple(instrument.name for instrument in instruments)

    @dg.sensor(
        name="abandoned_runs",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails live runs whose lease has expired; run retries then resume them from their snapshot.",
    )
    def abandoned_runs(
        context: dg.SensorEvaluationContext, object_store: ObjectStoreResource
    ) -> dg.SkipReason | dg.SensorResult:
        from runstart.errors import Transient

        seen: dict[str, list[float]] = json.loads(context.cursor or "{}")
        runs = context.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        places = {run.run_id: place for run in runs if (place := find_place(run, names)) is not None}
        try:
            beats = _beats(object_store.open(), places)
        except Transient as error:
            return dg.SkipReason(f"Leases cannot be read: {error}")
        now = time.time()
        seen, dead = judge_silence(seen, beats, now)
        for run in runs:
            if run.run_id in dead:
                instrument, partition_key = places[run.run_id]
                message = f"The process of this run is gone: its lease on {partition_key} of {instrument} expired."
                context.instance.report_run_failed(run, message)
                context.log.warning(f"Failed run {run.run_id}: {message}")
        reason = f"{len(places)} live runs, {len(dead)} of them abandoned."
        return dg.SensorResult(skip_reason=reason, cursor=json.dumps(seen))

    return abandoned_runs


def judge_silence(
    seen: Mapping[str, list[float]], beats: Mapping[str, tuple[int, float]], now: float
) -> tuple[dict[str, list[float]], set[str]]:
    """Return what to remember, and the runs that have been silent for too long.

    Parameters
    ----------
    seen : mapping of str to [beat, time]
        For each run the last beat, and when it was first seen.
    beats : mapping of str to (beat, seconds)
        For each run its beat now, and the silence that it may keep.
    now : float
        Seconds, by the clock that `seen` was made with.
    """
    remembered, dead = {}, set()
    for run_id, (beat, allowed) in beats.items():
        last, since = seen.get(run_id, [-2, now])
        if last != beat:
            last, since = beat, now
        remembered[run_id] = [last, since]
        if now - since > allowed:
            dead.add(run_id)
    return remembered, dead


def _beats(store: ObjectStore, places: Mapping[str, tuple[str, str]]) -> dict[str, tuple[int, float]]:
    from runstart.live import read_head

    beats = {}
    for run_id, (instrument, partition_key) in places.items():
        head = read_head(store, instrument, partition_key)
        holds = head.run_id == run_id and not head.released
        beats[run_id] = (head.beat, head.lease_seconds * SILENCE_FACTOR) if holds else (-1, STARTING_SECONDS)
    return beats
