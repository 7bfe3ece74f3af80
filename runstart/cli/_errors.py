"""Tells users of their mistakes in one line on standard error, with exit code 1 and no traceback.

Anything else that is raised is a bug, and keeps its traceback.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from runstart.errors import Alert, Transient


class AlertGroup(TyperGroup):
    """A group of commands that shows alerts and transient errors as a line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was given."""
        try:
            return super().invoke(ctx)
        except (Alert, Transient) as error:
            typer.secho("runstart: ", fg=typer.colors.RED, bold=True, err=True, nl=False)
            typer.echo(" ".join(str(error).split()), err=True)
            raise typer.Exit(1) from error
