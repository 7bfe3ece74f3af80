"""`runstart pipeline run | status | set | trigger | restart | stop`: sessions from the command line, without Dagster."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runstart.cli._session_display import TerminalReporter, print_outcome, print_sessions, print_status
from runstart.cli._session_outputs import Saving
from runstart.cli.operations import StoreUrl
from runstart.cli.pipeline import pipeline_app
from runstart.errors import Alert
from runstart.shipped import SHIPPED_OPERATORS

if TYPE_CHECKING:
    from runstart.pipelines import Plan
    from runstart.sessions import SessionOutcome, SessionSettings
    from runstart.storage import ObjectStore

Values = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="OPERATOR.PARAMETER=VALUE",
        help="A parameter of an operator; once for each.",
        show_default=False,
    ),
]
SessionId = Annotated[
    str | None,
    typer.Option(
        "--session", metavar="ID", help="The session; it may be left out if only one runs.", show_default=False
    ),
]
OperatorName = Annotated[str, typer.Argument(metavar="OPERATOR", help="Name of an operator in the pipeline.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@pipeline_app.command("run")
def run_command(
    name: Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline's name, or its JSON file.")],
    *,
    values: Values = None,
    triggers: Annotated[
        list[str] | None,
        typer.Option(
            "--trigger",
            "-t",
            metavar="OPERATOR:TRIGGER",
            help="Pulled when all operators are ready, in this order.",
            show_default=False,
        ),
    ] = None,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Go on when the sources have ended, until it is stopped.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Gets a file for each picture and output shown.", show_default=False),
    ] = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline on this machine, until it has ended.

    Operators are plain processes, or containers if RUNSTART_LAUNCHER says so.

    Ctrl-C ends it in order: what is on its way arrives. A second Ctrl-C ends it at once.

    [bold]Examples[/bold]

        [green]runstart pipeline run center_of_mass -s reader.raw_data_dir=/data -t reader:read_now --out maps[/green]

    Until it is told to stop from another terminal:

        [green]runstart pipeline run live-view --keep-running[/green]
    """
    from runstart.pipelines import make_plan, read_pipeline
    from runstart.sessions.environment import read_session_settings
    from runstart.specifications import find_operators, operators_folders

    folders = operators_folders(os.environ, SHIPPED_OPERATORS)
    path = _pipeline_file(name, folders)
    plan = make_plan(read_pipeline(path), path.stem, find_operators(folders), _read_values(values or []))
    settings = read_session_settings(os.environ, SHIPPED_OPERATORS)
    pulled = [_split(text, ":", "OPERATOR:TRIGGER") for text in triggers or []]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    reporter = TerminalReporter() if out is None else Saving(out)
    outcome = run_here(
        plan, open_chosen_store(store), settings, pulled, keep_running=keep_running, reporter=reporter
    )
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=1))


