"""Runstart's one Dagster code location.

The environment says which deployment this is, once:

RUNSTART_DEPLOYMENT
    `laptop` (the default: everything in process) or `cluster` (steps in pods of their own).
RUNSTART_INSTRUMENTS
    Path of instruments.toml; the one beside this file by default.
RUNSTART_ALERTS
    Path of alerts.toml; the one beside this file by default.
RUNSTART_OBJECT_STORE
    `file:PATH` or `s3://BUCKET/PREFIX`; `file:` under `.runstart/store` by default.
RUNSTART_NIGHTLY_CRON, RUNSTART_PRUNING_CRON, RUNSTART_TIME_ZONE
    When runs are reduced again, and when Dagster is pruned; 02:00 and 04:00 UTC by default.
RUNSTART_KAFKA
    Bootstrap servers of the Kafka cluster named `default`, over those in instruments.toml.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from assets import define_live_runs
from resources import EpicsResource, KafkaResource, LauncherResource, ObjectStoreResource
from runstart.errors import Alert
from runstart.instruments import read_instruments
from sensors import (
    define_abandoned_runs_sensor,
    define_alerts_sensor,
    define_metrics_sensor,
    define_nightly_reduction,
    define_pruning,
    define_run_start_sensor,
)

_DEPLOYMENTS = ("laptop", "cluster")


def build_definitions(environ: Mapping[str, str]) -> dg.Definitions:
    """Return the definitions of a deployment.

    Parameters
    ----------
    environ : mapping of str to str
        The environment; see this module's text.

    Raises
    ------
    Alert
        If the deployment is unknown or instruments.toml is wrong.
    """
    facility = read_instruments(_file(environ, "RUNSTART_INSTRUMENTS", "instruments.toml"), environ)
    live_runs = {
        name: define_live_runs(instrument, facility.clusters[instrument.kafka].access)
        for name, instrument in facility.instruments.items()
    }
    sensors = [
        define_run_start_sensor(
            cluster,
            [i for i in facility.instruments.values() if i.kafka == cluster.name],
            [live_runs[name] for name, i in facility.instruments.items() if i.kafka == cluster.name],
        )
        for cluster in facility.clusters.values()
        if any(i.kafka == cluster.name for i in facility.instruments.values())
    ]
    nightly = define_nightly_reduction(facility.instruments.values(), environ)
    pruning = define_pruning(facility.instruments.values(), environ)
    return dg.Definitions(
        assets=[runs.asset for runs in live_runs.values()],
        asset_checks=[check for runs in live_runs.values() for check in runs.checks],
        jobs=[*(runs.job for runs in live_runs.values()), nightly.job, pruning.job],
        schedules=[nightly.schedule, pruning.schedule],
        sensors=[
            *sensors,
            define_abandoned_runs_sensor(facility.instruments.values()),
            define_alerts_sensor(facility.instruments.values(), _file(environ, "RUNSTART_ALERTS", "alerts.toml")),
            define_metrics_sensor(),
        ],
        resources={
            "kafka": KafkaResource(
                clusters={name: cluster.bootstrap_servers for name, cluster in facility.clusters.items()},
                protocols={name: cluster.security_protocol for name, cluster in facility.clusters.items()},
            ),
            "epics": EpicsResource.from_environment(environ),
            "launcher": LauncherResource(),
            "object_store": ObjectStoreResource.from_environment(environ),
        },
        executor=_executor(environ.get("RUNSTART_DEPLOYMENT", "laptop")),
    )


def _file(environ: Mapping[str, str], variable: str, name: str) -> Path:
    """Return the file that a variable names, or the one beside this file."""
    return Path(environ.get(variable) or Path(__file__).with_name(name))


def _executor(deployment: str) -> dg.ExecutorDefinition:
    """Return what runs the steps of assets that are materialized from the UI."""
    if deployment == "laptop":
        return dg.in_process_executor
    if deployment == "cluster":
        from dagster_k8s import k8s_job_executor

        return k8s_job_executor
    raise Alert(f"RUNSTART_DEPLOYMENT is {deployment!r}.", f"Set it to one of: {', '.join(_DEPLOYMENTS)}.")


defs = build_definitions(os.environ)
