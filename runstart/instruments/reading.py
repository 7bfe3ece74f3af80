"""Reads `instruments.toml`; whatever is wrong with it becomes an `Alert` with file, line, field and remedy.

Of several mistakes the first in the file is told, with the number of the others. Keys that nothing reads are
mistakes too: a misspelled `snapshot_intervall` must not silently leave the default in force.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from runstart.errors import Alert
from runstart.instruments.access import with_absolute_files
from runstart.instruments.facility import Facility, KafkaCluster, conflicts
from runstart.instruments.model import Bank, Instrument, TofAxis, Topics
from runstart.instruments.script import Script
from runstart.toml_files import FieldPath, Problem, describe_error, describe_unknown_key, read_document

KAFKA_VARIABLE = "RUNSTART_KAFKA"

_Model = TypeVar("_Model", bound=BaseModel)
_NESTED: dict[str, type[BaseModel]] = {"topics": Topics, "banks": Bank, "tof": TofAxis, "script": Script}


def read_instruments(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Facility:
    """Read the instruments and Kafka clusters that a facility declares.

    Parameters
    ----------
    path : str or os.PathLike
        The TOML file.
    environ : Mapping[str, str], optional
        Environment, by default that of the process. Its `RUNSTART_KAFKA` replaces the `bootstrap_servers` of
        the `default` cluster.

    Returns
    -------
    Facility

    Raises
    ------
    Alert
        The file is not there, is not TOML, or declares something that cannot be.
    """
    document = read_document(path, "Name the file that declares the instruments, or write one.")
    problems: list[Problem] = list(_unknown_tables(document.table))
    kafka, tables = document.table.get("kafka", {}), document.table.get("instruments", {})
    for key, value in (("kafka", kafka), ("instruments", tables)):
        if not _is_table_of_tables(value):
            problems.append(((key,), f"is not made of tables; write [{key}.NAME]"))
    if problems:
        raise document.alert(problems)

    kafka = _with_environment(kafka, os.environ if environ is None else environ)
    kafka = {name: with_absolute_files(table, document.path.parent) for name, table in kafka.items()}
    tables = {name: _with_script_folder(table, document.path.parent) for name, table in tables.items()}
    clusters = _validate_all(KafkaCluster, "kafka", kafka, problems)
    instruments = _validate_all(Instrument, "instruments", tables, problems)
    if not problems:
        problems.extend(conflicts(instruments, clusters))
    if problems:
        raise document.alert(problems)
    return Facility(instruments=instruments, clusters=clusters)


def _unknown_tables(document: Mapping[str, Any]) -> Iterable[Problem]:
    for key in document:
        if key not in ("kafka", "instruments"):
            yield (key,), describe_unknown_key(key, ("kafka", "instruments"))


def _is_table_of_tables(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(table, dict) for table in value.values())


def _with_environment(kafka: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    servers = environ.get(KAFKA_VARIABLE)
    if not servers:
        return kafka
    try:
        KafkaCluster(name="default", bootstrap_servers=servers)
    except ValidationError as error:
        raise Alert(f"The environment variable {KAFKA_VARIABLE}: {describe_error(error.errors()[0])}.") from error
    return {**kafka, "default": {**kafka.get("default", {}), "bootstrap_servers": servers}}


def _with_script_folder(table: dict[str, Any], beside: Path) -> dict[str, Any]:
    """Return an instrument's table with the folder of its script made absolute."""
    script = table.get("script")
    if not isinstance(script, dict) or not isinstance(script.get("folder"), str):
        return table
    return {**table, "script": {**script, "folder": str((beside / script["folder"]).absolute())}}


def _validate_all(
    model: type[_Model], kind: str, tables: Mapping[str, Any], problems: list[Problem]
) -> dict[str, _Model]:
    """Return the valid tables as models by name; append what is wrong with the others."""
    valid: dict[str, _Model] = {}
    for name, table in tables.items():
        if "name" in table:
            problems.append(((kind, name, "name"), f"the table {name!r} is the name; remove this line"))
            continue
        try:
            valid[name] = model.model_validate({"name": name, **table})
        except ValidationError as error:
            problems.extend(_problem(model, (kind, name), details) for details in error.errors())
    return valid


def _problem(model: type[BaseModel], prefix: tuple[str, str], details: Any) -> Problem:
    location: FieldPath = details["loc"]
    if location == ("name",):
        return prefix, (
            f"{prefix[1]!r} cannot be a name; write a letter, then at most 62 letters, digits and underscores"
        )
    known: list[str] = []
    if details["type"] == "extra_forbidden":
        owner = model if len(location) == 1 else _NESTED[str(location[0])]
        known = [field for field in owner.model_fields if owner is Bank or field != "name"]
    return (*prefix, *location), describe_error(details, known)
