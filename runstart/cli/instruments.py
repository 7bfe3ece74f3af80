"""`runstart instruments`: what the facility declares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.cli._options import DEFAULT_INSTRUMENTS_FILE

if TYPE_CHECKING:
    from runstart.instruments import Instrument

instruments_app = typer.Typer(
    help="Look after the file that declares the instruments.", no_args_is_help=True, rich_markup_mode="rich"
)


@instruments_app.callback()
def _group() -> None:
    """Look after the file that declares the instruments."""


@instruments_app.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to check.")] = DEFAULT_INSTRUMENTS_FILE,
) -> None:
    """Check the declared instruments, and show them.

    A mistake is told with its file, line and field, and what would be right; the exit code is then 1.

    [bold]Examples[/bold]

    Check [cyan]instruments.toml[/cyan] in this folder:

        [green]runstart instruments check[/green]

    Check another file, with the brokers of another place:

        [green]RUNSTART_KAFKA=kafka.example.org:9092 runstart instruments check beamlines.toml[/green]
    """
    from rich.console import Console
    from rich.table import Table

    from runstart.instruments import read_instruments

    facility = read_instruments(file)
    table = Table(title=str(file), title_justify="left", show_lines=True)
    for heading in ("instrument", "Kafka", "topics", "banks", "TOF bins", "views", "script, collectors"):
        table.add_column(heading, overflow="fold")
    table.add_column("memory", justify="right")
    for name, instrument in facility.instruments.items():
        cluster = facility.clusters[instrument.kafka]
        tof = instrument.tof
        banks = [
            f"{bank.name}: {' x '.join(map(str, bank.shape))}, ids {bank.first_detector_id} to "
            f"{bank.first_detector_id + bank.size - 1}"
            for bank in instrument.banks
        ]
        live = "" if instrument.live_reduction else "\nlive reduction is off"
        table.add_row(
            f"[bold]{name}[/bold]{live}",
            f"{cluster.name}\n{cluster.bootstrap_servers}",
            "\n".join(topic for _, topic in instrument.topics if topic is not None),
            "\n".join(banks),
            f"{tof.bins} of {tof.width_ns / 1000:g} us\n{tof.start_us:g} to {tof.stop_us:g} us",
            ", ".join(instrument.views),
            "\n".join(_companions(instrument)),
            f"{instrument.memory_bytes(1) / 1e6:,.1f} MB",
        )
    console = Console()
    console.print(table)
    console.print(f"{len(facility.instruments)} instruments, nothing to mend.")


def _companions(instrument: Instrument) -> list[str]:
    """Return a line for the script and one for each collector."""
    script = instrument.script
    lines = []
    if script is not None:
        lines.append(script.url or f"{script.folder or script.git}: {script.file}")
    return lines + [f"{name}: {declared.use}" for name, declared in instrument.collectors.items()]
