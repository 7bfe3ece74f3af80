"""`runstart scans`: what is in a file of frames, and all maps of it, without Dagster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.errors import Alert

if TYPE_CHECKING:
    from rich.console import Console

    from runstart.frame_files import FrameSource
    from runstart.microscopes import Microscope
    from runstart.scans import Accounting

DEFAULT_MICROSCOPES_FILE = Path("microscopes.toml")

ScanFile = Annotated[Path, typer.Argument(metavar="FILE", help="A file of frames, dense or sparse.")]

scans_app = typer.Typer(
    help="Look at scans of electron microscopes, and process them.", no_args_is_help=True, rich_markup_mode="rich"
)


@scans_app.callback()
def _group() -> None:
    """Look at scans of electron microscopes, and process them."""


@scans_app.command("show")
def show_command(file: ScanFile) -> None:
    """Show what a file says about its scan, and what became of its frames.

    Read are .frames, .batches, .npy, HDF5 (NeXus, EMD, counted), MIB, TIFF, and .raw with a JSON file beside it.

    [bold]Example[/bold]

        [green]runstart scans show scan_000001.frames[/green]
    """
    from rich.console import Console

    from runstart.frame_files import FileBlob, open_frames
    from runstart.scans.accounting import Accountant

    with open_frames(FileBlob(file)) as source:
        accountant = Accountant(source.header)
        accountant.take(source.slots(0, source.frame_count))
        _print_account(Console(), source, accountant.account())


@scans_app.command("process")
def process_command(
    file: ScanFile,
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the results; by default FILE.results.", show_default=False),
    ] = None,
    microscope: Annotated[
        str, typer.Option(help="The microscope whose settings are used; it may be left out if there is only one.")
    ] = "",
    microscopes: Annotated[
        Path, typer.Option(metavar="FILE", help="Declares the microscopes.")
    ] = DEFAULT_MICROSCOPES_FILE,
) -> None:
    """Count, map and sum the frames of a scan: NeXus file, counted events and pictures.

    The settings (thresholds, crop, virtual detectors, calibration) are those of a microscope in
    [cyan]microscopes.toml[/cyan]; the results are those of the Dagster job.

    [bold]Examples[/bold]

        [green]runstart scans process scan_000001.frames[/green]

    With the settings of one of several microscopes, into a folder of your choice:

        [green]runstart scans process night/scan7.h5 --microscope TITAN --out results[/green]
    """
    from rich.console import Console
    from rich.progress import Progress

    from runstart.frame_files import FileBlob, open_frames
    from runstart.microscopes import read_microscopes
    from runstart.scans import ScanRecord, ScanWork, how_ended, make_plan, make_product, process_whole
    from runstart.scans.publish import product_files
    from runstart.storage import open_store, store_url

    chosen = _choose(read_microscopes(microscopes), microscope, microscopes)
    folder = file.with_name(f"{file.name}.results") if out is None else out
    console = Console()
    record = ScanRecord(chosen.name, file.name, file.name, version="", found_at=0.0)
    # The store is only asked for the vacuum scan that the beam is compensated by.
    work = ScanWork(chosen, record, open_store(store_url(os.environ)), tell=console.print, local=file)
    with open_frames(FileBlob(file)) as source:
        plan = make_plan(work, source)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("frames", total=plan.accounting.seen)
            partial, accounting = process_whole(work, source, plan, lambda n: progress.advance(task, n))
        product = make_product(work, plan, partial, accounting, how_ended(source.is_closed, accounting))
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in product_files(product).items():
            (folder / name).write_bytes(data)
        _print_account(console, source, accounting)
    console.print(f"Centre: row {plan.center[0]:.2f}, column {plan.center[1]:.2f}. Results: {folder}")


def _choose(microscopes: dict[str, Microscope], name: str, file: Path) -> Microscope:
    if not name and len(microscopes) == 1:
        return next(iter(microscopes.values()))
    if name not in microscopes:
        known = ", ".join(microscopes) or "none"
        what = f"{file} declares no microscope {name!r}." if name else f"{file} declares several microscopes."
        raise Alert(what, f"Say --microscope with one of: {known}.")
    return microscopes[name]


def _print_account(console: Console, source: FrameSource, accounting: Accounting) -> None:
    from rich.table import Table

    header = source.header
    table = Table(show_header=False)
    table.add_row("scan", f"{header.scan_shape[0]} x {header.scan_shape[1]} positions")
    table.add_row("frames", f"{header.frame_shape[0]} x {header.frame_shape[1]} pixels, {header.dtype}")
    if header.frames_per_position > 1:
        table.add_row("frames at each position", str(header.frames_per_position))
    for name, value in {"started": header.started, **header.calibration}.items():
        if value:
            table.add_row(name, str(value))
    for name, count in accounting.as_dict().items():
        table.add_row(name, f"{count:,}")
    console.print(table)
