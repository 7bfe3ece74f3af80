"""How a task is told to a container engine, and how the engine's account of a container is read.

Every container is unprivileged: no capability, no way to new ones, its root read-only, and no network but the one that
its task was given. What the engine does not know of a task is in labels, so that other processes can look after it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from runstart.errors import Alert
from runstart.launchers.launcher import LaunchSpec, Limits, Mount

if TYPE_CHECKING:
    from docker import APIClient

OURS = {"runstart": "task"}
"""The label of every container of ours."""

_ABOUT = "runstart.task"
_NOBODY = 65534
_MOST_PROCESSES = 512
_TEMPORARY = "/tmp"  # noqa: S108 - the container's own
_TEMPORARY_BYTES = 1 << 30
_IDLE_SHARES = 2  # the least there is; 1024 is usual
# A name that has just gone is asked for in vain, for 20 s as resolvers usually do it: its next bearer is missed.
_RESOLVER = ["timeout:1", "attempts:2"]
_LOG = {"Type": "json-file", "Config": {"max-size": "4m", "max-file": "2"}}
_ENDED = {"exited", "stopped", "dead"}
# The init processes of Podman and Docker, which are all that runs of a program that cannot be.
_INIT_FAILED = re.compile(
    r"\S* ?\((?:catatonit:\d+)\): failed to exec pid1: (.+)|\[FATAL tini \(\d+\)\] exec .+ failed: (.+)"
)
_INIT_FAILED_CODES = {1, 126, 127}


@dataclass(frozen=True)
class About:
    """What is known of a container's task from its labels.

    Attributes
    ----------
    name : str
        The task's.
    seconds : float or None
        Its limit of time.
    scratch : str or None
        The folder that goes with it.
    host, pid, at : str, int, float
        The process that has started it, on which machine, and when.
    labels : sequence of str
        Names of those of its specification; an image may have brought others.
    """

    name: str
    seconds: float | None = None
    scratch: str | None = None
    host: str = ""
    pid: int = 0
    at: float = 0.0
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class State:
    """How a container stands.

    Attributes
    ----------
    is_ended : bool
        Whether it has run, and does no longer.
    exit_code : int
        Of its first process; 0 while it runs.
    seconds : float
        From start to end.
    memory_ran_out : bool
        Whether the engine says so.
    program : str
        Which was to be run.
    """

    is_ended: bool
    exit_code: int
    seconds: float
    memory_ran_out: bool
    program: str


def image_of(spec: LaunchSpec) -> str:
    """Return the image of a task.

    Raises
    ------
    Alert
        It has none.
    """
    if spec.image is None:
        raise Alert(f"{spec.name} has no image, and everything is run in containers here.", "Give it an image.")
    if spec.confined and spec.network is not None:
        raise AssertionError("a confined task has no network")
    return spec.image


def container_name(spec: LaunchSpec) -> str:
    """Return a name for the engine's lists, never given before."""
    words = re.sub(r"[^a-z0-9]+", "-", spec.name.lower()).strip("-")[:40]
    return f"runstart-{words or 'task'}-{uuid4().hex[:12]}"


def labels_of(spec: LaunchSpec) -> dict[str, str]:
    """Return the labels of a task's container."""
    about = {
        "name": spec.name,
        "seconds": spec.limits.seconds,
        "scratch": None if spec.scratch is None else str(spec.scratch),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "at": time.time(),
        "labels": list(spec.labels),
    }
    return {**spec.labels, **OURS, _ABOUT: json.dumps(about)}


def read_labels(labels: Mapping[str, str], otherwise: str) -> tuple[About, dict[str, str]]:
    """Return what is known of a task, and the labels of its specification.

    Parameters
    ----------
    labels : mapping of str to str
        Of the container.
    otherwise : str
        The task's name, if the labels do not tell.
    """
    try:
        about = About(**json.loads(labels.get(_ABOUT, "")))
    except (ValueError, TypeError):
        about = About(otherwise)
    return about, {name: labels[name] for name in about.labels if name in labels}


def choose_user(engine: Mapping[str, Any], uid: int, gid: int) -> str:
    """Return the unprivileged user of containers: whoever runs us, so that folders can be shared, but never root.

    Parameters
    ----------
    engine : mapping
        What the engine says of itself.
    uid, gid : int
        Of this process.
    """
    if any("rootless" in option for option in engine.get("SecurityOptions") or ()):
        return "0:0"  # such an engine's root is the user who runs it
    return f"{_NOBODY}:{_NOBODY}" if uid == 0 else f"{uid}:{gid}"


