"""Turns a replica of an operator into a task for a launcher: what it is told, what it sees, and what it may use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert
from runstart.launchers import LaunchSpec, Limits, Mount
from runstart.sessions.labels import task_labels
from runstart.sessions.mounts import mounts_of

if TYPE_CHECKING:
    from runstart.pipelines import Plan, Stage
    from runstart.sessions.doors import Sender
    from runstart.sessions.order import Allowance, SessionSettings
    from runstart.sessions.wiring import Wiring

ORDER_VARIABLE = "RUNSTART_OPERATOR_ORDER"

_IN_IMAGE = ("python", "-m", "runstart.operators", "/app/run.py")
_GPUS = "CUDA_VISIBLE_DEVICES"
# What the libraries of an operator look for; everything else of this process's environment is not its business.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")


@dataclass
class StageSetup:
    """A stage with what changes of it while it runs.

    Attributes
    ----------
    stage : Stage
        The operator.
    values : dict of str to Any
        Its parameters, as they are now.
    data : dict of str to Mount
        Its mount parameters.
    gpus : tuple of int
        Numbers of the GPUs that its replicas have to themselves, one each; empty if they need none.
    is_changed : bool
        Whether a value was set since the session began.
    """

    stage: Stage
    values: dict[str, Any]
    data: dict[str, Mount] = field(default_factory=dict)
    gpus: tuple[int, ...] = ()
    is_changed: bool = False


def set_up(plan: Plan, settings: SessionSettings) -> dict[str, StageSetup]:
    """Return the stages of a plan, ready to run; mounts are checked.

    Raises
    ------
    Alert
        A mount is not as it should be; it names operator and parameter.
    """
    return {
        stage.name: StageSetup(stage, dict(stage.values), mounts_of(stage, stage.values, settings.mount_roots))
        for stage in plan.stages
    }


def needs_gpu(stage: Stage) -> bool:
    """Return whether each replica of a stage has a GPU to itself."""
    return any(tag.value.lower() == "gpu" for tag in stage.spec.tags)


def refuse_gpus(plan: Plan) -> None:
    """Raise an Alert if an operator needs a GPU, where none can be given to it."""
    for stage in plan.stages:
        if needs_gpu(stage):
            raise Alert(
                f"{stage.name} needs a GPU, and pods of sessions are given none.",
                "Run the pipeline on a machine with GPUs, as processes or in containers.",
            )


def limits_of(allowance: Allowance, *, shares_machine: bool, seconds: float | None = None) -> Limits:
    """Return the limits of a task; how many processes a pod has is limited by its node (`podPidsLimit`)."""
    processes = allowance.processes if shares_machine else None
    return Limits(seconds, allowance.memory_bytes, processes, cpus=allowance.cpus)


def share_gpus(setups: Mapping[str, StageSetup], gpus: Iterable[int]) -> None:
    """Give each replica that needs one its GPU."""
    left = iter(gpus)
    for setup in setups.values():
        if needs_gpu(setup.stage):
            setup.gpus = tuple(islice(left, setup.stage.parallelism))


class TaskMaker:
    """Makes the launch specifications of one session.

    Parameters
    ----------
    session_id, store_id : str
        For the labels.
    wiring : Wiring
        Sockets and files.
    settings : SessionSettings
        Limits, images and folders.
    runs_images : bool
        Whether operators run in images.
    shares_machine : bool
        Whether they run on this machine.
    network : str or None
        The session's.
    """

    def __init__(
        self,
        session_id: str,
        store_id: str,
        wiring: Wiring,
        settings: SessionSettings,
        *,
        runs_images: bool,
        shares_machine: bool = True,
        network: str | None,
    ) -> None:
        self._session_id, self._store_id = session_id, store_id
        self._wiring = wiring
        self._settings = settings
        self._runs_images, self._shares_machine = runs_images, shares_machine
        self._network = network

    def images(self, stages: tuple[Stage, ...]) -> list[str]:
        """Return the images that are needed, each once."""
        if not self._runs_images:
            return []
        return list(dict.fromkeys(self._settings.image or stage.spec.image for stage in stages))

    def make(self, setup: StageSetup, sender: Sender) -> LaunchSpec:
        """Return what starts a process of an operator.

        Raises
        ------
        Alert
            The operator has no folder to run from.
        """
        stage, settings = setup.stage, self._settings
        allowance = settings.allowance_of(stage.name)
        mounts = self._wiring.mounts(sender, setup.data)
        command, environment = _IN_IMAGE, dict(settings.environment)
        if not self._runs_images or settings.image is not None:
            folder = self._folder_of(stage)
            command = (sys.executable, "-m", "runstart.operators", str(folder / "run.py"))
            if self._runs_images:
                is_inside = any(folder.is_relative_to(one) for one in settings.image_folders)
                mounts = (*mounts, *settings.image_mounts, *(() if is_inside else (Mount(folder, str(folder)),)))
            else:
                environment = {**_own_environment(), **environment}
        if sender.replica < len(setup.gpus):
            environment[_GPUS] = str(setup.gpus[sender.replica])
        return LaunchSpec(
            command=command,
            name=f"{stage.name} {sender.replica}" if stage.parallelism > 1 else stage.name,
            environment={**environment, ORDER_VARIABLE: json.dumps(self.order(setup, sender))},
            mounts=mounts,
            limits=limits_of(allowance, shares_machine=self._shares_machine),
            labels=task_labels(self._session_id, self._store_id, stage.name, sender.replica),
            network=self._network,
            network_alias=self._wiring.alias(sender),
            image=(settings.image or stage.spec.image) if self._runs_images else None,
        )

    def order(self, setup: StageSetup, sender: Sender) -> dict[str, Any]:
        """Return what a process of an operator is told."""
        stage = setup.stage
        return {
            "session": self._session_id,
            "operator": stage.name,
            "replica": sender.replica,
            "incarnation": sender.incarnation,
            "parameters": setup.values,
            "triggers": {trigger.name: trigger.mode for trigger in stage.spec.triggers},
            "inputs": self._wiring.inputs(stage.name),
            "outputs": self._wiring.outputs(stage.name, sender.replica),
            **self._wiring.door.told(sender),
            "counters": self._wiring.counters_seen_at(sender),
            "data_directory": self._wiring.show_data(stage, setup.data),
            "queue": self._settings.queue,
            "resolve_s": self._settings.resolve_s,
        }

    def _folder_of(self, stage: Stage) -> Path:
        folder = None if stage.folder_name is None else self._settings.operators.get(stage.folder_name)
        if folder is None:
            raise Alert(
                f"{stage.name} runs the operator {stage.spec.label!r} ({stage.spec.image}), which is in no folder here.",
                "Add its folder to RUNSTART_OPERATORS, or run the pipeline with a container engine.",
            )
        return folder.resolve()


def _own_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    return {name: environ[name] for name in _PASSED_ON if name in environ}
