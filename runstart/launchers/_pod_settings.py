"""What the environment says of the pods that tasks run in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from runstart.errors import Alert
from runstart.launchers._pod_volumes import MappedFolder, read_volumes
from runstart.pod_ends import USUAL_PATIENCE, read_patience
from runstart.variables import read_number

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True)
class PodSettings:
    """How tasks run in pods.

    Attributes
    ----------
    namespace : str
        Where they run: `RUNSTART_LAUNCHER_NAMESPACE`.
    volumes : tuple of MappedFolder
        Which folders lie on volumes: `RUNSTART_LAUNCHER_VOLUMES`.
    user : int
        Who they run as, and its group: `RUNSTART_LAUNCHER_USER`.
    pending_s : float
        Seconds that a pod may wait for a place and its volumes: `RUNSTART_POD_PENDING_S`.
    pod_pids : int or None
        How many processes the nodes allow each pod (`podPidsLimit` of their kubelets), if it is known:
        `RUNSTART_LAUNCHER_POD_PIDS`.
    domain : str
        The cluster's domain: `RUNSTART_CLUSTER_DOMAIN`.
    """

    namespace: str = "runstart-operators"
    volumes: tuple[MappedFolder, ...] = ()
    user: int = 10001
    pending_s: float = USUAL_PATIENCE.pending_seconds
    pod_pids: int | None = None
    domain: str = "cluster.local"


def read_pod_settings(environ: Mapping[str, str]) -> PodSettings:
    """Return what the environment says; what it does not say is as by default.

    Raises
    ------
    Alert
        A variable does not have its form.
    """
    usual = PodSettings()
    remedy = "Give a number of 1 or more."
    pids = read_number(environ, "RUNSTART_LAUNCHER_POD_PIDS", remedy, least=1)
    user = read_number(environ, "RUNSTART_LAUNCHER_USER", remedy, least=1)
    return PodSettings(
        namespace=_matching(environ, "RUNSTART_LAUNCHER_NAMESPACE", usual.namespace, _LABEL),
        volumes=read_volumes(environ.get("RUNSTART_LAUNCHER_VOLUMES", "")),
        user=usual.user if user is None else int(user),
        pending_s=read_patience(environ).pending_seconds,
        pod_pids=None if pids is None else int(pids),
        domain=_matching(environ, "RUNSTART_CLUSTER_DOMAIN", usual.domain, _DOMAIN),
    )


def _matching(environ: Mapping[str, str], name: str, usual: str, form: re.Pattern[str]) -> str:
    value = environ.get(name) or usual
    if not form.fullmatch(value):
        raise Alert(f"{name} is {value[:80]!r}.", f"Give a name in Kubernetes' form, such as {usual}.")
    return value
