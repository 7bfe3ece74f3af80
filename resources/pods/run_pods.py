"""Ends Dagster runs whose pod has ended or will never start, by the name of its end, and removes what they leave.

A run's own process does not judge itself when it is told to go: `run_monitoring.max_resume_run_attempts` of the instance is
1, so that it leaves the verdict to the launcher, which sees whether its pod was deleted, evicted, or reached its deadline.
What passes by itself is left to Dagster's run retries, with twice the memory where that ran out; what a person must mend is
not retried. Dagster drops a retry for good if the code location does not answer at that moment, as in an upgrade: it is
asked for again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, MAX_RETRIES_TAG, WILL_RETRY_TAG
from dagster_k8s.job import USER_DEFINED_K8S_CONFIG_KEY, get_job_name_from_run_id

from resources.pods.rules import PodSettings
from resources.run_ends import fail_run
from runstart.pod_ends import (
    JobPods,
    PodEnd,
    double_memory,
    judge_job,
    read_jobs,
    read_last_lines,
    remove_job,
)

if TYPE_CHECKING:
    from kubernetes.client import BatchV1Api, CoreV1Api

DOUBLINGS_TAG = "runstart/memory_doublings"
"""Tag of a run: how often the memory of its pod was doubled, over all its retries."""

PASSES_TAG = "runstart/pod_end_passes"
"""Tag of a run whose pod ended in a way that passes by itself. It has the run's id, since a retry inherits it."""

RUN_ID_LABEL = "dagster/run-id"
COMPONENT_LABEL = "app.kubernetes.io/component"
MAKING_SECONDS = 30.0
"""A run that is starting may have no job for so long."""

AGAIN_SECONDS = 30.0
"""Time between asking for a retry and asking again."""

AGAIN_MOST = timedelta(hours=1)
"""How long after its end a retry is asked for again."""

_RUN_WORKER, _STEP_WORKER = "run_worker", "step_worker"


