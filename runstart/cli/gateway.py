"""`runstart gateway`: the HTTP API, and the tokens of those who may use it."""

from __future__ import annotations

import os
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.cli._errors import AlertGroup
from runstart.cli._stores import open_quick_store
from runstart.errors import Alert

if TYPE_CHECKING:
    from gateway.tokens import Token, TokenBook
    from runstart.storage import ObjectStore

gateway_app = typer.Typer(
    cls=AlertGroup,
    help="Serve the HTTP API, or look after its tokens.",
    rich_markup_mode="rich",
    invoke_without_command=True,
)
token_app = typer.Typer(help="Make, list and revoke bearer tokens.", no_args_is_help=True, rich_markup_mode="rich")
gateway_app.add_typer(token_app, name="token")

_LIBRARIES = ("fastapi", "uvicorn", "httpx", "eth_account", "jwt")

ObjectStoreUrl = Annotated[
    str | None,
    typer.Option(
        "--object-store",
        envvar="RUNSTART_OBJECT_STORE",
        metavar="URL",
        help="Where everything is kept: file:FOLDER or s3://BUCKET/PREFIX; by default file:.runstart/store.",
    ),
]


class ScopeOption(StrEnum):
    """What a token is for."""

    READ = "read"
    LAUNCH = "launch"
    ADMIN = "admin"


@gateway_app.callback()
def gateway_command(
    context: typer.Context,
    *,
    object_store: ObjectStoreUrl = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    address: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines ask.")
    ] = "127.0.0.1",
    proxies: Annotated[
        str,
        typer.Option(
            envvar="RUNSTART_GATEWAY_PROXIES",
            metavar="ADDRESSES",
            help="Proxies in front, separated by commas, that say who the client is.",
        ),
    ] = "",
) -> None:
    """Serve the HTTP API and the live page, until Ctrl-C.

    Dagster's webserver is asked at [cyan]RUNSTART_DAGSTER_URL[/cyan]. Any number of gateways may serve one facility.
    [cyan]docs/gateway.md[/cyan] tells the routes, the tokens and all variables.

    [bold]Examples[/bold]

    On this machine only, for a Dagster on its usual port:

        [green]runstart gateway[/green]

    In a cluster, behind an ingress:

        [green]RUNSTART_DAGSTER_URL=http://dagster:3000 runstart gateway --address 0.0.0.0 --proxies 10.0.0.0/8[/green]
    """
    check_installed()
    if context.invoked_subcommand is not None:
        return
    from gateway.serving import app_from_environment, serve

    serve(app_from_environment(os.environ, _open(object_store)), address, port, proxies)


@token_app.callback()
def _group() -> None:
    """Make, list and revoke bearer tokens."""


@token_app.command("new")
def new_command(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    *,
    scope: Annotated[
        ScopeOption, typer.Option(help="What it is for; each holds those before it.")
    ] = ScopeOption.READ,
    reads: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="What it may read, such as instrument/*; everything by default."),
    ] = None,
    days: Annotated[float | None, typer.Option(help="How long it lives; without end by default.")] = None,
    object_store: ObjectStoreUrl = None,
) -> None:
    """Make a token, and print it, this once: only its SHA-256 is kept.

    [bold]Examples[/bold]

    For a portal that reads everything:

        [green]runstart gateway token new portal[/green]

    For somebody who may start things at one instrument, for a month:

        [green]runstart gateway token new maria --scope launch --reads 'instrument/MERLIN' --days 30[/green]
    """
    from gateway.tokens import Scope

    book, store = _open_book(object_store)
    text, token = book.new(name, Scope(scope.value), reads or ["*"], days)
    _note(store, "token.new", token)
    typer.echo(f"Token {token.id} of {token.name} ({token.scope}). It is shown this once:", err=True)
    typer.echo(text)


@token_app.command("list")
def list_command(object_store: ObjectStoreUrl = None) -> None:
    """List the tokens: whose they are and what for, not what they are.

    [bold]Examples[/bold]

        [green]runstart gateway token list[/green]
    """
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("id", "name", "scope", "reads", "made", "ends"):
        table.add_column(heading)
    book, _ = _open_book(object_store)
    for token in book.list():
        ends = "never" if token.ends_at is None else _tell(token.ends_at)
        table.add_row(token.id, token.name, token.scope, " ".join(token.reads), _tell(token.made_at), ends)
    Console().print(table)


@token_app.command("revoke")
def revoke_command(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")],
    object_store: ObjectStoreUrl = None,
) -> None:
    """Revoke a token, at once on every gateway.

    [bold]Examples[/bold]

        [green]runstart gateway token revoke 3f2a90c1d4e7[/green]
    """
    book, store = _open_book(object_store)
    token = book.revoke(token_id)
    _note(store, "token.revoke", token)
    typer.echo(f"The token {token.id} of {token.name} is revoked.")


def check_installed() -> None:
    """Raise `Alert` if a library is missing that only the gateway needs."""
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise Alert(f"The gateway needs {', '.join(missing)}.", "Install it: pip install 'runstart[gateway]'.")


def _open(url: str | None) -> ObjectStore:
    from runstart.storage import store_url

    return open_quick_store(store_url(os.environ) if url is None else url)


def _open_book(url: str | None) -> tuple[TokenBook, ObjectStore]:
    from gateway.tokens import TokenBook

    store = _open(url)
    return TokenBook(store), store


def _note(store: ObjectStore, action: str, token: Token) -> None:
    import getpass

    from gateway.audit import AuditLog

    AuditLog(store).write(
        f"{getpass.getuser()} (command line)", action, token.id, name=token.name, scope=token.scope
    )


def _tell(seconds: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
