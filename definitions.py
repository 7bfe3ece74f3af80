"""Runstart's one Dagster code location.

The environment says which deployment this is, once:

RUNSTART_DEPLOYMENT
    `laptop` (the default: everything in process) or `cluster` (steps in pods of their own).
RUNSTART_INSTRUMENTS
    Path of instruments.toml; the one beside this file by default.
RUNSTART_OBJECT_STORE
    `file:PATH` or `s3://BUCKET/PREFIX`; `file:` under `.runstart/store` by default.
RUNSTART_KAFKA
    Bootstrap servers of the Kafka cluster named `default`, over those in instruments.toml.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from assets import define_live_runs
from resources import KafkaResource, ObjectStoreResource
from runstart.errors import Alert
from runstart.instruments import read_instruments
from sensors import define_abandoned_runs_sensor, define_run_start_sensor

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
    beside = Path(__file__).with_name("instruments.toml")
    facility = read_instruments(Path(environ.get("RUNSTART_INSTRUMENTS", str(beside))), environ)
    live_runs = {name: define_live_runs(instrument) for name, instrument in facility.instruments.items()}
    sensors = [
        define_run_start_sensor(
            cluster,
            [i for i in facility.instruments.values() if i.kafka == cluster.name],
            [live_runs[name] for name, i in facility.instruments.items() if i.kafka == cluster.name],
        )
        for cluster in facility.clusters.values()
        if any(i.kafka == cluster.name for i in facility.instruments.values())
    ]
    return dg.Definitions(
        assets=[runs.asset for runs in live_runs.values()],
        asset_checks=[check for runs in live_runs.values() for check in runs.checks],
        jobs=[runs.job for runs in live_runs.values()],
        sensors=[*sensors, define_abandoned_runs_sensor(facility.instruments.values())],
        resources={
            "kafka": KafkaResource(
                clusters={name: cluster.bootstrap_servers for name, cluster in facility.clusters.items()}
            ),
            "object_store": ObjectStoreResource.from_environment(environ),
        },
        executor=_executor(environ.get("RUNSTART_DEPLOYMENT", "laptop")),
    )


def _executor(deployment: str) -> dg.ExecutorDefinition:
    """Return what runs the steps of assets that are materialized from the UI."""
    if deployment == "laptop":
        return dg.in_process_executor
    if deployment == "cluster":
        from dagster_k8s import k8s_job_executor

        return k8s_job_executor
    raise Alert(f"RUNSTART_DEPLOYMENT is {deployment!r}.", f"Set it to one of: {', '.join(_DEPLOYMENTS)}.")


defs = build_definitions(os.environ)
