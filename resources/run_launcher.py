"""Dagster's launcher of runs on Kubernetes, with names for the ways in which their pods end.

An instance's `dagster.yaml` names it as its run launcher (module `resources.run_launcher`, class `RunLauncher`, with the
configuration of `K8sRunLauncher`), and says of its run monitoring `poll_interval_seconds: 5` and
`max_resume_run_attempts: 1`. No run is ever resumed in a new pod; the setting is there so that a run's process leaves the
verdict to this launcher: see `resources.pods.run_pods`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, ResumeRunContext, WorkerStatus
from dagster._core.launcher import RunLauncher as AnyRunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext

from resources.pods.rules import PodSettings, with_pod_rules
from resources.pods.run_pods import RunPods

_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class RunLauncher(K8sRunLauncher):
    """Starts runs in pods, and ends those whose pod ends."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> AnyRunLauncher:
        """Return the launcher; in a pod without a token, one that launches nothing.

        Parameters
        ----------
        inst_data : ConfigurableClassData or None
            As Dagster has it.
        config_value : mapping
            The configuration of `K8sRunLauncher`.
        """
        if config_value.get("load_incluster_config", True) and not _TOKEN.exists():
            return LauncherWithoutRights(inst_data)
        launcher: AnyRunLauncher = super().from_config_value(inst_data, config_value)
        return launcher

    @property
    def run_pods(self) -> RunPods:
        """The pods of this launcher's runs."""
        return RunPods(
            instance=self._instance,
            batch=self._api_client.batch_api,
            core=self._api_client.core_api,
            namespace=self.job_namespace,
            settings=PodSettings.from_environment(os.environ),
        )

    def get_container_context_for_run(self, dagster_run: dg.DagsterRun) -> K8sContainerContext:
        """Return what the pod of a run is made of: the rules of all pods, the launcher's configuration, the run's tags.

        Parameters
        ----------
        dagster_run : DagsterRun
            The run.
        """
        return with_pod_rules(super().get_container_context_for_run(dagster_run))

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the pod of a run goes on; if it has ended, the run is failed with the name of its end.

        An API that does not answer says nothing of a run: the error is logged, and the next look tells more.

        Parameters
        ----------
        run : DagsterRun
            A run that has started.

        Raises
        ------
        kubernetes.client.exceptions.ApiException
            If the API refuses.
        """
        end = self.run_pods.find_end(run)
        if end is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"{end.name}: {end.reason}")

    def terminate(self, run_id: str) -> bool | None:
        """Stop a run and remove the pods of its steps; return whether it was there to be stopped.

        Parameters
        ----------
        run_id : str
            Of the run.
        """
        stopped: bool | None = super().terminate(run_id)
        self.run_pods.remove_steps(run_id)
        return stopped


class LauncherWithoutRights(AnyRunLauncher, ConfigurableClass):
    """Stands for the launcher in pods that may not ask Kubernetes for anything: those of steps and of live runs."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What Dagster made this launcher of."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Return the configuration's form: that of the launcher that it stands for."""
        config: Mapping[str, Any] = RunLauncher.config_type()
        return config

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003
    ) -> LauncherWithoutRights:
        """Return it; the configuration says nothing to it."""
        return cls(inst_data)

    @property
    def supports_resume_run(self) -> bool:
        """As the launcher that it stands for."""
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """As the launcher that it stands for; nothing asks this one."""
        return True

    def launch_run(self, context: LaunchRunContext) -> NoReturn:  # noqa: ARG002
        """Refuse to launch."""
        self._refuse()

    def resume_run(self, context: ResumeRunContext) -> NoReturn:  # noqa: ARG002
        """Refuse to resume."""
        self._refuse()

    def terminate(self, run_id: str) -> NoReturn:  # noqa: ARG002
        """Refuse to stop."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise PermissionError("This pod has no token of Kubernetes, so it can neither start nor stop runs.")
