"""How sessions are run here, as a Dagster resource: where operators are, what each may use and see.

What operators are shown as mounts is limited to folders that the deployment names; whoever may launch a run chooses
among those, and no others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from runstart.shipped import SHIPPED_OPERATORS

if TYPE_CHECKING:
    from runstart.sessions import SessionSettings

HUNG_AFTER_S = 600.0


class SessionsResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Says how sessions are run, and when one has lasted for too long."""

    operators: str | None = Field(
        default=None,
        description="Folders of operators beside those that ship, separated as in PATH (`RUNSTART_OPERATORS`).",
    )
    mount_roots: str | None = Field(
        default=None,
        description="Folders inside which operators may be shown files, separated as in PATH "
        "(`RUNSTART_MOUNT_ROOTS`); by default the home folder, the temporary folder and the current one.",
    )
    image: str | None = Field(
        default=None,
        description="Image in which every operator is run, instead of its own (`RUNSTART_OPERATOR_IMAGE`).",
    )
    image_mounts: str | None = Field(
        default=None,
        description="Folders of this machine that this image needs, such as those of Python, read-only, separated as "
        "in PATH (`RUNSTART_OPERATOR_IMAGE_MOUNTS`).",
    )
    memory: str | None = Field(
        default=None, description="What each replica may use, such as `2GiB` (`RUNSTART_OPERATOR_MEMORY`)."
    )
    cpus: str | None = Field(
        default=None,
        description="Processors' worth of time of each replica, such as `1.5` (`RUNSTART_OPERATOR_CPUS`); by default as "
        "much as there is.",
    )
    message_limit_s: str | None = Field(
        default=None,
        description="After so many seconds on one message an operator counts as hung (`RUNSTART_OPERATOR_HUNG_S`).",
    )
    hung_after_s: str | None = Field(
        default=None,
        description="After so many seconds without a sign of life a session counts as hung, and is removed "
        "(`RUNSTART_SESSION_HUNG_S`); ten minutes by default.",
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> SessionsResource:
        """Return the resource that says what the environment says.

        Parameters
        ----------
        environ : mapping of str to str
            The environment of the code location.
        """
        return cls(**{field: environ.get(variable) or None for field, variable in _VARIABLES.items()})

    def open(self) -> SessionSettings:
        """Return the settings of sessions, with the operators that are there now.

        Raises
        ------
        Alert
            If a setting does not have its form.
        """
        from runstart.sessions.environment import read_session_settings

        return read_session_settings(self._environ(), SHIPPED_OPERATORS)

    def hung_limit(self) -> float:
        """Return after how many seconds a session counts as hung.

        Raises
        ------
        Alert
            If the setting is no number of seconds.
        """
        from runstart.sessions.environment import read_seconds

        return read_seconds(self._environ(), "RUNSTART_SESSION_HUNG_S") or HUNG_AFTER_S

    def _environ(self) -> dict[str, str]:
        settings = {variable: getattr(self, field) for field, variable in _VARIABLES.items()}
        return os.environ | {variable: value for variable, value in settings.items() if value is not None}


_VARIABLES = {
    "operators": "RUNSTART_OPERATORS",
    "mount_roots": "RUNSTART_MOUNT_ROOTS",
    "image": "RUNSTART_OPERATOR_IMAGE",
    "image_mounts": "RUNSTART_OPERATOR_IMAGE_MOUNTS",
    "memory": "RUNSTART_OPERATOR_MEMORY",
    "cpus": "RUNSTART_OPERATOR_CPUS",
    "message_limit_s": "RUNSTART_OPERATOR_HUNG_S",
    "hung_after_s": "RUNSTART_SESSION_HUNG_S",
}
