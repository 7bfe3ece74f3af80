"""Reads `microscopes.toml`; whatever is wrong with it becomes an `Alert` with file, line, field and remedy.

What is computed of a scan stands directly under the microscope: `bin_by`, `center`, and the tables `counting`, `crop` and
`detectors`. Of several mistakes the first in the file is told, with the number of the others. Keys that nothing reads are
mistakes too. A file without microscopes is fine.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.frames.recipe import Recipe
from runstart.microscopes.model import Microscope
from runstart.sizes import parse_size
from runstart.storage import open_store
from runstart.toml_files import (
    FieldPath,
    Problem,
    absolute_address,
    describe_unknown_key,
    named_tables,
    read_document,
    validate_named,
)

SCANS_VARIABLE = "RUNSTART_SCANS"
MICROSCOPES_VARIABLE = "RUNSTART_MICROSCOPES"
USUAL_MICROSCOPES_FILE = "microscopes.toml"

_KIND = "microscopes"
_FOUND_BY_ITSELF = "auto"
_RECIPE_KEYS = tuple(Recipe.model_fields)
_KEYS = [key for key in Microscope.model_fields if key not in ("name", "recipe")]


def read_microscopes(
    path: str | os.PathLike[str], environ: Mapping[str, str] | None = None
) -> dict[str, Microscope]:
    """Read the microscopes that a facility declares.

    Parameters
    ----------
    path : str or os.PathLike
        The TOML file.
    environ : Mapping[str, str], optional
        Environment, by default that of the process. Relative folders of scans lie in its `RUNSTART_SCANS`, by
        default beside the file.

    Returns
    -------
    dict of str to Microscope
        The microscopes by name, in the order of the file; folders are absolute.

    Raises
    ------
    Alert
        The file is not there, is not TOML, or declares something that cannot be.
    """
    document = read_document(path, "Name the file that declares the microscopes, or write one.")
    tables = named_tables(document, _KIND)
    environ = os.environ if environ is None else environ
    base = Path(environ.get(SCANS_VARIABLE) or document.path.parent).absolute()
    microscopes: dict[str, Microscope] = {}
    problems: list[Problem] = []
    for name, table in tables.items():
        microscope, found = _read_microscope(name, table, base)
        problems += found
        if microscope is not None:
            microscopes[name] = microscope
    if problems:
        raise document.alert(problems)
    return microscopes


def find_microscopes_file(environ: Mapping[str, str], folder: Path) -> Path | None:
    """Return the file that declares the microscopes; None if there is none.

    Parameters
    ----------
    environ : mapping of str to str
        Its `RUNSTART_MICROSCOPES` names the file.
    folder : Path
        Where to look for `microscopes.toml` if it does not.
    """
    named = environ.get(MICROSCOPES_VARIABLE, "").strip()
    if named:
        return Path(named)
    usual = folder / USUAL_MICROSCOPES_FILE
    return usual if usual.is_file() else None


def check_clusters(microscopes: Iterable[Microscope], clusters: Collection[str]) -> None:
    """Make sure that the Kafka clusters on which scans are announced are declared.

    Parameters
    ----------
    microscopes : iterable of Microscope
        As `read_microscopes` returned them.
    clusters : collection of str
        Names of the clusters of `instruments.toml`.

    Raises
    ------
    Alert
        If one is not.
    """
    for microscope in microscopes:
        announcements = microscope.announcements
        if announcements is not None and announcements.kafka not in clusters:
            declared = ", ".join(sorted(clusters)) or "none"
            raise Alert(
                f"microscopes.{microscope.name}.announcements.kafka: there is no cluster {announcements.kafka!r}.",
                f"Declare [kafka.{announcements.kafka}] in instruments.toml, or name one of those that it has: "
                f"{declared}.",
            )


def _read_microscope(name: str, table: Mapping[str, Any], base: Path) -> tuple[Microscope | None, list[Problem]]:
    prefix = (_KIND, name)
    known = (*_KEYS, *_RECIPE_KEYS)
    problems: list[Problem] = [
        ((*prefix, key), describe_unknown_key(key, known)) for key in table if key not in (*known, "name")
    ]
    fields, unreadable = _gather({key: value for key, value in table.items() if key in (*known, "name")})
    problems += [((*prefix, *field), what) for field, what in unreadable]
    microscope, found = validate_named(Microscope, _KIND, name, fields)
    problems += [(_as_written(field), what) for field, what in found]
    if microscope is None or problems:
        return None, problems
    try:
        open_store(microscope.scans, s3_client=object())
    except Alert:
        what = f"{microscope.scans!r} is neither file:FOLDER nor s3://BUCKET/PREFIX"
        return None, [((*prefix, "scans"), what)]
    return microscope.model_copy(update={"scans": absolute_address(microscope.scans, base)}), []


def _gather(table: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return a table as the model has it: sizes in bytes, and what is computed of a scan together in a recipe."""
    fields = {key: value for key, value in table.items() if key not in _RECIPE_KEYS}
    recipe = {key: value for key, value in table.items() if key in _RECIPE_KEYS}
    problems: list[Problem] = []
    if recipe.get("center") == _FOUND_BY_ITSELF:
        del recipe["center"]
    elif isinstance(recipe.get("center"), str):
        given = recipe.pop("center")
        problems.append((("center",), f"{given!r} is no centre; write [row, column], or 'auto'"))
    size = fields.get("batch_bytes")
    if isinstance(size, str):
        try:
            fields["batch_bytes"] = parse_size(size, "batch_bytes")
        except Alert:
            del fields["batch_bytes"]
            what = f"{size[:80]!r} is no size; write bytes, or a text such as '512MiB'"
            problems.append((("batch_bytes",), what))
    return {**fields, "recipe": recipe}, problems


def _as_written(field: FieldPath) -> FieldPath:
    """Return the path of a field in the file, where nothing is called `recipe`."""
    if field[2:3] != ("recipe",):
        return field
    # What a recipe as a whole can have wrong are names of detectors.
    return (*field[:2], *(field[3:] or ("detectors",)))
