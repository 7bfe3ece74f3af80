"""The `runstart` command: one file a command; a heavy library is imported by the command that needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from runstart.cli import operator_new, operator_run, session_commands  # noqa: F401  # they add commands to the groups
from runstart.cli._errors import AlertGroup
from runstart.cli.alerts import alerts_app
from runstart.cli.demo import demo_command
from runstart.cli.gateway import gateway_app
from runstart.cli.instruments import instruments_app
from runstart.cli.kubernetes import kubernetes_app
from runstart.cli.metrics import metrics_command
from runstart.cli.microscopes import microscopes_app
from runstart.cli.operations import operations_app
from runstart.cli.operator import operator_app
from runstart.cli.pipeline import pipeline_app
from runstart.cli.replay import replay_command
from runstart.cli.scans import scans_app
from runstart.cli.session import session_app
from runstart.cli.simulate import simulate_app
from runstart.cli.sites import sites_app

__all__ = ["app"]

app = typer.Typer(
    name="runstart",
    cls=AlertGroup,
    help="Turns a facility's raw data into results the moment it is taken.",
    epilog="Every command tells more, with examples: [bold]runstart replay --help[/bold]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
app.add_typer(alerts_app, name="alerts")
app.add_typer(gateway_app, name="gateway")
app.add_typer(instruments_app, name="instruments")
app.add_typer(kubernetes_app, name="kubernetes")
app.add_typer(microscopes_app, name="microscopes")
app.add_typer(operations_app, name="operations")
app.add_typer(operator_app, name="operator")
app.add_typer(pipeline_app, name="pipeline")
app.add_typer(sites_app, name="sites")
app.add_typer(scans_app, name="scans")
app.add_typer(session_app, name="session")
app.add_typer(simulate_app, name="simulate")
app.command("demo")(demo_command)
app.command("metrics")(metrics_command)
app.command("replay")(replay_command)


def _show_version(asked: bool) -> None:
    if asked:
        from runstart import __version__

        typer.echo(f"runstart {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""
