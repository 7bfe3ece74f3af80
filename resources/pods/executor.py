"""The executor of a cluster: each step in a pod of its own, started again if something befalls the pod.

It is Dagster's own step-delegating executor on the parts of `k8s_job_executor`. What is added: an end of a pod that passes
by itself puts the step up for retry, whatever the step's own policy says of its errors; and a step that was interrupted is
not believed when it says that it failed, because only its pod tells whether it was told to go.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import IStepContext
from dagster._core.execution.plan.objects import ErrorSource, StepRetryData
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.init import InitExecutorContext
from dagster._core.executor.step_delegating import StepDelegatingExecutor
from dagster._utils.error import SerializableErrorInfo
from dagster_k8s.job import USER_DEFINED_K8S_JOB_CONFIG_SCHEMA, UserDefinedDagsterK8sConfig

from resources.pods.rules import PodSettings
from resources.pods.step_handler import PodStepHandler

MOST_PODS = 16
"""Steps of one run that have a pod at once, unless the executor's configuration says otherwise."""

HEALTH_SECONDS = 5


class PodExecutor(StepDelegatingExecutor):
    """Runs steps in pods.

    Parameters
    ----------
    step_handler : PodStepHandler
        Starts and watches the pods.
    retries : RetryMode
        Whether steps are retried at all.
    max_concurrent : int
        Most pods of one run at once.
    tag_concurrency_limits : list of dict, optional
        As in Dagster's other executors.
    """

    def __init__(
        self,
        step_handler: PodStepHandler,
        retries: RetryMode,
        max_concurrent: int,
        tag_concurrency_limits: list[dict[str, Any]] | None = None,
    ) -> None:
        self._pods = step_handler
        super().__init__(
            step_handler,
            retries=retries,
            check_step_health_interval_seconds=HEALTH_SECONDS,
            max_concurrent=max_concurrent,
            tag_concurrency_limits=tag_concurrency_limits,
            # A job never makes a second pod (`resources.pods.rules`), which is what the verification is against; and a
            # step that was interrupted counts one attempt too many for it.
            should_verify_step=False,
        )

    def log_failure_or_retry_event_after_error(
        self, step_context: IStepContext, err_info: SerializableErrorInfo, known_state: KnownExecutionState
    ) -> DagsterEvent:
        """Put a step up for retry whose pod ended in a way that passes by itself; otherwise do as Dagster does.

        Parameters
        ----------
        step_context : IStepContext
            Of the step.
        err_info : SerializableErrorInfo
            What is told of it.
        known_state : KnownExecutionState
            Of the run.
        """
        if self._pods.take_relaunch(step_context.step.key) and not step_context.retry_mode.disabled:
            return DagsterEvent.step_retry_event(step_context, StepRetryData(error=err_info))
        return super().log_failure_or_retry_event_after_error(step_context, err_info, known_state)

    def _pop_events(
        self, instance: dg.DagsterInstance, run_id: str, seen_storage_ids: set[int]
    ) -> Sequence[DagsterEvent]:
        """Return new events, but for what interrupted steps say of themselves: their pods' ends are found in seconds."""
        events = super()._pop_events(instance, run_id, seen_storage_ids)
        return [event for event in events if not _was_interrupted(event)]


def define_pod_executor() -> dg.ExecutorDefinition:
    """Return the executor definition, by the name `pods`."""

    @dg.executor(
        name="pods",
        config_schema={
            "retries": get_retries_config(),
            "max_concurrent": dg.Field(
                dg.IntSource, default_value=MOST_PODS, description="Most pods of one run at once."
            ),
            "tag_concurrency_limits": get_tag_concurrency_limits_config(),
            "step_k8s_config": dg.Field(
                USER_DEFINED_K8S_JOB_CONFIG_SCHEMA,
                is_required=False,
                description="Raw configuration of every step's pod; an op's tag `dagster-k8s/config` comes after it.",
            ),
        },
        requirements=multiple_process_executor_requirements(),
    )
    def pods(init_context: InitExecutorContext) -> PodExecutor:
        """Run each step in a Kubernetes pod of its own."""
        from resources.run_launcher import RunLauncher

        launcher = init_context.instance.run_launcher
        if not isinstance(launcher, RunLauncher):
            raise dg.DagsterInvariantViolationError(
                "The executor `pods` needs the run launcher `resources.run_launcher.RunLauncher`, in a pod whose service "
                f"account may start jobs; this one has {type(launcher).__name__}."
            )
        config = init_context.executor_config
        handler = PodStepHandler(
            load_incluster_config=launcher.load_incluster_config,
            kubeconfig_file=launcher.kubeconfig_file,
            config=UserDefinedDagsterK8sConfig.from_dict(config.get("step_k8s_config", {})),
            settings=PodSettings.from_environment(os.environ),
        )
        return PodExecutor(
            handler,
            retries=RetryMode.from_config(config["retries"]),
            max_concurrent=config["max_concurrent"],
            tag_concurrency_limits=config.get("tag_concurrency_limits"),
        )

    return pods


def _was_interrupted(event: DagsterEvent) -> bool:
    return event.is_step_failure and event.step_failure_data.error_source is ErrorSource.INTERRUPT
