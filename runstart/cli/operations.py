"""`runstart operations`: data operations on images, what they take, what they have made, and running them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from runstart.operation_kit import Input
    from runstart.storage import ObjectStore

operations_app = typer.Typer(
    help="Run data operations on images, and look after what they have made.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the data operation, such as median.")]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Where results are kept: file:FOLDER or s3://BUCKET/PREFIX; by default RUNSTART_OBJECT_STORE, or "
        "file:.runstart/store.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")]


@operations_app.callback()
def _group() -> None:
    """Run data operations on images, and look after what they have made."""


@operations_app.command("list")
def list_command(*, as_json: AsJson = False) -> None:
    """List the data operations and their inputs.

    Those of Runstart, and of the packages that RUNSTART_OPERATIONS names.

    [bold]Examples[/bold]

    As a table:

        [green]runstart operations list[/green]

    For a program, as the wizard's descriptions by name:

        [green]runstart operations list --json[/green]
    """
    from rich.console import Console
    from rich.table import Table

    from runstart.cli._operation_results import plain
    from runstart.operation_kit import find_operations

    operations = find_operations()
    if as_json:
        _print_json({slug: operation.wizard() for slug, operation in operations.items()})
        return
    table = Table(show_lines=True)
    table.add_column("operation", no_wrap=True)
    table.add_column("name")
    table.add_column("inputs", overflow="fold")
    table.add_column("what it does")
    for slug, operation in operations.items():
        inputs = "\n".join(plain(_tell_input(key, given)) for key, given in operation.inputs.items())
        table.add_row(slug, plain(operation.name), inputs, plain(" ".join(operation.description.split())))
    Console().print(table)


@operations_app.command("describe")
def describe_command(
    name: Name, *, schema: Annotated[bool, typer.Option("--schema", help="Print JSON Schema instead.")] = False
) -> None:
    """Print what a data operation takes, as JSON.

    [bold]Examples[/bold]

    As a page that asks for the inputs needs it:

        [green]runstart operations describe median[/green]

    As JSON Schema of a request:

        [green]runstart operations describe "Color Image" --schema[/green]
    """
    from runstart.operation_kit import find_operation

    operation = find_operation(name)
    _print_json(operation.schema() if schema else operation.wizard())


@operations_app.command("run")
def run_command(
    name: Name,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="For the first input that takes FITS images.", show_default=False),
    ] = None,
    *,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="KEY=VALUE",
            help="An input; VALUE is a text, JSON or a file. Give a list's key again for each item.",
            show_default=False,
        ),
    ] = None,
    request: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="All inputs as a JSON object; - is standard input.", show_default=False),
    ] = None,
    store: StoreUrl = None,
    memory_limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="What stacks may take, such as 500MB or 2GiB.", show_default=False),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Copy the outputs into this folder, as NAME-KEY.fits with 12 digits of the key.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a data operation, or find what the same request has made before.

    A file is a path of this machine, a pattern in quotes, [cyan]SOURCE/BASENAME[/cyan] (of the archive, the store,
    a declared folder or a site), or a URI. Where both a path and a source could be meant, the path counts if the file
    exists. Sites are those of RUNSTART_SITES, or of a sites.toml in this folder.

    [bold]Examples[/bold]

    The median of all images of a folder:

        [green]runstart operations run median night/*.fits[/green]

    Subtract one image from others, and copy the outputs here:

        [green]runstart operations run subtraction a.fits b.fits --input subtraction_file=dark.fits --export .[/green]

    An image of the archive, with a parameter:

        [green]runstart operations run increase_brightness archive/cpt1m010-20250101-0123-e91 -i brightness=100[/green]

    Exposures of a site:

        [green]runstart operations run median SIMOBS/a.fits SIMOBS/b.fits[/green]

    All inputs from a file:

        [green]runstart operations run color_image --request channels.json[/green]
    """
    from runstart.cli._operation_inputs import LocalFiles, read_inputs, read_request
    from runstart.cli._operation_results import export as copy_outputs
    from runstart.cli._operation_results import places, shown_progress
    from runstart.nights import add_sites, find_sites_file
    from runstart.operation_kit import MEMORY_VARIABLE, execute, find_operation, open_workplace

    operation = find_operation(name)
    local = LocalFiles()
    given = read_request(request) if request is not None else {}
    given |= read_inputs(operation, files or [], inputs or [], local)
    environ = {**os.environ, **({} if memory_limit is None else {MEMORY_VARIABLE: memory_limit})}
    opened = _open(store)
    workplace = open_workplace(opened, environ, local_folders=local.folders)
    sites_file = find_sites_file(environ, Path())
    if sites_file is not None:
        add_sites(workplace, sites_file, environ)
    with shown_progress(operation.name) as reporter:
        answer = execute(operation, given, workplace, reporter)
    entry = answer.entry
    copies = [] if export is None else copy_outputs(opened, entry, operation.slug, export)
    if as_json:
        _print_json({"computed": answer.computed, **json.loads(entry.to_json())})
        return
    how = f"computed in {entry.seconds:.1f} s" if answer.computed else f"from the cache, made {entry.made_at}"
    typer.echo(f"{operation.name} {entry.key}: {how}")
    for place in copies or places(opened, entry):
        typer.echo(f"  {place}")


