"""Finds the line on which a TOML document sets a field, because `tomllib` does not tell.

Only table headers and keys at the start of a statement are looked at; a field inside an inline table or an
array has the line of the key that the table or array belongs to. The document is known to be valid TOML.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence

Path = tuple[str | int, ...]

_BARE = r"[A-Za-z0-9_-]+"
_BASIC = r'"(?:[^"\\\n]|\\.)*"'
_LITERAL = r"'[^'\n]*'"
_PART = rf"(?:{_BARE}|{_BASIC}|{_LITERAL})"
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]")
_KEY = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' + r"|'''.*?'{3,5}" + rf"|{_BASIC}|{_LITERAL}" + r"|#[^\n]*|[\[{]|[\]}]|\n",
    re.DOTALL,
)


def find_line(text: str, path: Sequence[str | int]) -> int:
    """Return the line, counted from 1, that sets a field.

    Parameters
    ----------
    text : str
        A valid TOML document.
    path : sequence of str or int
        Keys, and indices of arrays of tables, such as `("instruments", "SANS2D", "banks", 0, "shape")`.

    Returns
    -------
    int
        The line of the field; if the document does not set it, of the innermost table above it that it has.
    """
    lines: dict[Path, int] = {}
    for set_path, line in _statements(text):
        for length in range(1, len(set_path) + 1):
            lines.setdefault(set_path[:length], line)
    for length in range(len(path), 0, -1):
        found = lines.get(tuple(path[:length]))
        if found is not None:
            return found
    return 1


def _statements(text: str) -> Iterator[tuple[Path, int]]:
    """Yield the full path and the line of every table header and key."""
    table: Path = ()
    sizes: dict[Path, int] = {}
    position, line = 0, 1
    while position < len(text):
        header = _HEADER.match(text, position)
        key = None if header else _KEY.match(text, position)
        if header:
            table = _table_path(_parts(header[2]), header[1] == "[[", sizes)
            yield table, line
        elif key:
            yield (*table, *_parts(key[1])), line
        end = _statement_end(text, key.end() if key else header.end() if header else position)
        line += text.count("\n", position, end)
        position = end


def _statement_end(text: str, start: int) -> int:
    """Return where the next statement begins: after the first newline outside strings and brackets."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth -= 1
        elif token[0] == "\n" and depth <= 0:
            return token.end()
    return len(text)


def _table_path(parts: list[str], appends: bool, sizes: dict[Path, int]) -> Path:
    """Return a header's path with the index of the newest element after each array of tables."""
    path: Path = ()
    for number, part in enumerate(parts, start=1):
        path = (*path, part)
        if appends and number == len(parts):
            sizes[path] = sizes.get(path, 0) + 1
        if path in sizes:
            path = (*path, sizes[path] - 1)
    return path


def _parts(dotted: str) -> list[str]:
    """Return the keys of a dotted key without their quotes."""
    keys = re.findall(_PART, dotted)
    return [next(iter(tomllib.loads(f"{key} = 0"))) for key in keys]
