"""Looks after compute jobs: launches those that have no run, ends those whose run is dead, removes what is over.

A gateway launches a job's run itself; one that was killed between taking the job and launching it leaves that to this
sensor. A run ends its job itself; one that was killed leaves that too. Each tick may be cut off anywhere and done again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from ops.compute_to_data import COMPUTE, COMPUTE_JOB
from ops.tags import KIND_TAG
from resources import ComputeResource, LauncherResource, ObjectStoreResource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runstart.compute import ComputeEnvironment, JobBook, JobRecord
    from runstart.compute.notices import Notices

INTERVAL_SECONDS = 5
MOST_LAUNCHES = 20  # in one tick
UNLAUNCHED_SECONDS = 20.0  # a gateway has launched within this time
LOST_SECONDS = 3600.0  # a job without a run for so long has lost it
ANNOUNCE_SECONDS = 60.0

_UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)


def define_compute_jobs_sensor(job: dg.JobDefinition) -> dg.SensorDefinition:
    """Return the sensor that looks after compute jobs.

    Parameters
    ----------
    job : JobDefinition
        Carries one out.
    """

    @dg.sensor(
        name="compute_jobs",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Launches compute jobs that have no run, stops those that are to stop, ends those whose run is dead, "
        "and removes results whose time is over and whatever killed runs have left on this machine.",
    )
    def compute_jobs(
        context: dg.SensorEvaluationContext,
        object_store: ObjectStoreResource,
        launcher: LauncherResource,
        compute: ComputeResource,
    ) -> dg.SensorResult:
        from runstart.compute import JobBook
        from runstart.compute.expiry import remove_expired
        from runstart.compute.looking_after import clean_machine
        from runstart.errors import Alert, Transient

        try:
            environments = compute.open()
            starts, book = launcher.open(), JobBook(object_store.open())
            keeper = _Keeper(context, book, environments, starts.place_s, compute.notices())
            cursor = keeper.announce(context.cursor)
            launched = list(keeper.look_after())
        except (Alert, Transient) as error:
            return dg.SensorResult(skip_reason=f"Jobs cannot be looked after: {error}", cursor=context.cursor)
        told = keeper.told
        try:
            told += [f"The results of {job_id} have expired." for job_id in remove_expired(book)]
            told += clean_machine(book, starts, compute.root())
        except (Alert, Transient, OSError) as error:
            told.append(f"Not everything could be removed: {error}")
        for text in told:
            context.log.info(text)
        if launched:
            return dg.SensorResult(run_requests=launched, cursor=cursor)
        return dg.SensorResult(
            skip_reason=" ".join(told[:MOST_LAUNCHES]) or "Nothing was to be done.", cursor=cursor
        )

    return compute_jobs


@dataclass
class _Keeper:
    """One tick."""

    context: dg.SensorEvaluationContext
    book: JobBook
    environments: Mapping[str, ComputeEnvironment]
    place_s: float
    notices: Notices

    def __post_init__(self) -> None:
        self.now = time.time()
        self.told: list[str] = []

    def announce(self, cursor: str | None) -> str:
        """Say once in a while that the environments are looked after."""
        from runstart.compute.announcing import announce

        if cursor is not None and self.now - float(cursor) < ANNOUNCE_SECONDS:
            return cursor
        announce(self.book.store, self.environments, self.now)
        return str(self.now)

    def look_after(self) -> Iterator[dg.RunRequest]:
        """Do what each unfinished job needs, and yield the runs that have to be launched."""
        self.told += [f"The job {job_id} had left a mark." for job_id in self.book.sweep()]
        records = self.book.running()
        unfinished = self._unfinished_runs() if records else {}
        launches = 0
        for record in records:
            run = unfinished.get(record.job_id) or self._newest_run(record)
            if run is None:
                request = self._without_run(record)
                if request is not None and launches < MOST_LAUNCHES:
                    launches += 1
                    yield request
            elif run.is_finished:
                self._end(record, f"Its run {run.run_id} ended before it.", run.status)
            else:
                self._with_run(record, run)

    def _unfinished_runs(self) -> dict[str, dg.DagsterRun]:
        from runstart.compute import JOB_TAG

        filters = dg.RunsFilter(statuses=list(_UNFINISHED), tags={KIND_TAG: COMPUTE})
        runs = self.context.instance.get_runs(filters)
        # The oldest of several, which has the job or will have it.
        return {run.tags[JOB_TAG]: run for run in runs if JOB_TAG in run.tags}

    def _newest_run(self, record: JobRecord) -> dg.DagsterRun | None:
        """Return the run that has a job, or the newest that was launched for it."""
        from runstart.compute import JOB_TAG

        if record.run_id:
            return self.context.instance.get_run_by_id(record.run_id)
        runs = self.context.instance.get_runs(dg.RunsFilter(tags={JOB_TAG: record.job_id}), limit=1)
        return runs[0] if runs else None

    def _without_run(self, record: JobRecord) -> dg.RunRequest | None:
        from runstart.compute import Status, run_config, run_tags
        from runstart.compute.looking_after import is_stale

        if record.run_id or is_stale(record, LOST_SECONDS):
            self._end(record, "Its run is not known to Dagster any more.", None)
        elif record.stopreq:
            self._end(record, "It was stopped before it had a run.", None)
        elif record.status is Status.WARMING_UP and is_stale(record, UNLAUNCHED_SECONDS):
            return dg.RunRequest(
                record.job_id, job_name=COMPUTE_JOB, run_config=run_config(record.job_id), tags=run_tags(record)
            )
        return None

    def _with_run(self, record: JobRecord, run: dg.DagsterRun) -> None:
        """Stop a run that waits though its job is to stop, and one that hangs."""
        from runstart.compute.looking_after import HANGS_AFTER_S, overdue_s, time_out

        late_s = overdue_s(record, self.environments, self.place_s, self.now)
        if record.stopreq and run.status in _WAITING:
            self.context.instance.run_coordinator.cancel_run(run.run_id)
            self._end(record, "It was stopped before it began.", None)
        elif late_s > HANGS_AFTER_S:
            # It does not react to being terminated. Whatever it does now, its job has ended.
            self._end(record, "Its run hangs.", None)
            self.context.instance.report_run_canceled(run, "The compute job ran out of time, and this run hangs.")
        elif late_s > 0.0 and run.status is not dg.DagsterRunStatus.CANCELING:
            time_out(self.book, record)
            self.context.instance.run_coordinator.cancel_run(run.run_id)
            self.told.append(f"The job {record.job_id} takes too long: its run is terminated.")

    def _end(self, record: JobRecord, why: str, status: dg.DagsterRunStatus | None) -> None:
        """End a job whose run has ended; unless the run has done so just now."""
        from runstart.compute.looking_after import end_dead_job

        was_stopped = status is dg.DagsterRunStatus.CANCELED
        ended = end_dead_job(
            self.book, record, why, was_stopped=was_stopped, notices=self.notices, tell=self.told.append
        )
        self.told.append(f"The job {ended.job_id} has ended: {ended.status.text}. {ended.reason}")