@pipeline_app.command("status")
def status_command(*, session: SessionId = None, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Show how a session stands, or all sessions there are.

    [bold]Example[/bold]

        [green]runstart pipeline status --session 0123456789ABCDEF[/green]
    """
    from runstart.sessions import read_record, read_records, read_status

    chosen = open_chosen_store(store)
    if session is None:
        print_sessions(read_records(chosen), as_json=as_json)
        return
    record = read_record(chosen, session)
    print_status(record, read_status(chosen, session), as_json=as_json)


@pipeline_app.command("set")
def set_command(
    values: Annotated[
        list[str], typer.Argument(metavar="OPERATOR.PARAMETER=VALUE...", help="New values of parameters.")
    ],
    *,
    session: SessionId = None,
    store: StoreUrl = None,
) -> None:
    """Change parameters of operators while they run; one with a new mount is restarted.

    [bold]Example[/bold]

        [green]runstart pipeline set electron-count.threshold=12.5[/green]
    """
    for operator, given in _read_values(values).items():
        _command(session, store, {"command": "set", "operator": operator, "values": given})


@pipeline_app.command("trigger")
def trigger_command(
    operator: OperatorName,
    trigger: Annotated[str, typer.Argument(metavar="TRIGGER", help="Name of one of its triggers.")],
    *,
    session: SessionId = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait until it is done.")] = 600.0,
    store: StoreUrl = None,
) -> None:
    """Pull a trigger of an operator, and wait until it is done.

    [bold]Example[/bold]

        [green]runstart pipeline trigger counted-data-reader read[/green]
    """
    _command(session, store, {"command": "trigger", "operator": operator, "trigger": trigger}, timeout)


@pipeline_app.command("restart")
def restart_command(operator: OperatorName, *, session: SessionId = None, store: StoreUrl = None) -> None:
    """Restart all replicas of an operator; messages that wait for it are lost, and counted.

    [bold]Example[/bold]

        [green]runstart pipeline restart image-display[/green]
    """
    _command(session, store, {"command": "restart", "operator": operator})


@pipeline_app.command("stop")
def stop_command(
    *,
    session: SessionId = None,
    now: Annotated[bool, typer.Option("--now", help="At once: what is on its way is lost.")] = False,
    store: StoreUrl = None,
) -> None:
    """End a session: its sources stop, and what is on its way arrives.

    [bold]Example[/bold]

        [green]runstart pipeline stop[/green]
    """
    _command(session, store, {"command": "stop", "now": now})


def run_here(
    plan: Plan,
    store: ObjectStore,
    settings: SessionSettings,
    triggers: list[tuple[str, str]],
    *,
    keep_running: bool = False,
    reporter: TerminalReporter,
) -> SessionOutcome:
    """Run a plan on this machine, shown on standard error, and return its outcome.

    Raises
    ------
    Alert
        It could not be run, or messages were lost.
    """
    from runstart.cli._signals import stop_on_signals
    from runstart.launchers import open_launcher
    from runstart.sessions import SessionFailed, SessionOrder, new_session_id, run_session

    order = SessionOrder(new_session_id(), plan, triggers=tuple(triggers), keep_running=keep_running)
    try:
        with stop_on_signals() as stop, reporter:
            outcome = run_session(order, open_launcher(os.environ), store, settings, reporter, stop=stop.is_set)
    except SessionFailed as failed:
        print_outcome(failed.outcome)
        raise
    print_outcome(outcome)
    return outcome


def open_chosen_store(url: str | None) -> ObjectStore:
    """Return the store that was asked for, or that of the environment."""
    from runstart.storage import open_store, store_url

    return open_store(store_url(os.environ) if url is None else url)


def _command(session: str | None, url: str | None, command: dict[str, Any], timeout_s: float = 60.0) -> None:
    from runstart.sessions import send_command

    store = open_chosen_store(url)
    answer = send_command(store, _choose(store, session), command, timeout_s)
    if answer.get("status") != "ok":
        raise Alert(str(answer.get("message")))
    typer.echo(str(answer.get("message")))


def _choose(store: ObjectStore, session: str | None) -> str:
    """Return the session that is meant: the one that was said, or the only one that runs."""
    from runstart.sessions import read_record, read_records

    if session is not None:
        if read_record(store, session).has_ended:
            raise Alert(f"Session {session} has ended already.", "See runstart pipeline status.")
        return session
    running = [
        record.session_id for record in read_records(store) if not record.has_ended and record.kind == "pipeline"
    ]
    if len(running) != 1:
        what = "No session runs." if not running else f"Several sessions run: {', '.join(running)}."
        raise Alert(what, "Start one: runstart pipeline run." if not running else "Say --session with one of them.")
    return running[0]


def _pipeline_file(name: str, folders: list[Path]) -> Path:
    from runstart.pipelines import find_pipelines

    path = Path(name)
    if path.is_file():
        return path
    found = find_pipelines(folders)
    if name not in found:
        raise Alert(
            f"There is no pipeline {name!r}.", f"There are {', '.join(found) or 'none'}; or name a JSON file."
        )
    return found[name]


def _read_values(texts: list[str]) -> dict[str, dict[str, str]]:
    """Return the values of parameters, by operator and parameter; they are checked by the operator's specification."""
    values: dict[str, dict[str, str]] = {}
    for text in texts:
        where, value = _split(text, "=", "OPERATOR.PARAMETER=VALUE")
        operator, parameter = _split(where, ".", "OPERATOR.PARAMETER=VALUE")
        values.setdefault(operator, {})[parameter] = value
    return values


def _split(text: str, separator: str, form: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not found or not left:
        raise Alert(f"{text!r} is not of the form {form}.", "Correct it.")
    return left, right
