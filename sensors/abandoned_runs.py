"""Fails Dagster runs whose process is gone, so that run retries start them again.

Dagster's default launcher does not watch its runs. A live run renews a lease in the object store, and a step of a
night, a scan, a data operation or a session a beat; one that has not moved for too long, by this sensor's own clock,
means that its holder is dead. The same goes for a run that was started and never showed either. While the store is
away, nobody is judged. A cluster's launcher does watch, and knows of a step whose pod waits for its place: there only
leases count.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import dagster as dg

from ops.compute_to_data import COMPUTE_JOB
from ops.run_beats import forget_beat, read_beat
from resources import ObjectStoreResource
from resources.run_ends import fail_run
from sensors.places import find_batch_runs, find_place

if TYPE_CHECKING:
    from assets import Nights, Scans
    from runstart.instruments import Instrument
    from runstart.storage import ObjectStore

SILENCE_FACTOR = 2.0
STARTING_SECONDS = 180.0  # a run may take so long from its start to its lease or first beat
BATCH_SILENCE_SECONDS = 90.0
BATCH_STARTING_SECONDS = 900.0  # a pod may wait for its place

_NOT_SEEN = -1


def define_abandoned_runs_sensor(
    instruments: Iterable[Instrument],
    *,
    nights: Iterable[Nights] = (),
    operations: Iterable[str] = (),
    scans: Iterable[Scans] = (),
) -> dg.SensorDefinition:
    """Return the sensor that watches Dagster runs.

    Parameters
    ----------
    instruments : iterable of Instrument
        Whose live runs are watched.
    nights : iterable of Nights, optional
        Sites whose runs are watched.
    operations : iterable of str, optional
        Jobs of data operations and sessions that are watched.
    scans : iterable of Scans, optional
        Microscopes whose runs are watched.
    """
    names = tuple(instrument.name for instrument in instruments)
    is_batch = find_batch_runs(nights, operations, scans)

    @dg.sensor(
        name="abandoned_runs",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose process is gone; run retries then go on with them.",
    )
    def abandoned_runs(
        context: dg.SensorEvaluationContext, object_store: ObjectStoreResource
    ) -> dg.SkipReason | dg.SensorResult:
        from runstart.errors import Transient

        seen: dict[str, list[float]] = json.loads(context.cursor or "{}")
        runs = context.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        places = {run.run_id: place for run in runs if (place := find_place(run, names)) is not None}
        is_watched = context.instance.run_launcher.supports_check_run_worker_health
        batch = {run.run_id: run for run in runs if not is_watched and run.run_id not in places and is_batch(run)}
        store = object_store.open()
        try:
            beats = _lease_beats(store, places) | _batch_beats(store, batch)
        except Transient as error:
            # Who could not renew meanwhile is given all its time anew.
            return dg.SensorResult(skip_reason=f"Leases cannot be read: {error}", cursor="{}")
        seen, dead = judge_silence(seen, beats, time.time())
        for run in runs:
            if run.run_id in dead:
                message = _explain(places.get(run.run_id))
                fail_run(context.instance, run.run_id, message)
                forget_beat(store, run.run_id)
                context.log.warning(f"Failed run {run.run_id}: {message}")
        reason = f"{len(places)} live runs, {len(places.keys() & dead)} of them abandoned."
        if batch:
            gone = len(batch.keys() & dead)
            reason += f" {len(batch)} runs of nights, data operations and sessions, {gone} of them abandoned."
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


def _explain(place: tuple[str, str] | None) -> str:
    if place is None:
        return "The process of this run is gone: its beat has stopped."
    instrument, partition_key = place
    return f"The process of this run is gone: its lease on {partition_key} of {instrument} expired."


def _lease_beats(store: ObjectStore, places: Mapping[str, tuple[str, str]]) -> dict[str, tuple[int, float]]:
    from runstart.live import read_head

    beats = {}
    for run_id, (instrument, partition_key) in places.items():
        head = read_head(store, instrument, partition_key)
        holds = head.run_id == run_id and not head.released
        beats[run_id] = (head.beat, head.lease_seconds * SILENCE_FACTOR) if holds else (_NOT_SEEN, STARTING_SECONDS)
    return beats


def _batch_beats(store: ObjectStore, runs: Mapping[str, dg.DagsterRun]) -> dict[str, tuple[int, float]]:
    beats = {}
    for run_id, run in runs.items():
        beat = read_beat(store, run_id)
        # A compute job's run beats before it needs any pod.
        starting_s = STARTING_SECONDS if run.job_name == COMPUTE_JOB else BATCH_STARTING_SECONDS
        beats[run_id] = (_NOT_SEEN, starting_s) if beat is None else (beat, BATCH_SILENCE_SECONDS)
    return beats
