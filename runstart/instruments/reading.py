"""Reads `instruments.toml`; whatever is wrong with it becomes an `Alert` with file, line, field and remedy.

Of several mistakes the first in the file is told, with the number of the others. Keys that nothing reads are
mistakes too: a misspelled `snapshot_intervall` must not silently leave the default in force.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from runstart.errors import Alert
from runstart.instruments._lines import find_line
from runstart.instruments.facility import Facility, KafkaCluster, conflicts
from runstart.instruments.model import Bank, Instrument, TofAxis, Topics
from runstart.instruments.script import Script

KAFKA_VARIABLE = "RUNSTART_KAFKA"

_MISSING = "is missing; add it to this table"

_Model = TypeVar("_Model", bound=BaseModel)
_FieldPath = tuple[str | int, ...]
_Problem = tuple[_FieldPath, str]
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
    path = Path(path)
    text = _read_text(path)
    document = _parse(path, text)
    problems: list[_Problem] = list(_unknown_tables(document))
    kafka, tables = document.get("kafka", {}), document.get("instruments", {})
    for key, value in (("kafka", kafka), ("instruments", tables)):
        if not _is_table_of_tables(value):
            problems.append(((key,), f"is not made of tables; write [{key}.NAME]"))
    if problems:
        raise _alert(path, text, problems)

    kafka = _with_environment(kafka, os.environ if environ is None else environ)
    tables = {name: _with_script_folder(table, path.parent) for name, table in tables.items()}
    clusters = _validate_all(KafkaCluster, "kafka", kafka, problems)
    instruments = _validate_all(Instrument, "instruments", tables, problems)
    if not problems:
        problems.extend(conflicts(instruments, clusters))
    if problems:
        raise _alert(path, text, problems)
    return Facility(instruments=instruments, clusters=clusters)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except OSError as error:
        raise Alert(
            f"{path}: cannot be read ({error.strerror}).",
            "Name the file that declares the instruments, or write one.",
        ) from error
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


def _unknown_tables(document: Mapping[str, Any]) -> Iterable[_Problem]:
    for key in document:
        if key not in ("kafka", "instruments"):
            yield (key,), _unknown(key, ("kafka", "instruments"))


def _is_table_of_tables(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(table, dict) for table in value.values())


def _with_environment(kafka: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    servers = environ.get(KAFKA_VARIABLE)
    if not servers:
        return kafka
    try:
        KafkaCluster(name="default", bootstrap_servers=servers)
    except ValidationError as error:
        raise Alert(f"The environment variable {KAFKA_VARIABLE}: {_reason(error.errors()[0])}.") from error
    return {**kafka, "default": {**kafka.get("default", {}), "bootstrap_servers": servers}}


def _with_script_folder(table: dict[str, Any], beside: Path) -> dict[str, Any]:
    """Return an instrument's table with the folder of its script made absolute."""
    script = table.get("script")
    if not isinstance(script, dict) or not isinstance(script.get("folder"), str):
        return table
    return {**table, "script": {**script, "folder": str((beside / script["folder"]).absolute())}}


def _validate_all(
    model: type[_Model], kind: str, tables: Mapping[str, Any], problems: list[_Problem]
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


def _problem(model: type[BaseModel], prefix: tuple[str, str], details: Any) -> _Problem:
    location: _FieldPath = details["loc"]
    if location == ("name",):
        return prefix, (
            f"{prefix[1]!r} cannot be a name; write a letter, then at most 62 letters, digits and underscores"
        )
    if details["type"] == "extra_forbidden":
        owner = model if len(location) == 1 else _NESTED[str(location[0])]
        fields = [field for field in owner.model_fields if owner is Bank or field != "name"]
        return (*prefix, *location), _unknown(str(location[-1]), fields)
    if details["type"] == "missing":
        return (*prefix, *location), _MISSING
    return (*prefix, *location), _reason(details)


def _reason(details: Any) -> str:
    """Return pydantic's words as a clause that begins with the offending value."""
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    words = details["msg"].removeprefix("Input ").removeprefix("String ")
    words = re.sub(r"dictionary or instance of \w+", "table", words)
    return f"{details['input']!r} {words}"


def _unknown(key: str, known: Iterable[str]) -> str:
    known = list(known)
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if nearest:
        return f"is not a key that anything reads; did you mean {nearest[0]!r}?"
    return f"is not a key that anything reads; known keys: {', '.join(known)}"


def _alert(path: Path, text: str, problems: Iterable[_Problem]) -> Alert:
    """Return the alert for the problem that comes first in the file.

    A missing key comes after everything else: it may be there, misspelled.
    """
    located = sorted(
        (what == _MISSING, find_line(text, field), ".".join(map(str, field)), what) for field, what in problems
    )
    _, line, field, what = located[0]
    others = len(located) - 1
    more = f"({others} more to mend in this file.)" if others else ""
    return Alert(f"{path}:{line}: {field}: {what.rstrip('.?') + ('?' if what.endswith('?') else '.')}", more)
