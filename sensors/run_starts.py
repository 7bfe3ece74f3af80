"""One sensor for each Kafka cluster: a RunStart that an instrument announces becomes a Dagster run.

A tick waits for announcements for just under the daemon's loop of 5 s and returns as soon as there is a run to
launch, so that a RunStart is seen at once. Run and partition are asked for in the same tick as the cursor moves;
a tick that fails moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from assets import INSTRUMENT_TAG, LiveRuns, live_reduction_job_name, live_run_partitions
from ops.tags import BATCH, KIND_TAG, LIVE
from resources import ObjectStoreResource
from sensors.kafka_connection import KafkaConnection

if TYPE_CHECKING:
    from runstart.instruments import Instrument, KafkaCluster
    from runstart.live.run_starts import Findings, FoundRun

POLL_SECONDS = 4.0  # with the rest of the tick under the daemon's loop of 5 s; a longer tick misses a turn
LIVE_PRIORITY = 100  # before everything else in the queue


def define_run_start_sensor(
    cluster: KafkaCluster, instruments: Iterable[Instrument], live_runs: Iterable[LiveRuns]
) -> dg.SensorDefinition:
    """Return the sensor of a cluster; `run_starts` for the one named `default`."""
    watched = tuple(instruments)
    connection = KafkaConnection()
    names = ", ".join(instrument.name for instrument in watched)

    @dg.sensor(
        name="run_starts" if cluster.name == "default" else f"run_starts_{cluster.name}",
        jobs=[runs.job for runs in live_runs],
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts a live run as soon as one of these instruments announces it on Kafka: {names}.",
    )
    def run_starts(
        context: dg.SensorEvaluationContext, object_store: ObjectStoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        from runstart.errors import Transient
        from runstart.kafka import RunInfoLog
        from runstart.live.run_starts import Cursor, RunStartSearch

        with connection.lock:
            try:
                if connection.log is None:
                    topics = {instrument.topics.run_info for instrument in watched}
                    connection.log = RunInfoLog(cluster.bootstrap_servers, topics, cluster.access)
                search = RunStartSearch(connection.log, watched, object_store.open())
                findings = search.search(Cursor.from_json(context.cursor), POLL_SECONDS)
            except Transient as error:
                connection.drop()
                return dg.SkipReason(f"{error}. The cursor stays where it is; the next tick tries again.")
            except BaseException:
                connection.drop()
                raise
        for remark in findings.remarks:
            context.log.warning(remark)
        return _answer(findings)

    return run_starts


def _answer(findings: Findings) -> dg.SensorResult:
    cursor = findings.cursor.to_json()
    if not findings.runs:
        return dg.SensorResult(skip_reason=_why_nothing(findings), cursor=cursor)
    keys: dict[str, list[str]] = {}
    for run in findings.runs:
        if run.partition_key not in keys.setdefault(run.instrument, []):
            keys[run.instrument].append(run.partition_key)
    requests = [_request(run) for run in findings.runs if run.launch]
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[
            live_run_partitions(instrument).build_add_request(added) for instrument, added in keys.items()
        ],
        cursor=cursor,
        skip_reason=None if requests else _why_nothing(findings),
    )


def _request(run: FoundRun) -> dg.RunRequest:
    tags = {KIND_TAG: LIVE, "dagster/priority": str(LIVE_PRIORITY)} if run.newest else {KIND_TAG: BATCH}
    return dg.RunRequest(
        run_key=f"{run.instrument}:{run.partition_key}",
        job_name=live_reduction_job_name(run.instrument),
        partition_key=run.partition_key,
        tags=tags | {INSTRUMENT_TAG: run.instrument, "runstart/run_name": run.run_name[:200] or "unnamed"},
    )


def _why_nothing(findings: Findings) -> str:
    cursor = findings.cursor
    parts = [f"No RunStart to launch among {findings.messages} new messages"]
    if findings.runs:
        parts.append(f"{len(findings.runs)} runs of the backlog became partitions to backfill")
    if cursor.backlog_ends:
        parts.append("the backlog is still being read")
    if cursor.unreadable or cursor.refused:
        parts.append(f"{cursor.unreadable} unreadable messages and {cursor.refused} refused RunStarts so far")
    return "; ".join([*parts, *findings.remarks[:5]]) + "."
