"""Runs the live reduction of one run inside a Dagster step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from ops.errors import told_to_dagster

if TYPE_CHECKING:
    from resources import KafkaResource
    from runstart.instruments import Access, Instrument
    from runstart.launchers import Launcher
    from runstart.live import Result
    from runstart.storage import ObjectStore

_SENSOR_TAG = "dagster/sensor_name"


def reduce_live(
    context: dg.AssetExecutionContext,
    instrument: Instrument,
    kafka: KafkaResource,
    store: ObjectStore,
    launcher: Launcher,
    access: Access,
) -> Result:
    """Return the result of the run that the step's partition names.

    `access` says how the instrument's Kafka cluster is entered; it is no part of the resource, so that run
    configurations show servers and protocol only.

    Raises
    ------
    dagster.Failure
        For an alert and for a lost lease; not retried.
    dagster.RetryRequested
        If the broker or the store stays away for minutes.
    """
    from ops.reporting import DagsterReporter
    from runstart.live import Launch, LeaseLost, Sources, load_record, reduce_run

    run = context.run
    launch = Launch(run_id=run.run_id, root_run_id=run.root_run_id or run.run_id)
    with told_to_dagster(context.retry_number):
        record = load_record(store, instrument.name, context.partition_key)
        sources = Sources(kafka.bootstrap_servers_of(instrument), instrument, record, access)
        if _SENSOR_TAG in run.tags and run.root_run_id is None:
            _tell_start(context, record.start.start_time_ms / 1000)
        try:
            with DagsterReporter(context, store, sources) as reporter:
                return reduce_run(store, sources, launch, reporter, launcher)
        except LeaseLost as error:
            raise dg.Failure(str(error), allow_retries=False) from error


def _tell_start(context: dg.AssetExecutionContext, announced: float) -> None:
    from ops.start_times import read_start_times

    times = read_start_times(context, announced)
    if times is not None:
        context.log.info(times.as_text())
