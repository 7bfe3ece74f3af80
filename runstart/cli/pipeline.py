"""`runstart pipeline`: checks and draws pipelines of operators, without Dagster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runstart.specifications import FoundOperator

PipelineFile = Annotated[Path, typer.Argument(metavar="FILE", help="A file with a pipeline's JSON.")]

pipeline_app = typer.Typer(
    help="Check and draw pipelines of operators, run them, and talk to those that run.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@pipeline_app.callback()
def _group() -> None:
    """Check and draw pipelines of operators, run them, and talk to those that run."""


@pipeline_app.command("check")
def check_command(file: PipelineFile) -> None:
    """Say all that keeps a pipeline from running, by operator and port.

    Looked at are cycles, the types of wired ports, inputs that nothing is wired to, ports and edges that lead nowhere, how
    many replicas there are, values of parameters, and images. The operators that ship, and those in the
    folders of RUNSTART_OPERATORS, say which types ports have. The exit code is 1 if anything is wrong.

    [bold]Example[/bold]

        [green]runstart pipeline check operators/pipelines/center-of-mass.json[/green]
    """
    from runstart.pipelines import match_operators, read_pipeline, troubles_of

    pipeline = read_pipeline(file)
    operators = _operators()
    troubles = troubles_of(pipeline, operators)
    for trouble in troubles:
        typer.secho("error: ", fg=typer.colors.RED, nl=False)
        typer.echo(trouble)
    if troubles:
        raise typer.Exit(1)
    for one in match_operators(pipeline, operators):
        if one.found is None:
            told = f"{one.name} ({one.operator.image}) is in no folder here; what its ports take was not checked."
            typer.echo(f"warning: {told}")
    edges = "1 edge" if len(pipeline.edges) == 1 else f"{len(pipeline.edges)} edges"
    typer.secho(f"{file} is right: {len(pipeline.operators)} operators, {edges}.", fg=typer.colors.GREEN)


@pipeline_app.command("draw")
def draw_command(
    file: PipelineFile,
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="SVG", help="The picture; by default FILE with the ending .svg.", show_default=False),
    ] = None,
) -> None:
    """Draw a pipeline as SVG: its operators, how many replicas each has, and the types of what goes between them.

    [bold]Examples[/bold]

        [green]runstart pipeline draw operators/pipelines/center-of-mass.json[/green]

        [green]runstart pipeline draw center-of-mass.json --out picture.svg[/green]
    """
    from runstart.errors import Alert
    from runstart.pipelines import draw_plan, make_plan, read_pipeline

    picture = file.with_suffix(".svg") if out is None else out
    plan = make_plan(read_pipeline(file), file.stem, _operators(), may_be_empty=True)
    try:
        picture.write_text(draw_plan(plan), encoding="utf-8")
    except OSError as error:
        raise Alert(f"{picture} cannot be written: {error.strerror}.", "Choose another --out.") from error
    typer.echo(f"Drew {picture}.")


def _operators() -> dict[str, FoundOperator]:
    """Return the operators that there are; those that cannot be read are told."""
    from runstart.cli.operator import find_folders
    from runstart.specifications import find_operators

    troubles: list[str] = []
    operators = find_operators(find_folders(), troubles)
    for trouble in troubles:
        typer.secho(f"left out: {trouble}", fg=typer.colors.YELLOW, err=True)
    return operators
