"""Finds operators: each folder with an operator.json, in the folders that a facility names and the one that ships."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runstart.errors import Alert
from runstart.specifications.operator_spec import OPERATOR_FILE, OperatorSpec, read_operator_spec

OPERATORS_VARIABLE = "RUNSTART_OPERATORS"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME = 60  # characters; it becomes part of names of images, containers, jobs and sockets


@dataclass(frozen=True)
class FoundOperator:
    """An operator in a folder.

    Attributes
    ----------
    name : str
        The folder's name.
    folder : Path
        Holds operator.json, run.py and Containerfile.
    spec : OperatorSpec
        What the operator.json says.
    """

    name: str
    folder: Path
    spec: OperatorSpec


def operators_folders(environ: Mapping[str, str], default: Path) -> list[Path]:
    """Return the folders of operators: those of `RUNSTART_OPERATORS` first, then the default one, which ships.

    Parameters
    ----------
    environ : mapping of str to str
        The environment; several folders are separated as in `PATH`.
    default : Path
        The operators that ship.
    """
    named = [Path(part).expanduser() for part in environ.get(OPERATORS_VARIABLE, "").split(os.pathsep) if part]
    return list(dict.fromkeys([*named, default]))


def find_operators(folders: Iterable[Path], troubles: list[str] | None = None) -> dict[str, FoundOperator]:
    """Return the operators in some folders by name, in the order of their names.

    One that cannot be read does not hide the others. Of two with one name the first folder's counts.

    Parameters
    ----------
    folders : iterable of Path
        Each holds a folder for each operator.
    troubles : list of str, optional
        Gets a sentence for each operator that was left out, and each folder that cannot be read.
    """
    found: dict[str, FoundOperator] = {}
    told = [] if troubles is None else troubles
    for folder in folders:
        for file in _operator_files(folder, told):
            try:
                one = _read(file, found)
            except Alert as alert:
                told.append(str(alert))
            else:
                found[one.name] = one
    return dict(sorted(found.items()))


def check_operator_name(name: str) -> None:
    """Raise an Alert if a name is no operator's: words of lower-case letters and digits with `-` between them."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        what = f"{name[: _LONGEST_NAME + 1]!r} is no name of an operator."
        rule = f"Write lower-case letters and digits with - between words, at most {_LONGEST_NAME} characters"
        raise Alert(what, f"{rule}, such as count-electrons.")


def _operator_files(folder: Path, troubles: list[str]) -> list[Path]:
    try:
        return sorted(path / OPERATOR_FILE for path in folder.iterdir() if (path / OPERATOR_FILE).is_file())
    except OSError as error:
        troubles.append(f"The folder of operators {folder} cannot be read: {error.strerror}.")
        return []


def _read(file: Path, found: Mapping[str, FoundOperator]) -> FoundOperator:
    name = file.parent.name
    check_operator_name(name)
    spec = read_operator_spec(file)
    if name in found:
        what = f"{file.parent} is left out: {found[name].folder} has the same name, and comes first."
        raise Alert(what, "Rename one of the folders.")
    for other in found.values():
        if other.spec.id == spec.id:
            what = f"{file} has the id of {other.folder}, {spec.id}."
            raise Alert(what, "Give it one of its own: python -m uuid, or runstart operator new.")
    return FoundOperator(name, file.parent, spec)
