"""Tables such as `[sites.NAME]`, each of which becomes a model of that name."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from runstart.toml_files.document import Document, FieldPath, Problem, describe_error, describe_unknown_key

Model = TypeVar("Model", bound=BaseModel)


def named_tables(document: Document, kind: str) -> dict[str, dict[str, Any]]:
    """Return the tables of a document by name.

    Parameters
    ----------
    document : Document
        The file.
    kind : str
        What all of them are, such as `sites`.

    Raises
    ------
    Alert
        If there is anything else in the file.
    """
    problems: list[Problem] = [
        ((key,), describe_unknown_key(key, (kind,))) for key in document.table if key != kind
    ]
    tables = document.table.get(kind, {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        problems.append(((kind,), f"is not made of tables; write [{kind}.NAME]"))
    if problems:
        raise document.alert(problems)
    return dict(tables)


def validate_named(
    model: type[Model], kind: str, name: str, table: Mapping[str, Any]
) -> tuple[Model | None, list[Problem]]:
    """Return a table as a model, or what is wrong with it.

    Parameters
    ----------
    model : type of BaseModel
        With a field `name`.
    kind, name : str
        Of the table `[kind.name]`.
    table : mapping of str to object
        Its content.
    """
    prefix = (kind, name)
    if "name" in table:
        return None, [((*prefix, "name"), f"the table {name!r} is the name; remove this line")]
    try:
        return model.model_validate({"name": name, **table}), []
    except ValidationError as error:
        return None, [_problem(model, prefix, details) for details in error.errors()]


def known_keys(model: type[BaseModel], location: FieldPath) -> list[str]:
    """Return the keys that the innermost table of a field's path may have.

    Parameters
    ----------
    model : type of BaseModel
        Of the outermost table.
    location : tuple of str or int
        Path of the field below it.
    """
    owner = model
    for part in location[:-1]:
        field = owner.model_fields.get(str(part))
        inner = next(_models_in(field.annotation), None) if field else None
        owner = inner or owner
    return [field for field in owner.model_fields if owner is not model or field != "name"]


def absolute_address(address: str, base: Path) -> str:
    """Return an address with its folder, if it is one (`file:FOLDER`), taken from a base folder."""
    if not address.startswith("file:"):
        return address
    folder = address.removeprefix("file:")
    folder = folder.removeprefix("//") if folder.startswith("///") else folder
    return f"file:{base / folder}"


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models of which an annotation is made, such as `tuple[Detector, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _problem(model: type[BaseModel], prefix: tuple[str, str], details: Any) -> Problem:
    location: FieldPath = details["loc"]
    if location == ("name",):
        return prefix, (
            f"{prefix[1]!r} cannot be a name; write a letter, then at most 62 letters, digits and underscores"
        )
    known = known_keys(model, location) if details["type"] == "extra_forbidden" else []
    return (*prefix, *location), describe_error(details, known)
