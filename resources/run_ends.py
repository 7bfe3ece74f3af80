"""Fails a Dagster run from outside: the one way for all who find that its process or its pod is gone."""

from __future__ import annotations

import dagster as dg


def fail_run(instance: dg.DagsterInstance, run_id: str, message: str) -> None:
    """Fail a run, and say before whether it is going to be retried.

    Dagster says so a moment after the failure: a backfill that looks in between takes the run for its last one, and ends.

    Parameters
    ----------
    instance : DagsterInstance
        Knows the run.
    run_id : str
        The run; its tags, as they are now, decide about the retry. One that is gone is left so.
    message : str
        Why.
    """
    from dagster._core.execution.retries import auto_reexecution_should_retry_run
    from dagster._core.storage.tags import WILL_RETRY_TAG

    run = instance.get_run_by_id(run_id)
    if run is None:
        return
    if instance.run_retries_enabled:
        failed = run.with_status(dg.DagsterRunStatus.FAILURE)
        will_retry = bool(auto_reexecution_should_retry_run(instance, failed, None))
        instance.add_run_tags(run_id, {WILL_RETRY_TAG: str(will_retry).lower()})
    instance.report_run_failed(run, message)
