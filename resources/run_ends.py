"""Fails a Dagster run from outside: the one way for all who find that its process or its pod is gone.

Dagster stores the event of a failure first, then the run's status, then whether it is retried. Its daemons look in
between too: the one of retries, which sees the event before the status, drops the retry for good, and a backfill that
sees the status before the promise of a retry takes the run for its last one. Here each is there before it is needed.
"""

from __future__ import annotations

import dagster as dg


def fail_run(instance: dg.DagsterInstance, run_id: str, message: str) -> None:
    """Fail a run; it is retried as its tags and the instance say.

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
    failure = dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, run.job_name, message=message)
    instance.run_storage.handle_run_event(run_id, failure)
    instance.report_run_failed(run, message)
