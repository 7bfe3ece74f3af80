"""A TOML file that people write; whatever is wrong with it becomes an `Alert` with file, line, field and remedy.

Of several mistakes the first in the file is told, with the number of the others. Keys that nothing reads are
mistakes too: a misspelled key must not silently leave a default in force.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.toml_files._lines import find_line

FieldPath = tuple[str | int, ...]
Problem = tuple[FieldPath, str]

_MISSING = "is missing; add it to this table"


@dataclass(frozen=True)
class Document:
    """A TOML file as it was read.

    Attributes
    ----------
    path : Path
        The file.
    text : str
        Its text, with line feeds only.
    table : dict of str to object
        Its content.
    """

    path: Path
    text: str
    table: dict[str, Any]

    def alert(self, problems: Iterable[Problem]) -> Alert:
        """Return the alert for the problem that comes first in the file.

        A missing key comes after everything else: it may be there, misspelled.

        Parameters
        ----------
        problems : iterable of (path, text)
            Path of the field, such as `("instruments", "SANS2D", "tof")`, and what is wrong with it; at least one.

        Returns
        -------
        Alert
            With file, line, field, and the number of the other problems.
        """
        located = sorted(
            (what == _MISSING, find_line(self.text, field), ".".join(map(str, field)), what)
            for field, what in problems
        )
        _, line, field, what = located[0]
        others = len(located) - 1
        more = f"({others} more to mend in this file.)" if others else ""
        return Alert(
            f"{self.path}:{line}: {field}: {what.rstrip('.?') + ('?' if what.endswith('?') else '.')}", more
        )


def read_document(path: str | os.PathLike[str], remedy: str) -> Document:
    """Read a TOML file.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    remedy : str
        What the user can do if it cannot be read.

    Returns
    -------
    Document
        The file with its content.

    Raises
    ------
    Alert
        The file cannot be read, or is not TOML.
    """
    path = Path(path)
    text = _read_text(path, remedy)
    return Document(path, text, _parse(path, text))


def describe_error(details: Any, known: Iterable[str] = ()) -> str:
    """Return what pydantic found wrong with a field as a clause that begins with the offending value.

    Parameters
    ----------
    details : pydantic_core.ErrorDetails
        One of `ValidationError.errors()`.
    known : iterable of str, optional
        The keys that the field's table may have.

    Returns
    -------
    str
        The clause, without a full stop.
    """
    if details["type"] == "extra_forbidden":
        return describe_unknown_key(str(details["loc"][-1]), known)
    if details["type"] == "missing":
        return _MISSING
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    words = details["msg"].removeprefix("Input ").removeprefix("String ")
    words = re.sub(r"dictionary or instance of \w+", "table", words)
    return f"{details['input']!r} {words}"


def describe_unknown_key(key: str, known: Iterable[str]) -> str:
    """Return a clause that says that a key is unknown, and which one may be meant."""
    known = list(known)
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if nearest:
        return f"is not a key that anything reads; did you mean {nearest[0]!r}?"
    return f"is not a key that anything reads; known keys: {', '.join(known)}"


def _read_text(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except OSError as error:
        raise Alert(f"{path}: cannot be read ({error.strerror}).", remedy) from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise Alert(f"{path}:{line}: is not UTF-8 text.", "Save the file as UTF-8.") from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+), column (\d+)\)$", str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        reason = re.sub(r" \(at [^)]*\)$", "", str(error))
        remedy = "Correct this line or the one before it."
        raise Alert(f"{path}:{line}: is not TOML: {reason}.", remedy) from error
