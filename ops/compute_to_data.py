"""Compute jobs as a Dagster job: provision, algorithm, filter and publish, each a step of one run in one process.

The record of a compute job is what clients are told; the run shows the same to people. A job that was stopped is a run that
was canceled, one that has failed or run out of time a run that has failed, with the reason.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ops.errors import told_to_dagster
from ops.run_beats import beating
from ops.tags import COMPUTE_SERVICE_ACCOUNT, K8S_CONFIG_TAG, KIND_TAG
from resources import ComputeResource, LauncherResource, ObjectStoreResource

if TYPE_CHECKING:
    from runstart.compute.job import ComputeJob

COMPUTE_JOB = "compute_to_data"
COMPUTE = "compute"  # a value of KIND_TAG
CODE_TAG = "runstart/compute_code"  # the state in which a run has ended its job, if that was not finished

_JOB_OUT = dg.Out(dg.String, description="The compute job.")


class ComputeConfig(dg.Config):
    """Which compute job a run carries out."""

    job_id: str = Field(description="The job: its record lies under compute/jobs/ in the object store.")


def define_compute_job() -> dg.JobDefinition:
    """Return the job that carries compute jobs out; its config is the compute job's name."""

    @dg.job(
        name=COMPUTE_JOB,
        description="Runs a stranger's algorithm beside the data: brings its inputs, runs it confined in its image, has "
        "the filter look at its outputs, and publishes them. It is launched for jobs that were ordered through the "
        "gateway; terminate the run to stop the job.",
        config=dg.ConfigMapping(
            config_fn=lambda config: {"ops": {"provision_job": {"config": config}}},
            config_schema=ComputeConfig.to_config_schema(),
        ),
        executor_def=dg.in_process_executor,
        # It ends once: a run that has died is not started again.
        tags={
            KIND_TAG: COMPUTE,
            "dagster/max_retries": "0",
            K8S_CONFIG_TAG: {"pod_spec_config": {"service_account_name": COMPUTE_SERVICE_ACCOUNT}},
        },
    )
    def job() -> None:
        publish_results(filter_outputs(run_algorithm(provision_job())))

    return job


@dg.op(
    description="Brings the inputs, the algorithm and its image, within the room and the time of the environment.",
    out={"job": dg.Out(dg.String, is_required=False, description="The compute job, if no other run has it.")},
)
def provision_job(
    context: dg.OpExecutionContext,
    config: ComputeConfig,
    object_store: ObjectStoreResource,
    launcher: LauncherResource,
    compute: ComputeResource,
) -> Iterator[dg.Output[str]]:
    """Begin a job, and bring what it needs."""
    from runstart.compute.looking_after import clean_folders
    from runstart.compute.records import JobTaken

    with _at_job(context, config.job_id, object_store, launcher, compute) as job:
        for text in clean_folders(job.book, job.root):
            context.log.info(text)
        try:
            job.begin(context.run_id)
        except JobTaken as taken:
            context.log.warning(f"The run {taken.record.run_id} carries this job out already.")
            return
        fetched = job.provision()
    rows = [
        dg.TableRecord(
            {"file": file.place, "from": file.origin, "bytes": f"{file.n_bytes:,}", "sha256": file.sha256}
        )
        for file in fetched
    ]
    yield dg.Output(config.job_id, "job", metadata={"fetched": dg.MetadataValue.table(rows), **_count(fetched)})


@dg.op(description="Runs the algorithm: confined, without a network, within its limits.", out=_JOB_OUT)
def run_algorithm(
    context: dg.OpExecutionContext,
    job_id: str,
    object_store: ObjectStoreResource,
    launcher: LauncherResource,
    compute: ComputeResource,
) -> str:
    """Run the algorithm of a job."""
    with _at_job(context, job_id, object_store, launcher, compute) as job:
        job.run_algorithm()
    return job_id


@dg.op(description="Has the environment's filter look at the outputs, if it has one.", out=_JOB_OUT)
def filter_outputs(
    context: dg.OpExecutionContext,
    job_id: str,
    object_store: ObjectStoreResource,
    launcher: LauncherResource,
    compute: ComputeResource,
) -> str:
    """Run the filter over the outputs of a job."""
    with _at_job(context, job_id, object_store, launcher, compute) as job:
        if not job.filter():
            context.log.info("This environment has no filter.")
    return job_id


@dg.op(description="Publishes all outputs and logs in the object store, or none.", out=_JOB_OUT)
def publish_results(
    context: dg.OpExecutionContext,
    job_id: str,
    object_store: ObjectStoreResource,
    launcher: LauncherResource,
    compute: ComputeResource,
) -> str:
    """Publish the results of a job."""
    with _at_job(context, job_id, object_store, launcher, compute) as job:
        results = job.publish()
    rows = [
        dg.TableRecord(
            {"index": each.index, "name": each.filename, "type": each.type, "bytes": f"{each.filesize:,}"}
        )
        for each in results
    ]
    context.add_output_metadata({"results": dg.MetadataValue.table(rows), "count": len(results)})
    return job_id


@contextlib.contextmanager
def _at_job(
    context: dg.OpExecutionContext,
    job_id: str,
    object_store: ObjectStoreResource,
    launcher: LauncherResource,
    compute: ComputeResource,
) -> "Iterator[ComputeJob]":
    """Give a compute job to a step; meanwhile the run shows that it lives.

    Raises
    ------
    dagster.Failure
        The job has failed, or has run out of time.
    """
    from runstart.compute import JobBook, Status
    from runstart.compute.job import ComputeJob, JobFailed

    def was_told_to_stop() -> bool:
        run = context.instance.get_run_by_id(context.run_id)
        return run is not None and run.status is dg.DagsterRunStatus.CANCELING

    with told_to_dagster(context.retry_number):
        store = object_store.open()
        with beating(store, context.run_id):
            try:
                yield ComputeJob(
                    job_id,
                    JobBook(store),
                    compute.open(),
                    launcher.open(),
                    compute.root(),
                    was_told_to_stop=was_told_to_stop,
                    tell=context.log.warning,
                    notices=compute.notices(),
                )
            except JobFailed as failed:
                context.instance.add_run_tags(context.run_id, {CODE_TAG: str(int(failed.record.status))})
                if failed.record.status is Status.STOPPED:
                    _cancel(context, str(failed))
                raise


def _cancel(context: dg.OpExecutionContext, reason: str) -> None:
    """End the run as Dagster ends one that is terminated.

    Raises
    ------
    DagsterExecutionInterruptedError
        Always.
    """
    from dagster._core.errors import DagsterExecutionInterruptedError

    context.log.info(reason)
    run = context.instance.get_run_by_id(context.run_id)
    if run is not None and run.status is not dg.DagsterRunStatus.CANCELING:
        context.instance.report_run_canceling(run, reason)
    raise DagsterExecutionInterruptedError


def _count(fetched: list[Any]) -> dict[str, Any]:
    return {"files": len(fetched), "bytes": sum(file.n_bytes for file in fetched)}
