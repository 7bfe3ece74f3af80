"""Shows sessions on a terminal: a table that follows the one that runs, and one of all there are."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from runstart.cli._operation_results import plain, printable
from runstart.host import size_text

if TYPE_CHECKING:
    from types import TracebackType

    from rich.table import Table

    from runstart.sessions import Published, SessionOutcome, SessionRecord, SessionStatus

_COLUMNS = ("operator", "state", "ready", "received", "messages/s", "data/s", "queue", "ms each", "dead letters")


class TerminalReporter:
    """Follows a session on standard error; use it as a context manager."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> TerminalReporter:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def log(self, text: str) -> None:
        """Print a sentence above the table."""
        lines = "\n".join(plain(line) for line in text.splitlines())
        self._console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {lines}", soft_wrap=True)

    def status(self, status: SessionStatus) -> None:
        """Renew the table."""
        if self._console.is_terminal:
            self._live.update(_table(status.as_dict()), refresh=True)

    def published(self, published: Published) -> None:
        """Leave it to the store."""


def print_outcome(outcome: SessionOutcome) -> None:
    """Say on standard error what became of the messages."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Session {outcome.session_id}: {outcome.state} after {outcome.seconds:.1f} s")
    for column in ("operator", "received", "finished", "dead letters", "emitted", "lost", "restarts", "memory"):
        table.add_column(column, justify="left" if column == "operator" else "right")
    for name, totals in outcome.operators.items():
        numbers = (
            totals.received,
            totals.finished,
            totals.dead_letters,
            totals.emitted,
            totals.lost,
            totals.restarts,
        )
        table.add_row(plain(name), *(f"{number:,}" for number in numbers), size_text(totals.peak_memory_bytes))
    Console(stderr=True).print(table)


def print_sessions(records: Sequence[SessionRecord], *, as_json: bool) -> None:
    """Print all sessions, the newest first."""
    from rich.console import Console
    from rich.table import Table

    if as_json:
        typer.echo(json.dumps([_plain_record(record) for record in records], indent=1))
        return
    table = Table()
    for column in ("session", "pipeline", "state", "started", "on", "reason"):
        table.add_column(column, no_wrap=column == "session", overflow="fold")
    for record in records:
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.started_at))
        cells = (record.session_id, record.name, record.state, started, record.host, record.reason)
        table.add_row(*map(plain, cells))
    Console().print(table)


def print_status(record: SessionRecord, status: Mapping[str, Any], *, as_json: bool) -> None:
    """Print how one session stands."""
    from rich.console import Console

    if as_json:
        typer.echo(json.dumps({"record": _plain_record(record), "status": dict(status)}, indent=1))
        return
    typer.echo(printable(f"Session {record.session_id} ({record.name}): {record.state}. {record.reason}").rstrip())
    if status.get("operators"):
        Console().print(_table(status))


def _plain_record(record: SessionRecord) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(record)


def _table(status: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table(title=f"{plain(str(status['name']))}: {status['state']}, {float(status['seconds']):.0f} s")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in {"operator", "state"} else "right")
    for operator in status["operators"]:
        table.add_row(
            plain(operator["name"]),
            plain(operator["state"] + (f": {operator['error']}" if operator["error"] else "")),
            f"{operator['ready']}/{operator['replicas']}",
            f"{operator['received']:,}",
            f"{operator['messages_per_s']:,.1f}",
            f"{size_text(operator['bytes_per_s'])}/s",
            f"{operator['queue']:,}",
            f"{operator['kernel_ms']:.2f}",
            f"{operator['dead_letters']:,}",
        )
    return table