@dataclass(frozen=True)
class RunPods:
    """The pods of runs in one namespace.

    Parameters
    ----------
    instance : DagsterInstance
        Has the runs.
    batch, core : BatchV1Api and CoreV1Api
        Clients.
    namespace : str
        Where the pods are.
    settings : PodSettings
        What the environment says of pods.
    """

    instance: dg.DagsterInstance
    batch: BatchV1Api
    core: CoreV1Api
    namespace: str
    settings: PodSettings

    def find_end(self, run: dg.DagsterRun) -> PodEnd | None:
        """Return how the pod of a run that goes on has ended; the run is then failed by that name, and its job removed.

        Parameters
        ----------
        run : DagsterRun
            A run that has started.

        Raises
        ------
        kubernetes.client.exceptions.ApiException
            If the API refuses.
        """
        found = self._read(f"{RUN_ID_LABEL}={run.run_id},{COMPONENT_LABEL}={_RUN_WORKER}")
        return self._judge(run, self._of_run(run, found))

    def look_after(self, told: set[str]) -> list[str]:
        """End runs that will never start or were stopped before they did, and remove the jobs of runs that have ended.

        Parameters
        ----------
        told : set of str
            Runs of which it was told already what they wait for; is brought up to date.

        Returns
        -------
        list of str
            What was done.

        Raises
        ------
        kubernetes.client.exceptions.ApiException
            If the API refuses.
        """
        found = self._read(f"{RUN_ID_LABEL},{COMPONENT_LABEL} in ({_RUN_WORKER},{_STEP_WORKER})")
        return [
            *self._remove_those_of_ended_runs(found),
            *self._end_those_before_start(found, told),
            *self._retry_again(),
        ]

    def remove_steps(self, run_id: str) -> None:
        """Remove the jobs of a run's steps.

        Parameters
        ----------
        run_id : str
            Of the run.

        Raises
        ------
        kubernetes.client.exceptions.ApiException
            If the API refuses.
        """
        for step in self._read(f"{RUN_ID_LABEL}={run_id},{COMPONENT_LABEL}={_STEP_WORKER}").values():
            self._remove(step)

    def _end_those_before_start(self, found: Mapping[str, JobPods], told: set[str]) -> list[str]:
        statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
        records = self.instance.get_run_records(dg.RunsFilter(statuses=statuses))
        told &= {record.dagster_run.run_id for record in records}
        done = []
        for record in records:
            run, job = record.dagster_run, self._of_run(record.dagster_run, found)
            if run.status == dg.DagsterRunStatus.CANCELING:
                done += self._cancel(run, job)
            elif job.job is None and time.time() - record.update_timestamp.timestamp() < MAKING_SECONDS:
                continue
            elif (end := self._judge(run, job, told)) is not None:
                done.append(f"Failed run {run.run_id}: {end.name}.")
        return done

    def _cancel(self, run: dg.DagsterRun, job: JobPods) -> list[str]:
        """Report a run as canceled that was asked to stop and has no process any more that could say so."""
        if job.pods:
            return []
        self.instance.report_run_canceled(run, "The run was stopped; its pod is gone.")
        return [f"Run {run.run_id} is canceled: its pod is gone."]

    def _remove_those_of_ended_runs(self, found: Mapping[str, JobPods]) -> list[str]:
        jobs = [each for each in found.values() if each.job is not None]
        run_ids = sorted({_run_id(each) for each in jobs})
        if not run_ids:
            return []
        runs = {run.run_id: run for run in self.instance.get_runs(dg.RunsFilter(run_ids=run_ids))}
        done = []
        for each in jobs:
            run = runs.get(_run_id(each))
            if (run is None or run.is_finished) and not _is_running(each):
                self._remove(each)
                done.append(f"Removed job {each.name}.")
        return done

    def _retry_again(self) -> list[str]:
        """Ask for retries again that Dagster has promised and dropped."""
        dropped = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={WILL_RETRY_TAG: "false"},
            updated_after=datetime.now(UTC) - AGAIN_MOST,
        )
        done = []
        for record in self.instance.get_run_records(dropped):
            run = record.dagster_run
            is_recent = time.time() - record.update_timestamp.timestamp() < AGAIN_SECONDS
            is_dropped = run.tags.get(PASSES_TAG) == run.run_id and AUTO_RETRY_RUN_ID_TAG not in run.tags
            if is_recent or not is_dropped or not _should_be_retried(self.instance, run):
                continue
            again = "The retry of this run could not be started; it is asked for again."
            fail_run(self.instance, run.run_id, again)
            done.append(f"Asked again for the retry of run {run.run_id}.")
        return done

    def _judge(self, run: dg.DagsterRun, found: JobPods, told: set[str] | None = None) -> PodEnd | None:
        judgement = judge_job(self.core, self.namespace, found, patience=self.settings.patience)
        if (
            judgement.waiting is not None
            and judgement.waiting.is_for_place
            and told is not None
            and run.run_id not in told
        ):
            self.instance.report_engine_event(f"The pod of this run waits: {judgement.waiting.reason}", run)
            told.add(run.run_id)
        if judgement.end is None:
            return None
        now = self.instance.get_run_by_id(run.run_id)
        if now is None or now.status != run.status:
            return None  # it has started, or ended by itself, meanwhile
        end = judgement.end
        if end.name == "exit" and not found.pods:
            # The pod of a process that ended stays until its run is over; this one was told to go, and did so in order.
            end = PodEnd("deleted", f"The pod of job {found.name} was deleted.", is_retried=True)
        self._fail(now, end, found)
        return end

    def _fail(self, run: dg.DagsterRun, end: PodEnd, found: JobPods) -> None:
        message = f"The pod of this run ended: {end.name}. {end.reason}"
        is_retried = end.is_retried or end.name == "exit"
        if end.name == "out of memory":
            is_retried, said = self._give_more_memory(run, found)
            message += f" {said}"
        lines = "" if found.pod is None else read_last_lines(self.core, found.pod)
        if lines:
            message += f"\nIts last lines:\n{lines}"
        if is_retried:
            self.instance.add_run_tags(run.run_id, {PASSES_TAG: run.run_id})
            fail_run(self.instance, run.run_id, message)
        else:
            self._fail_for_good(run, message)
        self._remove(found, grace_seconds=0 if end.name == "node lost" else None)

    def _fail_for_good(self, run: dg.DagsterRun, message: str) -> None:
        """Fail a run so that it is not retried; a person's own re-execution, which inherits its tags, is again."""
        allowed = run.tags.get(MAX_RETRIES_TAG, str(self.instance.run_retries_max_retries))
        self.instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})
        fail_run(self.instance, run.run_id, message)
        self.instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: allowed})

    def _give_more_memory(self, run: dg.DagsterRun, found: JobPods) -> tuple[bool, str]:
        """Have the run's retry ask for twice the memory; return whether that is allowed, and a sentence."""
        doublings = int(run.tags.get(DOUBLINGS_TAG, "0"))
        before = _resources(found)
        if not (before.get("limits") or {}).get("memory"):
            return True, "It had no limit of its own: its node was short of memory."
        after = double_memory(before, doublings, self.settings.most_memory)
        if after is None:
            return False, "It gets no more than that; raise what it asks for."
        config = json.loads(run.tags.get(USER_DEFINED_K8S_CONFIG_KEY, "{}"))
        config.setdefault("container_config", {})["resources"] = after
        tags = {USER_DEFINED_K8S_CONFIG_KEY: json.dumps(config), DOUBLINGS_TAG: str(doublings + 1)}
        self.instance.add_run_tags(run.run_id, tags)
        return True, f"Its retry gets {after['limits']['memory']}."

    def _of_run(self, run: dg.DagsterRun, found: Mapping[str, JobPods]) -> JobPods:
        name = get_job_name_from_run_id(run.run_id)
        return found.get(name, JobPods(name))

    def _read(self, selector: str) -> dict[str, JobPods]:
        return read_jobs(self.batch, self.core, self.namespace, selector)

    def _remove(self, found: JobPods, *, grace_seconds: int | None = None) -> None:
        remove_job(self.batch, self.core, self.namespace, found, grace_seconds=grace_seconds)


def _should_be_retried(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    return bool(auto_reexecution_should_retry_run(instance, run, None))


def _run_id(found: JobPods) -> str:
    return str((found.job or {})["metadata"]["labels"][RUN_ID_LABEL])


def _is_running(found: JobPods) -> bool:
    pod = found.pod
    return (
        pod is not None and pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    )


def _resources(found: JobPods) -> Mapping[str, Any]:
    pod = found.pod or {"spec": {"containers": [{}]}}
    return pod["spec"]["containers"][0].get("resources") or {}
