"""Runs each step in a pod of its own, and says by name how such a pod ended.

A step's pod has no rights on the cluster, and goes with the pod of its run. Its end is judged from what Kubernetes says,
never from its process, which may have had no time to say anything. Pods that were deleted, evicted or lost with their node
are started again, those that ran out of memory with twice as much; a step's own errors are Dagster's matter.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepHandlerContext
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import UserDefinedDagsterK8sConfig

from resources.pods.rules import PodSettings, with_pod_rules
from runstart.pod_ends import JobPods, PodEnd, double_memory, judge_job, read_jobs, read_last_lines, remove_job

SERVICE_ACCOUNT = "steps"
MOST_RELAUNCHES = 5
"""How often a step is started again because of what befell its pods."""

SNAPSHOT_SECONDS = 2.0
"""The health of all steps of a run is read at once, and used for so long."""


class PodStepHandler(K8sStepHandler):
    """Starts, watches and removes the pods of a run's steps.

    Parameters
    ----------
    load_incluster_config : bool
        Whether this process is in a pod with rights.
    kubeconfig_file : str or None
        Where the cluster and the rights are, otherwise.
    config : UserDefinedDagsterK8sConfig
        What the executor's configuration adds to every step's pod.
    settings : PodSettings
        What the environment says of pods.
    """

    def __init__(
        self,
        load_incluster_config: bool,
        kubeconfig_file: str | None,
        config: UserDefinedDagsterK8sConfig,
        settings: PodSettings,
    ) -> None:
        rights = UserDefinedDagsterK8sConfig.from_dict(
            {
                "pod_spec_config": {
                    "service_account_name": SERVICE_ACCOUNT,
                    "automount_service_account_token": False,
                }
            }
        )
        context = K8sContainerContext(run_k8s_config=rights).merge(K8sContainerContext(run_k8s_config=config))
        super().__init__(
            image=None,
            container_context=context,
            load_incluster_config=load_incluster_config,
            kubeconfig_file=kubeconfig_file,
            enable_owner_references=True,
        )
        self._settings = settings
        self._read_at = float("-inf")
        self._found: dict[str, JobPods] = {}
        self._exited: set[str] = set()  # jobs whose pod has exited, of which the step may yet have spoken
        self._told: set[str] = set()  # jobs of which it was told what they wait for
        self._relaunches: Counter[str] = Counter()
        self._doublings: Counter[str] = Counter()
        self._to_relaunch: set[str] = set()

    @property
    def name(self) -> str:
        """As the event log shows it."""
        return "PodStepHandler"

    def take_relaunch(self, step_key: str) -> bool:
        """Return, once, whether a step whose pod has just been judged is to be started again.

        Parameters
        ----------
        step_key : str
            The step.
        """
        is_wanted = step_key in self._to_relaunch
        self._to_relaunch.discard(step_key)
        return is_wanted

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Start the pod of a step.

        Parameters
        ----------
        step_handler_context : StepHandlerContext
            Of the step.
        """
        self._read_at = float("-inf")  # what was read before knows nothing of this pod
        yield from super().launch_step(step_handler_context)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Return whether the pod of a step goes on; if it has ended, its name and last lines, and its job is removed.

        Parameters
        ----------
        step_handler_context : StepHandlerContext
            Of a step of which no end has been seen in the event log.

        Raises
        ------
        kubernetes.client.exceptions.ApiException
            If the API refuses.
        """
        step_key = self._get_step_key(step_handler_context)
        job_name = self._get_k8s_step_job_name(step_handler_context)
        context = self._get_container_context(step_handler_context)
        namespace = str(context.namespace)
        found = self._read(step_handler_context, namespace).get(job_name, JobPods(job_name))
        core = self._api_client.core_api
        judgement = judge_job(core, namespace, found, patience=self._settings.patience)
        if judgement.waiting is not None and judgement.waiting.is_for_place and job_name not in self._told:
            self._told.add(job_name)
            told = f"The pod of step {step_key} waits: {judgement.waiting.reason}"
            step_context = step_handler_context.get_step_context(step_key)
            DagsterEvent.engine_event(step_context, told, EngineEventData())
        end = judgement.end
        if end is None:
            return CheckStepHealthResult.healthy()
        if end.name == "exit" and job_name not in self._exited:
            self._exited.add(job_name)
            return CheckStepHealthResult.healthy()
        said = self._decide(step_key, end, context)
        lines = "" if found.pod is None else read_last_lines(core, found.pod)
        # It must have ended before the next one starts: a process that is still importing does not hear that it is to go.
        grace_seconds = 0 if end.name == "node lost" else 1
        remove_job(self._api_client.batch_api, core, namespace, found, grace_seconds=grace_seconds)
        shown = f"\nIts last lines:\n{lines}" if lines else ""
        return CheckStepHealthResult.unhealthy(f"{end.name}. {end.reason} {said}".rstrip() + shown)

    def _decide(self, step_key: str, end: PodEnd, context: K8sContainerContext) -> str:
        """Note whether the step is to be started again; return a sentence about it."""
        if not end.is_retried:
            return ""
        if self._relaunches[step_key] >= MOST_RELAUNCHES:
            return f"It was started again {MOST_RELAUNCHES} times before, and is not once more."
        said = "It is started again."
        if end.name == "out of memory":
            before = context.run_k8s_config.container_config.get("resources") or {}
            after = double_memory(before, self._doublings[step_key], self._settings.most_memory)
            if after is not None:
                self._doublings[step_key] += 1
                said = f"It is started again with {after['limits']['memory']}."
            elif (before.get("limits") or {}).get("memory"):
                return "It gets no more than that; raise what it asks for."
        self._relaunches[step_key] += 1
        self._to_relaunch.add(step_key)
        return said

    def _get_container_context(self, step_handler_context: StepHandlerContext) -> K8sContainerContext:
        """Return what a step's pod is made of, with the memory that it has come to need."""
        context = with_pod_rules(super()._get_container_context(step_handler_context))
        resources = context.run_k8s_config.container_config.get("resources") or {}
        for doubling in range(self._doublings[self._get_step_key(step_handler_context)]):
            resources = double_memory(resources, doubling, self._settings.most_memory) or resources
        more = UserDefinedDagsterK8sConfig.from_dict(
            {"container_config": {"resources": resources} if resources else {}}
        )
        return context.merge(K8sContainerContext(run_k8s_config=more))

    def _read(self, step_handler_context: StepHandlerContext, namespace: str) -> dict[str, JobPods]:
        if time.monotonic() - self._read_at > SNAPSHOT_SECONDS:
            run_id = step_handler_context.execute_step_args.run_id
            selector = f"dagster/run-id={run_id},app.kubernetes.io/component=step_worker"
            self._found = read_jobs(self._api_client.batch_api, self._api_client.core_api, namespace, selector)
            self._read_at = time.monotonic()
        return self._found
