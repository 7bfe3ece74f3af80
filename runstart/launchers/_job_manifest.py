"""How a task is told to a cluster: a job of one pod, which is tried once and fits Pod Security's "restricted".

The pod has no capability, no way to new ones, no token of a service account, and a root that is read-only. What the
cluster does not know of a task is in an annotation, so that other processes can look after it; labels, whose values
Kubernetes restricts, serve to find it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from runstart.errors import Alert
from runstart.launchers._containers import OURS, labels_of
from runstart.launchers._pod_settings import PodSettings
from runstart.launchers._pod_volumes import show_mounts
from runstart.launchers.launcher import LaunchSpec, Limits
from runstart.pod_ends import LOST_NODE_TAINTS, NODE_SILENCE_SECONDS

CONTAINER = "task"
"""The container of a pod that is the task; others are what the cluster adds."""

ABOUT = "runstart.science/task"
"""The annotation with what is known of a task, or a network's labels."""

NETWORK = "runstart.science/network"
"""The label of a network's tasks."""

STARTED_BY = "runstart.science/launcher"
"""The label with the launcher that started a task."""

GRACE_S = 5
"""Seconds between SIGTERM and SIGKILL where nobody says otherwise: over the time limit, or when a node is drained."""

JOB_KEPT_S = 86_400
"""Seconds after which the cluster removes what has ended and nobody has removed."""

_TEMPORARY = "/tmp"  # noqa: S108 - the pod's own
_TEMPORARY_BYTES = 1 << 30
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_RESOLVER = [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "2"}]


def job_of(spec: LaunchSpec, reference: str, name: str, launcher: str, settings: PodSettings) -> dict[str, Any]:
    """Return the job of a task.

    Parameters
    ----------
    spec : LaunchSpec
        The task.
    reference : str
        Name of the image for the cluster.
    name : str
        Of the job.
    launcher : str
        Which starts it.
    settings : PodSettings
        How tasks run in pods.

    Raises
    ------
    Alert
        A cluster cannot run it as specified.
    """
    labels = {**label_selection(spec.labels), **OURS, STARTED_BY: launcher, **_network_labels(spec)}
    annotations = {ABOUT: json.dumps(labels_of(spec))}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": JOB_KEPT_S,
            "template": {
                "metadata": {
                    "labels": labels,
                    # An autoscaler may not move what is tried once.
                    "annotations": {**annotations, "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
                },
                "spec": _pod(spec, reference, settings),
            },
        },
    }


