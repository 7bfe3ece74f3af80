"""`runstart operator run`: one operator on files of this machine, between a reader and a collector, without Dagster."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.cli._session_outputs import Saving
from runstart.cli.operator import operator_app
from runstart.cli.session_commands import run_here
from runstart.errors import Alert
from runstart.shipped import SHIPPED_OPERATORS

if TYPE_CHECKING:
    from runstart.specifications import FoundOperator


@operator_app.command("run")
def run_command(
    operator: Annotated[str, typer.Argument(metavar="OPERATOR", help="An operator's name, or its folder.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Each becomes a message to it.", show_default=False),
    ] = None,
    *,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", metavar="PARAMETER=VALUE", help="A parameter; once for each.", show_default=False
        ),
    ] = None,
    triggers: Annotated[
        list[str] | None,
        typer.Option("--trigger", "-t", metavar="TRIGGER", help="Pulled when it is ready.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the outputs; by default OPERATOR.results.", show_default=False),
    ] = None,
) -> None:
    """Run one operator on files, as a process of this machine, and save what it puts out and shows.

    [bold]Examples[/bold]

        [green]runstart operator run center-of-mass-partial scan7.batches --set crop_to_x=20[/green]

    One that you have just made:

        [green]runstart operator run ./my-operator frame.bin[/green]
    """
    import tempfile

    from runstart.pipelines import single_operator_plan
    from runstart.sessions.environment import read_session_settings
    from runstart.specifications import find_operators, operators_folders
    from runstart.storage import FileStore

    found = _find(operator)
    folder = Path(f"{found.name}.results") if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    given = dict(_read_value(text) for text in values or [])
    known = find_operators(operators_folders(os.environ, SHIPPED_OPERATORS)) | {found.name: found}
    plan = single_operator_plan(found, given, files or [], known)
    settings = replace(
        read_session_settings(os.environ, SHIPPED_OPERATORS),
        operators={name: one.folder for name, one in known.items()},
        mount_roots=None,  # what one starts by hand may see what its user may see
    )
    stage = next(one.name for one in plan.stages if one.folder_name == found.name)
    pulled = [(stage, trigger) for trigger in triggers or []]
    saving = Saving(folder)
    with tempfile.TemporaryDirectory(prefix="runstart-run-") as scratch:
        outcome = run_here(plan, FileStore(Path(scratch)), settings, pulled, reporter=saving)
    for path in saving.paths:
        typer.echo(str(path))
    if broken := outcome.dead_letters:
        messages = "1 message" if broken == 1 else f"{broken} messages"
        raise Alert(f"{messages} could not be worked on.", "The first error of each operator is shown above.")


def _find(operator: str) -> FoundOperator:
    from runstart.specifications import FoundOperator as Found
    from runstart.specifications import find_operators, operators_folders, read_operator_spec

    path = Path(operator)
    if (path / "operator.json").is_file():
        folder = path.resolve()
        return Found(folder.name, folder, read_operator_spec(folder))
    found = find_operators(operators_folders(os.environ, SHIPPED_OPERATORS))
    if operator not in found:
        known = ", ".join(found) or "none"
        raise Alert(
            f"There is no operator {operator!r}, nor a folder with an operator.json.", f"There are {known}."
        )
    return found[operator]


def _read_value(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise Alert(f"{text!r} is not of the form PARAMETER=VALUE.", "Correct it.")
    return name, value
