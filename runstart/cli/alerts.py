"""`runstart alerts`: who is told what, and whether it reaches them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runstart.alerts import AlertsConfiguration, Channel, Notice

alerts_app = typer.Typer(
    help="Look after the file that says who is told what.", no_args_is_help=True, rich_markup_mode="rich"
)
AlertsFile = Annotated[
    Path, typer.Argument(metavar="[FILE]", envvar="RUNSTART_ALERTS", help="The file.", show_envvar=True)
]
DEFAULT_FILE = Path("alerts.toml")


@alerts_app.callback()
def _group() -> None:
    """Look after the file that says who is told what."""


@alerts_app.command("check")
def check_command(file: AlertsFile = DEFAULT_FILE) -> None:
    """Check the file, and show who is told what; nothing is sent.

    A mistake is told with its file, line and field; the exit code is then 1. So it is if a secret is not set in the
    environment.

    [bold]Examples[/bold]

    Check [cyan]alerts.toml[/cyan] in this folder:

        [green]runstart alerts check[/green]

    Check another file:

        [green]runstart alerts check beamlines/alerts.toml[/green]
    """
    import os

    from runstart.alerts import alert_about_variables, missing_variables, open_channels, read_alerts

    configuration = read_alerts(file)
    _show(file, configuration, [channel.name for channel in open_channels(configuration)])
    missing = missing_variables(configuration, os.environ)
    if missing:
        raise alert_about_variables(missing)


@alerts_app.command("test")
def try_command(file: AlertsFile = DEFAULT_FILE) -> None:
    """Send one notice on every channel, quiet hours or not.

    The exit code is 1 if a channel does not deliver it.

    [bold]Examples[/bold]

    Use [cyan]alerts.toml[/cyan] in this folder:

        [green]runstart alerts test[/green]

    Use another file:

        [green]runstart alerts test beamlines/alerts.toml[/green]
    """
    import time

    from runstart.alerts import Condition, Notice, open_channels, read_alerts
    from runstart.errors import Alert

    configuration = read_alerts(file)
    channels = open_channels(configuration)
    if not channels:
        raise Alert(f"{file} names no webhook and no e-mail.", "Add a table [[webhooks]] or [email].")
    text = "This is a test of `runstart alerts test`; nothing is wrong."
    notice = Notice(Condition("test", "", "", text, time.time(), configuration.link), "new")
    reached = [_try(channel, notice) for channel in channels]
    if not all(reached):
        raise Alert(
            f"{reached.count(False)} of {len(channels)} channels did not deliver.", "See what they said above."
        )


def _try(channel: Channel, notice: Notice) -> bool:
    from runstart.alerts import Undelivered

    try:
        remarks = channel.deliver([notice])
    except Undelivered as error:
        typer.echo(f"{channel.name}: not delivered: {error}.")
        return False
    typer.echo("\n".join([f"{channel.name}: delivered.", *(f"{channel.name}: {remark}." for remark in remarks)]))
    return True


def _show(file: Path, configuration: AlertsConfiguration, channels: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=str(file), title_justify="left")
    table.add_column("condition")
    table.add_column("everywhere")
    for name in configuration.instruments:
        table.add_column(name)
    for rule in type(configuration.rules).model_fields:
        rows = [configuration.rules, *(configuration.rules_of(name) for name in configuration.instruments)]
        table.add_row(rule, *(_tell_rule(getattr(rules, rule)) for rules in rows))
    console = Console()
    console.print(table)
    quiet = configuration.quiet_hours
    if quiet is not None:
        loud = f", except {', '.join(quiet.except_)}" if quiet.except_ else ""
        console.print(f"Quiet from {quiet.begin} to {quiet.end} ({quiet.time_zone}){loud}.")
    told = (
        f"Told to: {', '.join(channels)}."
        if channels
        else "Nobody is told: the file names no webhook and no e-mail."
    )
    console.print(told)


def _tell_rule(value: bool | float) -> str:
    if isinstance(value, bool):
        return "told" if value else "-"
    return f"above {value:g} s" if value else "-"