def creation_of(client: APIClient, spec: LaunchSpec, reference: str, engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with which the SDK creates a task's container.

    Parameters
    ----------
    client : docker.APIClient
        Of the engine.
    spec : LaunchSpec
        The task.
    reference : str
        Name of the image for the engine.
    engine : mapping
        What the engine says of itself.
    """
    return {
        "image": reference,
        # Both, for an image may have its own.
        "entrypoint": [spec.command[0]],
        "command": list(spec.command[1:]),
        "environment": {"HOME": _TEMPORARY, **spec.environment},
        "working_dir": spec.folder,
        "user": choose_user(engine, os.getuid(), os.getgid()),
        "labels": labels_of(spec),
        "healthcheck": {"test": ["NONE"]},
        "networking_config": _networking(client, spec),
        "host_config": client.create_host_config(
            mounts=[_mount(mount) for mount in spec.mounts],
            network_mode=spec.network or "none",
            dns_opt=_RESOLVER,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            tmpfs={_TEMPORARY: f"rw,mode=1777,size={_temporary_bytes(spec.limits)}"},
            init=True,
            log_config=_LOG,
            **_limits(spec, engine),
        ),
    }


def lend_scratch(spec: LaunchSpec, engine: Mapping[str, Any]) -> None:
    """Give the task what it may write of its scratch folder: its user is another than the superuser, who made it."""
    if spec.scratch is None or os.getuid() != 0:
        return
    user, _, group = choose_user(engine, 0, 0).partition(":")
    for mount in spec.mounts:
        if mount.writable and mount.source.is_relative_to(spec.scratch):
            os.chown(mount.source, int(user), int(group), follow_symlinks=False)


def read_state(inspected: Mapping[str, Any]) -> State:
    """Return how a container stands, from what the engine says of it."""
    state = inspected["State"]
    is_ended = state["Status"] in _ENDED
    program = [*(inspected["Config"].get("Entrypoint") or []), *(inspected["Config"].get("Cmd") or []), ""][0]
    return State(
        is_ended=is_ended,
        exit_code=int(state["ExitCode"]),
        seconds=max(0.0, _read_time(state["FinishedAt"]) - _read_time(state["StartedAt"])) if is_ended else 0.0,
        memory_ran_out=bool(state.get("OOMKilled")),
        program=program,
    )


def exec_trouble(state: State, logs: str) -> str:
    """Return why a program could not be run at all; empty if it could."""
    if state.exit_code not in _INIT_FAILED_CODES:
        return ""
    said = _INIT_FAILED.fullmatch(logs.strip())
    return f"{state.program}: {said[1] or said[2]}" if said else ""


def _networking(client: APIClient, spec: LaunchSpec) -> Any:
    if spec.network is None:
        return None
    aliases = None if spec.network_alias is None else [spec.network_alias]
    return client.create_networking_config({spec.network: client.create_endpoint_config(aliases=aliases)})


def _limits(spec: LaunchSpec, engine: Mapping[str, Any]) -> dict[str, Any]:
    limits = spec.limits
    for what, wanted, ability in (
        ("memory", limits.memory_bytes, "MemoryLimit"),
        ("processes", limits.processes, "PidsLimit"),
        ("processors", limits.cpus, "CpuCfsQuota"),
    ):
        if wanted is not None and engine.get(ability) is False:
            raise Alert(
                f"{spec.name} has a limit of {what}, which this container engine cannot hold.",
                "Leave the limit out, or give the engine the control groups for it.",
            )
    chosen: dict[str, Any] = {
        # An engine counts threads, and the container's init.
        "pids_limit": _MOST_PROCESSES if limits.processes is None else limits.processes + 1,
    }
    if limits.memory_bytes is not None:
        chosen["mem_limit"] = chosen["memswap_limit"] = limits.memory_bytes
    if limits.cpus is not None and limits.cpus < engine.get("NCPU", float("inf")):
        chosen["nano_cpus"] = round(limits.cpus * 1e9)
    if spec.idle:
        chosen["cpu_shares"] = _IDLE_SHARES
    return chosen


def _temporary_bytes(limits: Limits) -> int:
    # It is memory, and counts as such.
    return min(filter(None, (_TEMPORARY_BYTES, limits.memory_bytes, limits.disk_bytes)))


def _mount(mount: Mount) -> Any:
    from docker.types import Mount as EngineMount

    if not mount.source.exists():
        # Podman would make it.
        raise Alert(
            f"{mount.source} does not exist, so no container can be shown it.", "Correct the path, or make it."
        )
    for path in (str(mount.source), mount.target):
        # Podman reads a mount from a line with commas: a path could say other things than where it is.
        if not path.startswith("/") or any(c in path for c in ',"\n\r'):
            raise Alert(
                f"{path!r} cannot be shown to a container: commas, quotation marks and line ends mean other things there.",
                "Give it another name.",
            )
    return EngineMount(mount.target, str(mount.source), type="bind", read_only=not mount.writable)


def _read_time(text: str) -> float:
    """Return Unix seconds of an engine's time, which has up to nine decimals."""
    whole = re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00")
    return datetime.fromisoformat(whole).timestamp()
