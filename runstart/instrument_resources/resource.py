"""A custom resource as the API server gives it, and the table of `instruments.toml` that it stands for.

Only two things differ from a table. The name of a resource has no upper-case letters, so `spec.name` may say another.
And since a schema has no place for what it does not know, the options of a collector that does not ship are one text of
TOML lines, `options`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runstart.collectors.options import EpicsOptions, KafkaLogsOptions
from runstart.collectors.registry import known_collectors
from runstart.errors import Alert
from runstart.instrument_resources.names import API_VERSION, KIND
from runstart.instruments import read_instruments
from runstart.toml_files import read_document

OPTIONS = "options"

_OPTION_FIELDS = frozenset({*EpicsOptions.model_fields, *KafkaLogsOptions.model_fields})


@dataclass(frozen=True)
class Resource:
    """An `Instrument` resource.

    Attributes
    ----------
    resource_name, uid : str
        Its name in its namespace, and what tells it from an earlier one of that name.
    created : str
        When it was made, in ISO 8601, UTC.
    generation : int
        Rises with every change of `spec`.
    spec, status : dict
        As the API server has them.
    """

    resource_name: str
    uid: str
    created: str
    generation: int
    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_object(cls, given: Mapping[str, Any]) -> Resource:
        """Return the resource in an object of the API."""
        metadata = given["metadata"]
        return cls(
            resource_name=metadata["name"],
            uid=metadata["uid"],
            created=metadata["creationTimestamp"],
            generation=metadata["generation"],
            spec=given.get("spec") or {},
            status=given.get("status") or {},
        )

    @property
    def instrument(self) -> str:
        """The name of the instrument."""
        return str(self.spec.get("name") or self.resource_name)

    @property
    def seniority(self) -> tuple[str, str, str]:
        """Sorts the older before the younger."""
        return self.created, self.resource_name, self.uid

    def table(self) -> dict[str, Any]:
        """Return the table `[instruments.NAME]`.

        Raises
        ------
        Alert
            If the options of a collector are not TOML, or given twice.
        """
        table = _without_null({key: value for key, value in self.spec.items() if key != "name"})
        collectors = table.get("collectors")
        if isinstance(collectors, dict):
            table["collectors"] = {name: _with_options(name, declared) for name, declared in collectors.items()}
        return dict(table)


def make_object(instrument: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object of the API that stands for a table.

    Parameters
    ----------
    instrument : str
        Name of the table `[instruments.NAME]`.
    table : mapping of str to object
        Its content; nothing is checked.
    """
    resource_name = re.sub(r"[^a-z0-9-]", "-", instrument.lower()).strip("-")
    spec: dict[str, Any] = {} if resource_name == instrument else {"name": instrument}
    spec |= table
    if isinstance(table.get("collectors"), Mapping):
        spec["collectors"] = {name: _without_options(declared) for name, declared in table["collectors"].items()}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": resource_name}, "spec": spec}


def make_objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects of the API that stand for the instruments of a file.

    Parameters
    ----------
    path : Path
        Like `instruments.toml`.

    Raises
    ------
    Alert
        If the file is wrong, or two of its instruments would have resources of the same name.
    """
    read_instruments(path)
    tables = read_document(path, "Name the file that declares the instruments.").table.get("instruments", {})
    objects: dict[str, dict[str, Any]] = {}
    for instrument, table in tables.items():
        made = make_object(instrument, table)
        name = made["metadata"]["name"]
        if name in objects:
            raise Alert(
                f"{path}: the resource of {instrument} would be named {name}, as that of another instrument.",
                "Write the resource of one of them by hand: its name is free, spec.name is the instrument's.",
            )
        objects[name] = made
    return list(objects.values())


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return [_without_null(inner) for inner in value] if isinstance(value, list) else value


def _with_options(name: str, declared: Any) -> Any:
    """Return a collector's table with the lines of TOML in `options` taken in."""
    if not isinstance(declared, dict) or not isinstance(declared.get(OPTIONS), str):
        return declared
    plain = {key: value for key, value in declared.items() if key != OPTIONS}
    place = f"spec.collectors.{name}.{OPTIONS}"
    try:
        given = tomllib.loads(declared[OPTIONS])
    except tomllib.TOMLDecodeError as error:
        raise Alert(f"{place}: is not TOML: {error}.", "Write lines such as: period = 2.0") from error
    twice = sorted(plain.keys() & given.keys())
    if twice:
        raise Alert(f"{place}: {twice[0]!r} is given outside of it too.", "Write it once.")
    return plain | given


def _without_options(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a collector's table with the options that the schema does not know as TOML."""
    import tomlkit

    shipped = declared.get("use") in known_collectors()
    known = {key: value for key, value in declared.items() if key == "use" or (shipped and key in _OPTION_FIELDS)}
    others = {key: value for key, value in declared.items() if key not in known}
    if isinstance(known.get("pvs"), list):
        known["pvs"] = {pv: pv for pv in known["pvs"]}
    return known | ({OPTIONS: tomlkit.dumps(others)} if others else {})
