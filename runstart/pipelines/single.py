"""The plan by which an operator runs alone: a reader of files before it, and a collector of its outputs behind it.

Reader and collector are operators that ship. Their ports take the types of the operator's; each file is a mount of the
reader, by its own name, and the reader's parameter `files` has the names in their order, one a line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from runstart.errors import Alert
from runstart.pipelines.plan import Link, Plan, Stage, stage_names
from runstart.specifications import FoundOperator, PortSpec, check_values, find_operators
from runstart.specifications.parameters import MountParameter

READER = "file-reader"
COLLECTOR = "output-collector"
_FILES = "files"


def single_operator_plan(
    found: FoundOperator,
    values: Mapping[str, Any],
    files: Sequence[Path],
    operators: Mapping[str, FoundOperator] | None = None,
) -> Plan:
    """Return the plan of an operator alone; without inputs or outputs it has no reader or collector.

    Parameters
    ----------
    found : FoundOperator
        The operator.
    values : mapping of str to object
        Of its parameters.
    files : sequence of Path
        What it gets, one file after the other.
    operators : mapping of str to FoundOperator, optional
        Where reader and collector are; by default the folder that the operator's own is in.

    Raises
    ------
    Alert
        If a value is wrong, files are given to an operator without inputs or not to one with inputs, or reader or
        collector are not there.
    """
    spec = found.spec
    known = find_operators([found.folder.parent]) if operators is None else operators
    if spec.is_source and files:
        raise Alert(f"{found.name} has no inputs, and takes no files.", "Leave the files out.")
    if spec.inputs and not files:
        raise Alert(f"{found.name} needs files for its input {spec.inputs[0].name!r}.", "Name at least one file.")
    names = stage_names([found.name, READER, COLLECTOR])  # unique, even if the operator is one of those two
    stages = [Stage(names[0], uuid4(), spec, found.name, 1, check_values(spec, values, found.name))]
    links = []
    if spec.inputs:
        port = _only_input(found)
        reader = _shipped(known, READER)
        stages.insert(0, _reader_stage(names[1], reader, port.type, files))
        links.append(Link(names[1], reader.spec.outputs[0].name, names[0], port.name))
    if spec.outputs:
        collector = _shipped(known, COLLECTOR)
        stages.append(
            Stage(names[2], uuid4(), collector.spec, COLLECTOR, 1, check_values(collector.spec, {}, COLLECTOR))
        )
        links += [Link(names[0], port.name, names[2], collector.spec.inputs[0].name) for port in spec.outputs]
    return Plan(found.name, tuple(stages), tuple(links))


def _shipped(operators: Mapping[str, FoundOperator], name: str) -> FoundOperator:
    if name not in operators:
        what = f"The operator {name}, which ships with Runstart, is not among those that were found."
        raise Alert(what, "Add the folder of the operators that ship.")
    return operators[name]


def _only_input(found: FoundOperator) -> PortSpec:
    if len(found.spec.inputs) > 1:
        names = ", ".join(port.name for port in found.spec.inputs)
        what = f"{found.name} has several inputs ({names}), and which file is for which is not said."
        raise Alert(what, "Wire it in a pipeline.")
    return found.spec.inputs[0]


def _reader_stage(name: str, reader: FoundOperator, port_type: str, files: Sequence[Path]) -> Stage:
    mounts = _mounts(files, [one.name for one in reader.spec.parameters])
    outputs = [port.model_copy(update={"type": port_type}) for port in reader.spec.outputs]
    spec = reader.spec.model_copy(update={"outputs": outputs, "parameters": [*reader.spec.parameters, *mounts]})
    paths = {mount.name: mount.default for mount in mounts}
    return Stage(name, uuid4(), spec, READER, 1, check_values(spec, {_FILES: "\n".join(paths), **paths}, READER))


def _mounts(files: Sequence[Path], taken: Iterable[str]) -> list[MountParameter]:
    """Return a mount for each file by its name, with a number before it if another parameter has that name."""
    names, mounts = set(taken), []
    for file in files:
        path = Path(os.path.abspath(file))  # noqa: PTH100  # by its own name, also if it is a link
        plain = "".join(letter if letter.isprintable() else "_" for letter in path.name) or "file"
        name, number = plain, 1
        while name in names:
            number += 1
            name = f"{number}-{plain}"
        names.add(name)
        mounts.append(
            MountParameter(
                name=name, label=name, description="A file.", type="mount", required=True, default=str(path)
            )
        )
    return mounts
