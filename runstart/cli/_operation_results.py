"""Shows what a data operation does and has made: its progress, its outputs, and what its key was made of."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from runstart.errors import Alert

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from runstart.operation_kit import Entry, OutputFile
    from runstart.storage import ObjectStore

_DIGITS_OF_COPIES = 12


class _Bar:
    """Shows progress as a bar, and each output as a line above it."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task

    def progress(self, fraction: float, message: str) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=fraction, message=plain(message))

    def output(self, output: OutputFile) -> None:
        """Print the output's name."""
        self._bar.console.print(f"  {output.basename}  {plain(output.label)}", soft_wrap=True)


@contextlib.contextmanager
def shown_progress(name: str) -> Iterator[_Bar]:
    """Give a reporter that shows its progress on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _Bar(bar, bar.add_task(plain(name), total=1.0, message=""))


def printable(text: str) -> str:
    """Return a text that leaves the terminal as it is, whatever a header or a file's name holds."""
    return "".join(character if character.isprintable() else "?" for character in text)


def plain(text: str) -> str:
    """Return a printable text that rich does not take for markup."""
    from rich.markup import escape

    return escape(printable(text))


def places(store: ObjectStore, entry: Entry) -> list[str]:
    """Return where the outputs' objects are: files if the store is a folder."""
    return [place for output in entry.outputs for place in _objects(store, output)]


def _objects(store: ObjectStore, output: OutputFile) -> list[str]:
    from runstart.storage import FileStore

    names = list(output.objects.values())
    return [str(store.root / name) for name in names] if isinstance(store, FileStore) else names


def export(store: ObjectStore, entry: Entry, slug: str, folder: Path) -> list[str]:
    """Copy the outputs into a folder, which is made, and return the copies.

    A copy has the operation's slug and the first digits of its key for a name, such as `median-3f9a1c77be02.fits`.

    Raises
    ------
    Alert
        If the folder cannot be written.
    """
    copies = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (name for output in entry.outputs for name in output.objects.values()):
            stored = name.rpartition("/")[2].removeprefix(entry.key)
            copy = folder / f"{slug}-{entry.key[:_DIGITS_OF_COPIES]}{stored}"
            copy.write_bytes(store.get(name).data)
            copies.append(str(copy))
    except OSError as error:
        remedy = "Choose a folder that this user may write, on a disk with room."
        raise Alert(f"{folder} cannot be written: {error.strerror}.", remedy) from error
    return copies


def show_entry(store: ObjectStore, entry: Entry) -> None:
    """Print what an entry's key was made of, and its outputs."""
    made_of = entry.made_of
    lines = [
        f"{made_of['operation']}, version {made_of['version']}",
        f"  key      {entry.key}",
        f"  made     {entry.made_at}, in {entry.seconds:.1f} s",
        f"  library  {made_of['library']}",
        f"  source   sha256:{made_of['source_sha256']}",
        "Inputs, by the names that the first who asked gave them",
    ]
    filters = made_of.get("filters", {})
    for key, content in made_of["inputs"].items():
        lines += _input_lines(key, content, entry.asked[key], filters.get(key, ()))
    lines.append("Outputs")
    for output in entry.outputs:
        lines.append(f"  {output.basename}  {output.label}".rstrip())
        lines += [f"    {name}: {figure}" for name, figure in output.figures.items()]
        for name, place in zip(output.objects, _objects(store, output), strict=True):
            lines.append(f"    sha256:{output.sha256[name]}  {place}")
    for line in lines:
        typer.echo(printable(line))


def _input_lines(key: str, content: Any, asked: Any, filters: Sequence[str]) -> list[str]:
    """Return an input in lines: for each file its digest, its name, and what was said of it."""
    if not isinstance(content, list):
        return [f"  {key} = {json.dumps(content)}"]
    lines = [f"  {key}"]
    rows: Iterable[tuple[Any, Any, str]] = zip_longest(content, asked, filters, fillvalue="")
    for digest, name, filter_name in rows:
        if isinstance(digest, dict):
            files = [item["file"] for item in (digest, name) if "file" in item]
            rest = {field: value for field, value in digest.items() if field != "file"}
            lines.append(f"    {'  '.join([*files, json.dumps(rest)])}")
        else:
            lines.append(f"    {digest}  {name}  {filter_name}".rstrip())
    return lines