@operations_app.command("show")
def show_command(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key, its beginning, or an output's basename.")],
    *,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what a key was made of, and what was made.

    The files have the names that the first gave them who asked: the same content under other names has the same key.

    [bold]Examples[/bold]

    Operation, inputs with their digests, outputs:

        [green]runstart operations show 3f9a1c[/green]

    All that is known, for a program:

        [green]runstart operations show 3f9a1c --json[/green]
    """
    from runstart.cli._operation_results import show_entry
    from runstart.errors import Alert
    from runstart.operation_kit import find_key, load_entry

    opened = _open(store)
    whole_key = find_key(opened, key)
    entry = load_entry(opened, whole_key)
    if entry is None:
        raise Alert(f"Nothing is complete under {whole_key}.", "It is being computed, or its outputs were deleted.")
    if as_json:
        _print_json(json.loads(entry.to_json()))
    else:
        show_entry(opened, entry)


@operations_app.command("forget")
def forget_command(
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY...", help="Keys, their beginnings, or outputs' basenames.")
    ],
    *,
    store: StoreUrl = None,
    dry_run: DryRun = False,
) -> None:
    """Remove what was made under keys; the same request computes it anew.

    [bold]Examples[/bold]

    Remove one:

        [green]runstart operations forget 3f9a1c[/green]

    See what would be removed:

        [green]runstart operations forget 3f9a1c 77be02 --dry-run[/green]
    """
    from runstart.operation_kit import find_key, remove

    opened = _open(store)
    for key in [find_key(opened, text) for text in keys]:
        if dry_run:
            typer.echo(f"{key} would be removed.")
        else:
            typer.echo(f"{key}: {remove(opened, key)} objects removed.")


@operations_app.command("prune")
def prune_command(
    *,
    older_than: Annotated[float, typer.Option(min=0, metavar="DAYS", help="Age in days from which to remove.")],
    store: StoreUrl = None,
    dry_run: DryRun = False,
) -> None:
    """Remove what was made long ago, and what killed computations have left.

    What nobody asks for again is then gone; what somebody asks for is computed anew. What the records of nights name
    stays, however old it is.

    [bold]Examples[/bold]

    Remove what is older than 30 days:

        [green]runstart operations prune --older-than 30[/green]

    See what would be removed:

        [green]runstart operations prune --older-than 30 --dry-run[/green]
    """
    from datetime import UTC, datetime, timedelta

    from runstart.nights import kept_keys
    from runstart.operation_kit import list_kept, remove

    opened = _open(store)
    before = datetime.now(UTC) - timedelta(days=older_than)
    found = list(list_kept(opened))
    needed = kept_keys(opened)  # after the keys: a night that is made meanwhile has younger ones
    removed = needed_by_nights = 0
    for kept in found:
        if kept.key in needed:
            needed_by_nights += kept.at is None or kept.at < before
        elif kept.at is None:
            typer.echo(f"{kept.key}: its age is not known; remove it with `runstart operations forget`.")
        elif kept.at < before:
            removed += 1
            typer.echo(f"{kept.key} of {kept.at:%Y-%m-%d}{' would be removed' if dry_run else ''}")
            if not dry_run:
                remove(opened, kept.key)
    typer.echo(f"{removed} keys {'would be ' if dry_run else ''}removed.")
    if needed_by_nights:
        typer.echo(f"{needed_by_nights} keys {'would be ' if dry_run else ''}kept, because nights need them.")


def _open(url: str | None) -> ObjectStore:
    from runstart.storage import open_store, store_url

    return open_store(store_url(os.environ) if url is None else url)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def _tell_input(key: str, given: Input) -> str:
    """Return an input in one line: its key, kind, bounds and default."""
    told = given.wizard()
    rule = told["type"]
    low, high = told.get("minimum"), told.get("maximum")
    if "options" in told:
        rule = " | ".join(told["options"])
    elif low is not None or high is not None:
        rule += f" {low}" if low == high else f" {'' if low is None else low}..{'' if high is None else high}"
    if told.get("single_filter"):
        rule += ", one filter"
    if "filter_options" in told:
        rule += f", {' or '.join(told['filter_options'])}"
    return f"{key}: {rule}" if given.required else f"{key}: {rule} = {json.dumps(told['default'])}"
