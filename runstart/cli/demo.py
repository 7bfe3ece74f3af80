"""`runstart demo`: everything at once on this machine, until Ctrl-C."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from runstart.cli._signals import stop_on_signals
from runstart.errors import Alert

_WHAT_TO_SEE = (
    "The live page:     all instruments, the run that is taken as it happens, scans, nights; narrow, it is a phone's.",
    "Dagster's page:    detector, TOF spectrum and ledger of the same run; refresh it (top right).",
    "Under Automation:  the ticks of run_starts, which launches a run as soon as the instrument announces one.",
    "Under Runs:        what each run says as it goes. Kill the process of one: it resumes and loses nothing.",
    "Data operations:   under Jobs, such as median or color_image: fill in the Launchpad, launch, and see the pictures.",
    "The script:        edit it while a run is live; its curve on both pages follows within seconds.",
)
_NEEDED = {"psutil": "psutil", "dagster_webserver": "dagster-webserver", "fastapi": "fastapi", "uvicorn": "uvicorn"}


def demo_command(
    *,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the Dagster UI; by default a free one.", show_default=False),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep all data and logs in this new folder; by default nothing is left.",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=1, max=50_000, help="Mean events a second.")] = 5_000,
    instrument: Annotated[str, typer.Option(help="The declared instrument to simulate.")] = "SIMSANS",
    instruments: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Declares the instruments; by default the checkout's instruments.toml.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show live reduction: a simulated instrument, Kafka, an object store and Dagster, on this machine.

    A run of a minute starts every 65 seconds, and a microscope takes two scans. Everything listens on loopback only
    and writes to one folder: 300 MB for the scans and some 100 MB an hour. Ctrl-C stops everything and removes the folder.

    [bold]Examples[/bold]

    On a free port, until Ctrl-C:

        [green]runstart demo[/green]

    On a port of your choice, with data and logs kept:

        [green]runstart demo --port 3000 --keep demo-data[/green]

    Your own instrument and its reduction script, tried on simulated neutrons:

        [green]runstart demo --instruments my-facility/instruments.toml --instrument MYSANS[/green]
    """
    from rich.console import Console

    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise Alert(f"The demonstration needs {' and '.join(missing)}.", "pip install 'runstart[demo]'")

    from runstart.demo import ChildEnded, Demo, DemoSettings, make_place
    from runstart.demo.retention import KEPT_SECONDS
    from runstart.facility import accepts_connections

    if port is not None and accepts_connections(port):
        raise Alert(f"Something listens on port {port} already.", "Choose another, or leave --port out.")
    console = Console(highlight=False, soft_wrap=True)
    with stop_on_signals(once=False) as stop, make_place(keep, instruments) as place:
        console.print("Starting a facility with one simulated instrument. Ctrl-C stops it.")
        demo = Demo(
            place,
            DemoSettings(port=port, instrument=instrument, rate=rate),
            lambda line: console.print(f"  {line}"),
        )

        def welcome() -> None:
            console.print(f"\n[bold]{demo.live_url}[/bold]  the live page")
            console.print(f"[bold]{demo.url}[/bold]  the same run in Dagster\n")
            for line in _WHAT_TO_SEE:
                console.print(f"  {line}")
            console.print(f"  Five nights:       {demo.nights_url}")
            console.print(
                "                     of a telescope, to be materialized or backfilled: Materialize all (top right). The "
                "live page shows the newest."
            )
            console.print(f"  A microscope:      {demo.scans_url}")
            console.print("                     takes two scans; their pictures grow on this page while it does.")
            console.print(f"  Metrics:           {demo.metrics_url}")
            console.print(
                f"\n  The broker keeps {KEPT_SECONDS / 60:g} minutes of events. Logs: {place.data_dir}/*/*.log\n"
            )

        try:
            demo.run(stop, welcome)
        except ChildEnded as ended:
            console.print(f"[bold red]{ended.what}[/bold red] The end of its log:\n")
            console.print(ended.log_tail, markup=False)
            raise typer.Exit(1) from ended
    console.print("Stopped; " + ("nothing is left." if keep is None else f"data and logs are in {keep}."))
