"""Jobs whose steps are run by the pod executor over a cluster that a test pretends; steps of pods that live run here."""

import base64
import contextlib
import zlib
from typing import Any

import dagster as dg
from dagster._cli.api import _execute_step_command_body
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import deserialize_value
from fake_kubernetes import FakeKubernetes

from resources.pods import define_pod_executor

MEMORY = {"container_config": {"resources": {"limits": {"memory": "1Gi", "cpu": "2"}}}}


@dg.op
def light() -> None:
    """Do nothing."""


@dg.op(tags={"dagster-k8s/config": MEMORY})
def heavy() -> None:
    """Do nothing, with a limit."""


@dg.op
def mistaken() -> None:
    """Fail by itself."""
    raise dg.Failure("I am wrong.", allow_retries=False)


@dg.op
def interrupted() -> None:
    """Say that it failed because it was told to go, the first time."""
    if not _INTERRUPTED:
        _INTERRUPTED.append(True)
        raise dg.DagsterExecutionInterruptedError


_INTERRUPTED: list[bool] = []
EXECUTOR = define_pod_executor()


@dg.job(executor_def=EXECUTOR)
def one_light() -> None:
    """One step."""
    light()


@dg.job(executor_def=EXECUTOR)
def one_heavy() -> None:
    """One step with a limit."""
    heavy()


@dg.job(executor_def=EXECUTOR)
def one_mistaken() -> None:
    """One step that fails."""
    mistaken()


@dg.job(executor_def=EXECUTOR)
def one_interrupted() -> None:
    """One step that is told to go."""
    _INTERRUPTED.clear()
    interrupted()


class StepCluster(FakeKubernetes):
    """A cluster whose pods end as recorded, in order; the others run their step, here, and exit.

    Parameters
    ----------
    instance : DagsterInstance
        Has the run.
    *ends : str or None
        How pods end, by the names in `recorded.json`; None for one that runs its step. Those after them do.
    """

    def __init__(self, instance: dg.DagsterInstance, *ends: str | None) -> None:
        super().__init__(lines="the last line")
        self.instance = instance
        self.ends = list(ends)

    def create_namespaced_job(self, body: Any, namespace: str, **_: Any) -> None:
        super().create_namespaced_job(body, namespace)
        end = self.ends.pop(0) if self.ends else None
        runs = end is None or end.startswith("its step, then ")
        labels = {name.replace("/", "__"): value for name, value in body.metadata.labels.items()}
        self.put(
            "exited with 0" if end is None else end.removeprefix("its step, then "), body.metadata.name, **labels
        )
        if runs:
            self._run_step(body)

    def _run_step(self, body: Any) -> None:
        env = {each.name: each.value for each in body.spec.template.spec.containers[0].env}
        packed = env["DAGSTER_COMPRESSED_EXECUTE_STEP_ARGS"]
        args = deserialize_value(zlib.decompress(base64.b64decode(packed)).decode(), ExecuteStepArgs)
        run = self.instance.get_run_by_id(args.run_id)
        assert run is not None
        with contextlib.suppress(dg.DagsterExecutionInterruptedError):
            list(_execute_step_command_body(args, self.instance, run))
