"""`runstart microscopes`: what the facility declares about its electron microscopes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runstart.microscopes import Microscope

DEFAULT_MICROSCOPES_FILE = Path("microscopes.toml")

microscopes_app = typer.Typer(
    help="Look after the file that declares the electron microscopes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@microscopes_app.callback()
def _group() -> None:
    """Look after the file that declares the electron microscopes."""


@microscopes_app.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to check.")] = DEFAULT_MICROSCOPES_FILE,
) -> None:
    """Check the declared microscopes, and show them.

    A mistake is told with its file, line and field, and what would be right; the exit code is then 1.

    [bold]Examples[/bold]

    Check [cyan]microscopes.toml[/cyan] in this folder:

        [green]runstart microscopes check[/green]

    Check another file, with the scans of another disk:

        [green]RUNSTART_SCANS=/data runstart microscopes check labs.toml[/green]
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from runstart.microscopes import read_microscopes

    microscopes = read_microscopes(file)
    table = Table(title=str(file), title_justify="left", show_lines=True)
    for heading in ("microscope", "scans", "electrons", "detectors", "batches"):
        table.add_column(heading, overflow="fold")
    for name, microscope in microscopes.items():
        table.add_row(
            f"[bold]{name}[/bold]\n{escape(microscope.title)}".rstrip(),
            escape(_where(microscope)),
            _counting(microscope),
            "\n".join(f"{d.name}: {d.inner:g} to {d.outer:g} px" for d in microscope.recipe.detectors) or "none",
            f"{microscope.batch_bytes / 2**20:g} MiB\n{microscope.threads} threads",
        )
    console = Console()
    if microscopes:
        console.print(table)
    console.print(f"{len(microscopes)} microscope{'' if len(microscopes) == 1 else 's'}, nothing to mend.")


def _where(microscope: Microscope) -> str:
    """Return where scans arrive and are announced; a folder that is not there yet is no mistake."""
    folder, announced = microscope.path, microscope.announcements
    lines = [microscope.scans]
    if folder is not None and not folder.is_dir():
        lines.append("(not there yet)")
    if announced is not None:
        lines.append(f"announced on {announced.topic} of {announced.kafka}")
    return "\n".join(lines)


def _counting(microscope: Microscope) -> str:
    counting = microscope.recipe.counting
    if counting is None:
        return "not counted"
    return f"above {counting.background_threshold:g},\nbelow {counting.xray_threshold:g}"
