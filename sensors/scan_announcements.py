"""One sensor for each Kafka cluster on which scans are announced: an announced scan becomes a Dagster run.

A tick waits for announcements for at most a second, so that it keeps no other sensor waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from assets import Scans
from resources import ObjectStoreResource
from sensors.kafka_connection import KafkaConnection
from sensors.scans import answer_scans

if TYPE_CHECKING:
    from runstart.instruments import KafkaCluster
    from runstart.scans import FoundAnnounced

POLL_SECONDS = 1.0


def define_scan_announcements_sensor(cluster: KafkaCluster, scans: Iterable[Scans]) -> dg.SensorDefinition:
    """Return the sensor of a cluster; `scan_announcements` for the one named `default`.

    Parameters
    ----------
    cluster : KafkaCluster
        Where scans are announced.
    scans : iterable of Scans
        Of the microscopes whose scans are announced there.
    """
    watched = tuple(scans)
    microscopes = {each.microscope.name: each.microscope for each in watched}
    topics = {m.announcements.topic for m in microscopes.values() if m.announcements is not None}
    connection = KafkaConnection()

    @dg.sensor(
        name="scan_announcements" if cluster.name == "default" else f"scan_announcements_{cluster.name}",
        jobs=[job for each in watched for job in (each.job, each.live_job)],
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts a run as soon as a scan of one of these microscopes is announced: {', '.join(microscopes)}.",
    )
    def scan_announcements(
        context: dg.SensorEvaluationContext, object_store: ObjectStoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        from runstart.errors import Transient
        from runstart.kafka import RunInfoLog
        from runstart.scans import find_announced

        with connection.lock:
            try:
                if connection.log is None:
                    connection.log = RunInfoLog(cluster.bootstrap_servers, topics, cluster.access)
                log, store = connection.log, object_store.open()
                found = find_announced(microscopes.values(), context.cursor, log, store, POLL_SECONDS)
            except Transient as error:
                connection.drop()
                return dg.SkipReason(f"{error}. The cursor stays where it is; the next tick tries again.")
            except BaseException:
                connection.drop()
                raise
        for remark in found.remarks:
            context.log.warning(remark)
        return answer_scans(found.scans, microscopes, found.cursor, _why_nothing(found))

    return scan_announcements


def _why_nothing(found: FoundAnnounced) -> str:
    parts = [f"No scan to launch among {found.messages} new messages"]
    if found.scans:
        parts.append(f"{len(found.scans)} scans of the backlog became partitions")
    if found.unreadable or found.refused:
        parts.append(f"{found.unreadable} unreadable messages and {found.refused} refused scans so far")
    return "; ".join([*parts, *found.remarks[:5]]) + "."
