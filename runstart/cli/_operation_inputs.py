"""Reads the inputs of a data operation from the command line: files of this machine, and KEY=VALUE.

Who types is the one who may read the files: so a path of this machine stands for its file, which a request from
elsewhere never may.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstart.errors import Alert

if TYPE_CHECKING:
    from runstart.operation_kit import Operation

_LISTS = {"fits", "image", "target_positions"}  # kinds of input that may be given again and again
_TEXTS = {"string", "select"}
_PATH = re.compile(r"[./~]")  # begins what can only be a path
_PATTERN = re.compile(r"[*?\[]")


class LocalFiles:
    """Files of this machine that the command line names, as URIs."""

    def __init__(self) -> None:
        self.folders: dict[Path, None] = {}

    def refer(self, text: str) -> Iterator[str]:
        """Yield the references that a word of the command line stands for.

        Parameters
        ----------
        text : str
            A URI, a path, a pattern of paths, or `SOURCE/BASENAME`, unless there is a file of that path.
        """
        if re.match(r"(file|s3|https?):", text):
            yield text
            return
        path = Path(text).expanduser()
        if path.is_file():
            yield self._uri(path)
        elif _PATTERN.search(text):
            yield from map(self._uri, self._matches(text))
        elif "/" not in text or _PATH.match(text):
            raise Alert(f"There is no file {text!r} here.", "Look at the spelling, or give SOURCE/BASENAME.")
        else:
            yield text

    def _matches(self, pattern: str) -> list[Path]:
        whole = Path(pattern).expanduser().absolute()
        found = Path(whole.anchor).glob(str(whole.relative_to(whole.anchor)))
        files = sorted(path for path in found if path.is_file())
        if not files:
            raise Alert(f"No file matches {pattern!r}.", "Look at the spelling.")
        return files

    def _uri(self, path: Path) -> str:
        real = path.resolve()
        self.folders[real.parent] = None
        return real.as_uri()


def read_request(file: str) -> dict[str, Any]:
    """Return the inputs that a JSON file holds; `-` is standard input.

    Raises
    ------
    Alert
        If it cannot be read, or is no JSON object.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        request = json.loads(text)
    except OSError as error:
        raise Alert(
            f"{file!r} cannot be read: {error.strerror}.", "Name a JSON file, or - for standard input."
        ) from error
    except ValueError as error:
        raise Alert(f"{file!r} is no JSON: {error}.", "Write an object of inputs, each by its name.") from error
    if not isinstance(request, dict):
        raise Alert(f"{file!r} holds no JSON object.", "Write an object of inputs, each by its name.")
    return request


def read_inputs(
    operation: Operation, files: Sequence[str], assignments: Sequence[str], local: LocalFiles
) -> dict[str, Any]:
    """Return the inputs that the command line gives.

    Parameters
    ----------
    operation : Operation
        The data operation.
    files : sequence of str
        For its first input that takes FITS images.
    assignments : sequence of str
        `KEY=VALUE`; a list's key may come again.
    local : LocalFiles
        Takes the files of this machine.

    Raises
    ------
    Alert
        If an assignment cannot be understood, or a file is not there.
    """
    given: dict[str, list[str]] = {}
    if files:
        given[_first_fits(operation)] = list(files)
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise Alert(f"{assignment!r} is no input.", "Write KEY=VALUE.")
        given.setdefault(key, []).append(value)
    return {key: _read_values(operation, key, values, local) for key, values in given.items()}


def _first_fits(operation: Operation) -> str:
    for key, declared in operation.inputs.items():
        if declared.kind.type == "fits":
            return key
    raise Alert(f"{operation.name} takes no files.", "Leave them out.")


def _read_values(operation: Operation, key: str, values: list[str], local: LocalFiles) -> Any:
    declared = operation.inputs.get(key)
    type_ = "" if declared is None else declared.kind.type
    if type_ in _LISTS:
        return [item for value in values for item in _read_items(value, local)]
    if len(values) > 1:
        raise Alert(f"The input {key!r} is given {len(values)} times.", "Give it once.")
    return values[0] if type_ in _TEXTS else _json_or_text(values[0])


def _read_items(value: str, local: LocalFiles) -> Iterator[Any]:
    if not value.lstrip().startswith(("[", "{")):
        yield from local.refer(value)
        return
    try:
        read = json.loads(value)
    except ValueError as error:
        raise Alert(f"{value[:80]!r} is no JSON: {error}.", "Quote it for the shell, in single quotes.") from error
    for item in read if isinstance(read, list) else [read]:
        if isinstance(item, str):
            yield from local.refer(item)
        elif isinstance(item, Mapping) and isinstance(item.get("uri"), str):
            yield from ({**item, "uri": uri} for uri in local.refer(item["uri"]))
        else:
            yield item


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value  # the input's kind tells what is wrong with it
