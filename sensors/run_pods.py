"""Looks after the pods of runs on a cluster, where Dagster's run monitoring does not.

Run monitoring watches runs that have started. This sensor names what keeps one from starting, so that it ends within
seconds, ends those that were stopped before they started, and removes the jobs of runs that have ended.
"""

from __future__ import annotations

import json

import dagster as dg

INTERVAL_SECONDS = 5


def define_run_pods_sensor() -> dg.SensorDefinition:
    """Return the sensor that looks after the pods of runs."""

    @dg.sensor(
        name="run_pods",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose pod cannot start, with the reason that Kubernetes gives; removes the jobs of those "
        "that have ended.",
    )
    def run_pods(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        from resources.run_launcher import RunLauncher

        launcher = context.instance.run_launcher
        if not isinstance(launcher, RunLauncher):
            return dg.SkipReason(
                f"Runs are started by {type(launcher).__name__}, which has no pods to look after: set the run launcher "
                "`resources.run_launcher.RunLauncher` in dagster.yaml."
            )
        told = set(json.loads(context.cursor or "[]"))
        try:
            done = launcher.run_pods.look_after(told)
        except (ApiException, HTTPError) as error:
            return dg.SkipReason(f"Kubernetes does not answer: {' '.join(str(error).split())[:500]}")
        for text in done:
            context.log.info(text)
        return dg.SensorResult(
            skip_reason=" ".join(done[:20]) or "All pods are well.", cursor=json.dumps(sorted(told))
        )

    return run_pods
