"""Where compute jobs run, as a Dagster resource: the environments that a data owner declares."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from runstart.compute import ComputeEnvironment
    from runstart.compute.notices import Notices


class ComputeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Knows the environments of compute jobs, and where on this machine their folders are made."""

    file: str | None = Field(
        default=None,
        description="The file that declares the environments (`RUNSTART_COMPUTE`); by default compute.toml beside "
        "definitions.py, if it is there. What it leaves out comes from Ocean's variables, such as `maxJobDuration`.",
    )
    folder: str | None = Field(
        default=None,
        description="Folder in which those of jobs are made (`RUNSTART_COMPUTE_FOLDER`); by default the temporary one. For "
        "pods it must lie on a volume of the cluster.",
    )
    beside: str = Field(default=".", description="Folder in which compute.toml is looked for.")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], beside: Path) -> ComputeResource:
        """Return the resource that says what the environment says.

        Parameters
        ----------
        environ : mapping of str to str
            The environment of the code location.
        beside : Path
            Folder in which compute.toml is looked for.
        """
        fields = {field: environ.get(variable) or None for field, variable in _VARIABLES.items()}
        return cls(**fields, beside=str(beside))

    def open(self) -> dict[str, ComputeEnvironment]:
        """Return the environments by name.

        Raises
        ------
        Alert
            If one is not declared as it must be.
        """
        from runstart.compute import read_environments

        return read_environments(self._environ(), self.beside)

    def root(self) -> Path:
        """Return the folder in which those of jobs are made."""
        from runstart.compute.folders import jobs_root

        return jobs_root(self._environ())

    def notices(self) -> Notices:
        """Return who is told when jobs start and end: Ocean's `NOTIFY_START_URL` and `NOTIFY_STOP_URL`."""
        from runstart.compute.notices import Notices

        return Notices.from_environment(os.environ)

    def _environ(self) -> dict[str, str]:
        settings = {variable: getattr(self, field) for field, variable in _VARIABLES.items()}
        return os.environ | {variable: value for variable, value in settings.items() if value is not None}


_VARIABLES = {"file": "RUNSTART_COMPUTE", "folder": "RUNSTART_COMPUTE_FOLDER"}
