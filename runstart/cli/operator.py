"""`runstart operator`: writes, checks, lists and builds operators, without Dagster."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.errors import Alert
from runstart.shipped import SHIPPED_OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from runstart.specifications import FoundOperator, Parameter

operator_app = typer.Typer(
    help="Write operators, check, list, build and run them.", no_args_is_help=True, rich_markup_mode="rich"
)


@operator_app.callback()
def _group() -> None:
    """Write operators, check, list, build and run them."""


@operator_app.command("validate")
def validate_command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="Folders of operators, or operator.json files.", show_default=False),
    ] = None,
) -> None:
    """Check operators without running their code: operator.json, Containerfile and run.py.

    Whether all fields are there and of their kind, whether run.py has one [cyan]@operator[/cyan], and whether the
    parameters and triggers that it names are in operator.json. Without PATH all operators that ship, and those in the
    folders of RUNSTART_OPERATORS, are checked. The exit code is 1 if something is wrong, 0 if there are only
    warnings.

    [bold]Examples[/bold]

        [green]runstart operator validate operators/count-electrons[/green]

        [green]runstart operator validate[/green]
    """
    from runstart.specifications import validate_operator

    wrong = 0
    for folder in [path if path.is_dir() else path.parent for path in paths or _all_folders()]:
        findings = validate_operator(folder)
        errors = sum(finding.is_error for finding in findings)
        wrong += errors > 0
        state, color = ("wrong", typer.colors.RED) if errors else ("right", typer.colors.GREEN)
        typer.secho(f"{folder.resolve().name}: {state}", fg=color, bold=True)
        for finding in findings:
            typer.echo(f"  {'error' if finding.is_error else 'warning'}: {finding.text}")
    if wrong:
        raise typer.Exit(1)


@operator_app.command("list")
def list_command(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the operators that ship, and those in the folders that RUNSTART_OPERATORS names.

    Those that cannot be read are named below the table, each with the reason.

    [bold]Examples[/bold]

        [green]runstart operator list[/green]

    For a program, the specifications by name:

        [green]runstart operator list --json[/green]
    """
    from rich.console import Console

    from runstart.specifications import find_operators

    troubles: list[str] = []
    operators = find_operators(find_folders(), troubles)
    if as_json:
        found = {name: json.loads(one.spec.to_json()) for name, one in operators.items()}
        typer.echo(json.dumps({"operators": found, "troubles": troubles}, indent=2, ensure_ascii=False))
        return
    Console().print(_overview(operators.values()))
    for trouble in troubles:
        typer.secho(f"left out: {trouble}", fg=typer.colors.RED, err=True)


@operator_app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the operator, or its folder.")],
) -> None:
    """Show the ports, parameters and triggers of an operator.

    [bold]Example[/bold]

        [green]runstart operator show center-of-mass-partial[/green]
    """
    from rich.console import Console

    Console().print(_details(find_operator(name)))


@operator_app.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of operator.json.

    [bold]Example[/bold]

        [green]runstart operator schema > operator.schema.json[/green]
    """
    from runstart.specifications import operator_json_schema

    typer.echo(json.dumps(operator_json_schema(), indent=2))


@operator_app.command("build")
def build_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the operator, or its folder.")],
    *,
    engine: Annotated[
        str | None,
        typer.Option(help="buildah, podman or docker; by default the first that there is.", show_default=False),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE", help="Name of the image; by default that in operator.json.", show_default=False
        ),
    ] = None,
) -> None:
    """Build the image of an operator.

    The image carries operator.json as its label [cyan]interactem.operator.spec[/cyan]. Tests, hidden files and links
    stay out of it.

    [bold]Examples[/bold]

        [green]runstart operator build count-electrons[/green]

    With an engine and a name of your choice:

        [green]runstart operator build count-electrons --engine podman --tag registry/team/count-electrons:1.2[/green]
    """
    from runstart.specifications import build_image

    image = build_image(find_operator(name), engine, tag)
    typer.echo(f"Built {image}.")


def find_folders() -> list[Path]:
    """Return the folders of operators that commands look in: those of RUNSTART_OPERATORS, then the one that ships."""
    from runstart.specifications import operators_folders

    return operators_folders(os.environ, SHIPPED_OPERATORS)


def find_operator(name: str) -> FoundOperator:
    """Return the operator of a name, or in a folder.

    Raises
    ------
    Alert
        There is none, or it cannot be read.
    """
    import difflib

    from runstart.specifications import OPERATOR_FILE, FoundOperator, find_operators, read_operator_spec

    folder = Path(name)
    if (folder / OPERATOR_FILE).is_file():
        return FoundOperator(folder.resolve().name, folder, read_operator_spec(folder))
    troubles: list[str] = []
    operators = find_operators(find_folders(), troubles)
    if name in operators:
        return operators[name]
    for trouble in troubles:
        if f"/{name}" in trouble:
            raise Alert(trouble)
    nearest = difflib.get_close_matches(name, operators, n=1)
    remedy = f"Did you mean {nearest[0]}?" if nearest else "See them: runstart operator list."
    raise Alert(f"There is no operator {name!r}.", remedy)


def _all_folders() -> list[Path]:
    from runstart.specifications import OPERATOR_FILE

    return [file.parent for folder in find_folders() for file in sorted(folder.glob(f"*/{OPERATOR_FILE}"))]


def _overview(operators: Iterable[FoundOperator]) -> Table:
    from rich.table import Table

    from runstart.cli._operation_results import plain

    table = Table()
    table.add_column("operator", no_wrap=True)
    for column in ("takes", "gives"):
        table.add_column(column)
    table.add_column("what it does", ratio=1)
    for found in operators:
        spec = found.spec
        ports = ["\n".join(plain(port.type) for port in side) for side in (spec.inputs, spec.outputs)]
        table.add_row(found.name, *ports, plain(spec.description))
    return table


def _details(found: FoundOperator) -> Table:
    from rich.table import Table

    from runstart.cli._operation_results import plain

    spec = found.spec
    rows = [(f"input {port.name}", port.type, port.description) for port in spec.inputs]
    rows += [(f"output {port.name}", port.type, port.description) for port in spec.outputs]
    rows += [(one.name, _tell(one), one.description) for one in spec.parameters]
    rows += [(f"trigger {trigger.name}", trigger.mode, trigger.description or "") for trigger in spec.triggers]
    rows += [("replicas", "many" if spec.is_parallel else "one", ""), ("image", spec.image, "")]
    table = Table(title=plain(spec.description), show_header=False, title_justify="left")
    for row in rows:
        table.add_row(*map(plain, row))
    return table


def _tell(parameter: Parameter) -> str:
    """Return words for a parameter, such as `int = 255`."""
    from runstart.specifications.parameters import StrEnumParameter

    kind = "|".join(parameter.options) if isinstance(parameter, StrEnumParameter) else parameter.type
    return kind if parameter.default == "" else f"{kind} = {parameter.default}"
