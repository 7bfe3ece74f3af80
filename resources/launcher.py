"""What starts processes and containers beside a Dagster run, as a Dagster resource."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from runstart.launchers import Launcher


class LauncherResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Starts operators and reduction scripts: as processes of this machine, in containers, or in pods of a cluster."""

    launcher: str | None = Field(
        default=None,
        description="`processes`, `containers` for Docker or Podman, or `kubernetes` (`RUNSTART_LAUNCHER`); by default "
        "processes.",
    )
    engine: str | None = Field(
        default=None,
        description="Address of the container engine, such as `unix:///run/podman/podman.sock` (`DOCKER_HOST`); by "
        "default that of Docker on this machine.",
    )
    images: str | None = Field(
        default=None,
        description="Which images may be run: beginnings of names such as `ghcr.io/nersc/`, and names with a digest, "
        "separated by commas (`RUNSTART_IMAGES`); by default any.",
    )
    namespace: str | None = Field(
        default=None,
        description="Namespace of a cluster in which pods are started (`RUNSTART_LAUNCHER_NAMESPACE`); by default "
        "runstart-operators.",
    )
    volumes: str | None = Field(
        default=None,
        description="Which folders lie on volumes of the cluster, so that pods can be shown them, such as "
        "`/output=pvc:runstart-output, /archive=pvc:runstart-archive:ro` (`RUNSTART_LAUNCHER_VOLUMES`).",
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> LauncherResource:
        """Return the resource that says what the environment says.

        Parameters
        ----------
        environ : mapping of str to str
            The environment of the code location.
        """
        return cls(**{field: environ.get(variable) or None for field, variable in _VARIABLES.items()})

    def open(self) -> Launcher:
        """Return the launcher; no engine is asked yet.

        Raises
        ------
        Alert
            If a setting does not have its form.
        """
        from runstart.launchers import open_launcher

        settings = {variable: getattr(self, field) for field, variable in _VARIABLES.items()}
        return open_launcher(os.environ | {name: value for name, value in settings.items() if value is not None})


_VARIABLES = {
    "launcher": "RUNSTART_LAUNCHER",
    "engine": "DOCKER_HOST",
    "images": "RUNSTART_IMAGES",
    "namespace": "RUNSTART_LAUNCHER_NAMESPACE",
    "volumes": "RUNSTART_LAUNCHER_VOLUMES",
}
