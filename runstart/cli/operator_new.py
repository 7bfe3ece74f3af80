"""`runstart operator new`: writes the folder of a new operator, by questions, by flags, or by both."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from runstart.cli.operator import find_folders, operator_app
from runstart.errors import Alert

if TYPE_CHECKING:
    from runstart.specifications import NewOperator

T = TypeVar("T")


class Parallel(StrEnum):
    """Whether an operator may have replicas."""

    NONE = "none"
    EMBARRASSING = "embarrassing"


@operator_app.command("new")
def new_command(
    *,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Such as count-electrons.", show_default=False)
    ] = None,
    label: Annotated[str | None, typer.Option("--label", "-l", help="Name for people.", show_default=False)] = None,
    description: Annotated[
        str | None, typer.Option("--description", "-d", help="What it does.", show_default=False)
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME:TYPE", help="An input; again for each.", show_default=False),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="NAME:TYPE", help="An output; again for each.", show_default=False),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            metavar="NAME:TYPE=DEFAULT",
            help="A parameter; again for each. The types are str, int, float, bool, mount (a path) and str-enum (one of "
            "several texts). Numbers may have bounds: sigma:float=2.5,0,10. Choices begin with the default: "
            "mode:str-enum=fast,exact.",
            show_default=False,
        ),
    ] = None,
    triggers: Annotated[
        list[str] | None,
        typer.Option(
            "--trigger",
            metavar="NAME:MODE",
            help="Something it can be asked to do, once (single) or until nothing is left (drain); again for each.",
            show_default=False,
        ),
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="What a machine must have, such as gpu.", show_default=False),
    ] = None,
    parallel: Annotated[
        Parallel, typer.Option("--parallel-cfg", "-p", help="Whether replicas may share its messages.")
    ] = Parallel.NONE,
    dependencies: Annotated[
        str, typer.Option(metavar="NAME,...", help="Python packages for its image.", show_default=False)
    ] = "",
    registry: Annotated[
        str | None,
        typer.Option(
            "--registry", "-r", help="Begins the image's name; by default localhost/runstart/.", show_default=False
        ),
    ] = None,
    base_image: Annotated[
        str | None,
        typer.Option(
            "--base-image",
            "-b",
            help="What the image is made from; by default localhost/runstart/operator:latest.",
            show_default=False,
        ),
    ] = None,
    output_dir: Annotated[
        Path, typer.Option("--output-dir", "-o", metavar="DIR", help="The folder of operators.")
    ] = Path("operators"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; what is not given is left out.")] = False,
) -> None:
    """Write a new operator: run.py, operator.json, Containerfile, README.md and a test, which work as they are.

    What is not given is asked for, and a summary is shown before anything is written. Nothing is ever written over.

    [bold]Examples[/bold]

    With questions:

        [green]runstart operator new[/green]

    Without any; it blurs images, and several of it may share the work:

        [green]runstart operator new --yes --name blur-images --input image:image --output image:image
        --parameter sigma:float=2.5,0,10 --parameter mode:str-enum=fast,exact -p embarrassing[/green]

    A source that reads a folder when it is asked to:

        [green]runstart operator new --yes -n read-folder --output frames:frame --parameter folder:mount
        --trigger read_now:drain[/green]

    [bold]Then[/bold]

        [green]runstart operator validate operators/blur-images[/green]
    """
    from runstart.specifications import (
        OPERATORS_VARIABLE,
        NewOperator,
        read_parameter,
        read_port,
        read_trigger,
        validate_operator,
        write_operator,
    )

    if name is None and yes:
        raise Alert("A new operator needs a name.", "Give it with --name.")
    asks = not yes
    chosen = _ask("Name, such as count-electrons", _read_name) if name is None else _read_name(name)
    plain = chosen.replace("-", " ").capitalize()
    new = NewOperator(
        name=chosen,
        label=typer.prompt("Label for people", plain) if label is None and asks else label or plain,
        description=typer.prompt("What it does", f"{plain}.")
        if description is None and asks
        else description or "",
        inputs=_several("An input as NAME:TYPE", inputs, read_port, asks=asks),
        outputs=_several("An output as NAME:TYPE", outputs, read_port, asks=asks),
        parameters=_several("A parameter as NAME:TYPE=DEFAULT", parameters, read_parameter, asks=asks),
        triggers=_several("A trigger as NAME:MODE", triggers, read_trigger, asks=asks and not inputs),
        tags=_several("A tag, such as gpu", tags, str, asks=asks),
        parallel=parallel.value,
        dependencies=tuple(part.strip() for part in dependencies.split(",") if part.strip()),
        **{key: given for key, given in (("registry", registry), ("base_image", base_image)) if given is not None},
    )
    folder = output_dir / new.name
    if asks:
        _show(new, folder)
        typer.confirm("Write it?", default=True, abort=True)
    write_operator(new, output_dir)
    wrong = [finding.text for finding in validate_operator(folder) if finding.is_error]
    if wrong:
        raise RuntimeError(f"{folder} was written wrongly: {' '.join(wrong)}")
    typer.echo(f"Wrote {folder}. It works as it is; its code is in {folder / 'run.py'}.")
    typer.echo(f"Test it: pytest {folder}")
    if output_dir.resolve() not in {known.resolve() for known in find_folders()}:
        typer.echo(f"To have it found: export {OPERATORS_VARIABLE}={output_dir.resolve()}")


def _several(question: str, given: list[str] | None, read: Callable[[str], T], *, asks: bool) -> tuple[T, ...]:
    """Return what was given, or the answers to a question that is asked until there is none."""
    if given is not None or not asks:
        return tuple(read(text) for text in given or ())
    answers: list[T] = []
    while (
        answer := _ask(f"{question} (Enter for no more)", lambda text: read(text) if text else None)
    ) is not None:
        answers.append(answer)
    return tuple(answers)


def _ask(question: str, read: Callable[[str], T]) -> T:
    """Return the answer to a question, which is asked again after a mistake."""
    while True:
        try:
            return read(typer.prompt(question, default="", show_default=False).strip())
        except Alert as alert:
            typer.secho(str(alert), fg=typer.colors.RED, err=True)


def _read_name(text: str) -> str:
    from runstart.specifications import check_operator_name

    check_operator_name(text)
    return text


def _show(new: NewOperator, folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, title=str(folder))
    table.add_row("label", new.label)
    table.add_row("what it does", new.description)
    table.add_row("inputs", ", ".join(f"{port.name} ({port.type})" for port in new.inputs) or "none")
    table.add_row("outputs", ", ".join(f"{port.name} ({port.type})" for port in new.outputs) or "none")
    table.add_row("parameters", ", ".join(f"{one.name} = {one.default}" for one in new.parameters) or "none")
    table.add_row("triggers", ", ".join(f"{one.name} ({one.mode})" for one in new.triggers) or "none")
    table.add_row("tags", ", ".join(new.tags) or "none")
    table.add_row("replicas", "may share its messages" if new.parallel != "none" else "one only")
    Console().print(table)
