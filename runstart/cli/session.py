"""`runstart session`: probe sessions and all others, what this machine has for them, and what they have left."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.cli.operations import StoreUrl
from runstart.shipped import SHIPPED_OPERATORS

if TYPE_CHECKING:
    from runstart.host import Held, HostResources
    from runstart.storage import ObjectStore

HUNG_AFTER_S = 86_400.0

Count = Annotated[int, typer.Option(help="How many messages the probe sends, 1 to 10 million.")]
Segmented = Annotated[bool, typer.Option("--segmented", help="Have streaming forward them to segmentation.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

session_app = typer.Typer(
    help="Run probe sessions; see and clean up sessions of all kinds.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@session_app.callback()
def _group() -> None:
    """Run probe sessions; see and clean up sessions of all kinds."""


@session_app.command("run")
def run_command(
    *, count: Count = 1000, segmented: Segmented = False, store: StoreUrl = None, as_json: AsJson = False
) -> None:
    """Run a probe session, without Dagster, and count what arrives.

    A probe sends numbered messages to a streaming program, which may forward them to segmentation; all three run as
    plain processes, or in containers if the environment says so ([cyan]RUNSTART_LAUNCHER[/cyan]). Ctrl-C stops it.

    [bold]Examples[/bold]

        [green]runstart session run --count 1000[/green]

    With segmentation:

        [green]runstart session run --count 100000 --segmented[/green]
    """
    from runstart.cli._session_display import TerminalReporter
    from runstart.cli._signals import stop_on_signals
    from runstart.launchers.opening import open_launcher
    from runstart.probe_sessions import ProbeOrder, run_probe_session
    from runstart.sessions.environment import read_session_settings

    order = ProbeOrder(count, not segmented)
    settings = read_session_settings(os.environ, SHIPPED_OPERATORS)
    launcher = open_launcher(os.environ)
    with stop_on_signals() as stop, TerminalReporter() as reporter:
        outcome = run_probe_session(order, launcher, _open(store), settings, reporter, stop=stop.is_set)
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=1))
        return
    rate = outcome.arrived / outcome.seconds if outcome.seconds else 0.0
    typer.echo(
        f"Session {outcome.session_id} ({outcome.stream_type}) {outcome.state}: {outcome.arrived:,} of "
        f"{outcome.count:,} messages arrived in {outcome.seconds:.1f} s ({rate:,.0f} a second)."
    )


@session_app.command("request")
def request_command(
    *,
    count: Count = 1000,
    segmented: Segmented = False,
    name: Annotated[str, typer.Option(help="Of the request; by default a new one.", show_default=False)] = "",
    store: StoreUrl = None,
) -> None:
    """Ask Dagster for a probe session: its sensor launches it.

    [bold]Example[/bold]

        [green]runstart session request --count 1000 --segmented[/green]
    """
    from runstart.probe_sessions import write_request

    written = write_request(_open(store), count, plain_stream=not segmented, name=name)
    typer.echo(f"Request {written} is written; the sensor of session requests launches it.")


@session_app.command("list")
def list_command(
    *,
    all_: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the sessions that run; those whose record is damaged are told on standard error.

    [bold]Example[/bold]

        [green]runstart session list --all[/green]
    """
    from runstart.cli._session_display import print_sessions
    from runstart.sessions.records import SessionRecord, read_all_records

    records = read_all_records(_open(store))
    shown = [record for record in records if isinstance(record, SessionRecord) and (all_ or not record.has_ended)]
    print_sessions(shown, as_json=as_json)
    for record in records:
        if not isinstance(record, SessionRecord):
            typer.echo(f"The record of {record.session_id!r} cannot be read: {record.trouble}.", err=True)


@session_app.command("show")
def show_command(
    session: Annotated[str, typer.Argument(metavar="ID", help="The session.")],
    *,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show one session: how it stands, and its tasks with start, end and status.

    [bold]Example[/bold]

        [green]runstart session show 0123456789ABCDEF[/green]
    """
    from runstart.cli._session_display import print_status
    from runstart.sessions import read_record, read_status

    opened = _open(store)
    record = read_record(opened, session)
    print_status(record, read_status(opened, session), as_json=as_json)
    for node in () if as_json else record.nodes:
        finished = "-" if node.finished_at is None else _clock(node.finished_at)
        times = f"{_clock(node.started_at)} to {finished}"
        typer.echo(f"{node.operator} {node.replica}: {node.status}, {times}, {node.node_id[:12]}")


@session_app.command("clean")
def clean_command(
    *,
    hung_after: Annotated[
        float,
        typer.Option(
            min=1,
            envvar="RUNSTART_SESSION_HUNG_S",
            help="Seconds without a sign of life after which a session counts as hung.",
        ),
    ] = HUNG_AFTER_S,
    store: StoreUrl = None,
) -> None:
    """Remove what dead and hung sessions have left: tasks, networks and folders.

    Dagster's clean-up sensor does the same, and also knows which runs have ended. A living session is never touched.

    [bold]Example[/bold]

        [green]runstart session clean[/green]
    """
    from runstart.launchers.opening import open_launcher
    from runstart.sessions import clean_up

    told = clean_up(open_launcher(os.environ), _open(store), lambda _: False, hung_after, time.time())
    typer.echo("\n".join(told) or "Nothing is left of sessions that have ended.")


@session_app.command("host")
def host_command(*, as_json: AsJson = False) -> None:
    """Show what this machine has, what is left of it, and which sessions have reserved what.

    [bold]Example[/bold]

        [green]runstart session host[/green]
    """
    import tempfile

    from runstart.host import Reservations, measure_host
    from runstart.sessions import SessionSettings

    host = measure_host(Path(tempfile.gettempdir()))
    held = Reservations(SessionSettings().reservations).living()
    if as_json:
        sessions = [{"session_id": one.session_id, **vars(one.demand), "since": one.since} for one in held]
        typer.echo(json.dumps({**host.as_dict(), "sessions": sessions}, indent=1))
        return
    _print_host(host, held)


def _print_host(host: HostResources, held: list[Held]) -> None:
    from rich.console import Console
    from rich.table import Table

    from runstart.host import size_text

    table = Table(title=host.name, show_header=False)
    table.add_row("processors", f"{host.cpus:g}; {host.load:.1f} processes want one")
    table.add_row("memory", f"{size_text(host.memory_available_bytes)} of {size_text(host.memory_bytes)} are left")
    table.add_row(
        f"disk of {host.disk}", f"{size_text(host.disk_free_bytes)} of {size_text(host.disk_bytes)} are left"
    )
    for gpu in host.gpus:
        busy = "" if gpu.busy_percent is None else f", {gpu.busy_percent} % busy"
        memory = f"{size_text(gpu.memory_free_bytes)} of {size_text(gpu.memory_bytes)} are left"
        table.add_row(f"GPU {gpu.index}, {gpu.name}", f"{memory}{busy}")
    for one in held:
        gpus = f", GPUs {', '.join(map(str, one.gpus))}" if one.gpus else ""
        has = f"{one.demand.cpus:g} processors, {size_text(one.demand.memory_bytes)} of memory{gpus}"
        table.add_row(f"session {one.session_id}", f"has reserved {has}")
    Console().print(table)


def _open(url: str | None) -> ObjectStore:
    from runstart.storage import open_store, store_url

    return open_store(store_url(os.environ) if url is None else url)


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
