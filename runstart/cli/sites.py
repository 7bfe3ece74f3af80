"""`runstart sites`: what the facility declares about its telescopes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runstart.nights import Site

DEFAULT_SITES_FILE = Path("sites.toml")

sites_app = typer.Typer(
    help="Look after the file that declares the observing sites.", no_args_is_help=True, rich_markup_mode="rich"
)


@sites_app.callback()
def _group() -> None:
    """Look after the file that declares the observing sites."""


@sites_app.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to check.")] = DEFAULT_SITES_FILE,
) -> None:
    """Check the declared sites, and show them.

    A mistake is told with its file, line and field, and what would be right; the exit code is then 1.

    [bold]Examples[/bold]

    Check [cyan]sites.toml[/cyan] in this folder:

        [green]runstart sites check[/green]

    Check another file, with the exposures of another disk:

        [green]RUNSTART_EXPOSURES=/data runstart sites check telescopes.toml[/green]
    """
    from rich.console import Console
    from rich.table import Table

    from runstart.nights import read_sites

    sites = read_sites(file)
    table = Table(title=str(file), title_justify="left", show_lines=True)
    for heading in ("site", "nights", "exposures", "reduced", "expected of a night", "colours"):
        table.add_column(heading, overflow="fold")
    for name, site in sites.items():
        limits = site.limits
        table.add_row(
            f"[bold]{name}[/bold]",
            f"{site.time_zone}\nsince {site.first_night}",
            _where(site),
            site.morning,
            f"{limits.biases} bias, {limits.darks} dark,\n{limits.flats} flat per filter\n"
            f"seeing under {limits.seeing_arcsec:g} arcsec",
            "\n".join(f"{filter_}: {red}, {green}, {blue}" for filter_, (red, green, blue) in site.colors.items()),
        )
    console = Console()
    if sites:
        console.print(table)
    console.print(f"{len(sites)} site{'' if len(sites) == 1 else 's'}, nothing to mend.")


def _where(site: Site) -> str:
    """Return where exposures arrive; a folder that is not there yet is no mistake."""
    folder = site.exposures.removeprefix("file:")
    is_there = folder == site.exposures or Path(folder).is_dir()
    return site.exposures if is_there else f"{site.exposures}\n(not there yet)"