def label_selection(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels as Kubernetes can have them: a name or value that it cannot have is replaced by its digest."""
    return {_as_key(name): _as_value(value) for name, value in labels.items()}


def selector_of(labels: Mapping[str, str]) -> str:
    """Return the selector of objects that carry all of these labels."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


def check_name(what: str, name: str) -> str:
    """Return a name that is one in Kubernetes' DNS too.

    Raises
    ------
    Alert
        It is not.
    """
    if not _NAME.fullmatch(name):
        raise Alert(
            f"The {what} {name[:80]!r} has a name that a cluster cannot have.",
            "Use up to 63 small letters, digits and hyphens, a letter first.",
        )
    return name


def check_processes(name: str, limits: Limits, settings: PodSettings) -> None:
    """Make sure that the nodes hold a task to its limit of processes.

    Raises
    ------
    Alert
        They do not, or it is not known whether they do.
    """
    if limits.processes is None or (settings.pod_pids is not None and settings.pod_pids <= limits.processes):
        return
    allowed = "is not known here" if settings.pod_pids is None else f"is {settings.pod_pids}"
    raise Alert(
        f"{name} has a limit of {limits.processes} processes, which a pod cannot hold: what the nodes allow "
        f"each pod (podPidsLimit) {allowed}.",
        "Leave the limit out, or say in RUNSTART_LAUNCHER_POD_PIDS what the nodes allow, if that is no more.",
    )


def time_limit(started_s: float, seconds: float) -> int:
    """Return the whole seconds after which a pod is ended, so that its task has all of its own.

    Parameters
    ----------
    started_s : float
        Seconds from the pod's beginning to its container's; the API rounds both down.
    seconds : float
        Limit of the task.
    """
    return max(1, math.ceil(started_s + seconds) + 1)


def _pod(spec: LaunchSpec, reference: str, settings: PodSettings) -> dict[str, Any]:
    volumes, shown = show_mounts(spec.mounts, settings.volumes)
    if not any(mount.target == _TEMPORARY for mount in spec.mounts):
        volumes.append({"name": "temporary", "emptyDir": {"sizeLimit": str(_temporary_bytes(spec.limits))}})
        shown.append({"name": "temporary", "mountPath": _TEMPORARY})
    environment = {"HOME": _TEMPORARY, **spec.environment}
    # A name of this machine's is never pulled: `localhost` is another on each node.
    pulled = "Never" if reference.startswith("localhost/") else "IfNotPresent"
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Something must be the first process, which gets no signal that it does not handle; be it not the task.
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": settings.user,
            "runAsGroup": settings.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [
            {
                "key": taint,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": NODE_SILENCE_SECONDS,
            }
            for taint in LOST_NODE_TAINTS
        ],
        "containers": [
            {
                "name": CONTAINER,
                "image": reference,
                "imagePullPolicy": pulled,
                "command": [_literal(spec.command[0])],
                "args": [_literal(argument) for argument in spec.command[1:]],
                "env": [{"name": name, "value": _literal(value)} for name, value in environment.items()],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": _resources(spec, settings),
                "volumeMounts": shown,
            }
        ],
        "volumes": volumes,
        **_naming(spec, settings),
    }
    if spec.folder is not None:
        pod["containers"][0]["workingDir"] = spec.folder
    if spec.limits.seconds is not None:
        # Made tighter as soon as the task runs; this holds if whoever started it is gone by then.
        pod["activeDeadlineSeconds"] = time_limit(settings.pending_s, spec.limits.seconds)
    return pod


def _naming(spec: LaunchSpec, settings: PodSettings) -> dict[str, Any]:
    """Return how a pod resolves names, and by which it is known."""
    if spec.network is None:
        # Without a network there is nobody to ask.
        return {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"], "options": _RESOLVER}}
    search = f"{spec.network}.{settings.namespace}.svc.{settings.domain}"
    naming = {"dnsConfig": {"searches": [search], "options": _RESOLVER}, "subdomain": spec.network}
    if spec.network_alias is not None:
        naming["hostname"] = check_name("network alias", spec.network_alias)
    return naming


def _network_labels(spec: LaunchSpec) -> dict[str, str]:
    if spec.network is None:
        return {"runstart.science/has-network": "false"}
    return {NETWORK: check_name("network", spec.network), "runstart.science/has-network": "true"}


def _resources(spec: LaunchSpec, settings: PodSettings) -> dict[str, Any]:
    limits = spec.limits
    check_processes(spec.name, limits, settings)
    held: dict[str, str] = {}
    if limits.memory_bytes is not None:
        held["memory"] = str(limits.memory_bytes)
    if limits.cpus is not None:
        held["cpu"] = f"{max(1, round(1000 * limits.cpus))}m"
    if limits.disk_bytes is not None:
        held["ephemeral-storage"] = str(limits.disk_bytes)
    return {"limits": held, "requests": {**held, **({"cpu": "1m"} if spec.idle else {})}}


def _temporary_bytes(limits: Limits) -> int:
    return _TEMPORARY_BYTES if limits.disk_bytes is None else limits.disk_bytes


def _literal(text: str) -> str:
    """Return what Kubernetes makes this text of, which would replace `$(NAME)` by a variable's value."""
    return text.replace("$", "$$")


def _as_key(name: str) -> str:
    return name if _LABEL_KEY.fullmatch(name) else f"digest.runstart.science/{_digest(name)}"


def _as_value(value: str) -> str:
    return value if _LABEL_VALUE.fullmatch(value) else f"sha256-{_digest(value)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
