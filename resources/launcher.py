"""What starts processes beside a Dagster run, as a Dagster resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from runstart.launchers import Launcher


class LauncherResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Starts reduction scripts: as processes of this machine, each in an isolation of its own."""

    def open(self) -> Launcher:
        """Return the launcher."""
        from runstart.launchers import SubprocessLauncher

        return SubprocessLauncher()
