"""Looks an operator's folder over without running its code: what is wrong, and what looks like a slip.

operator.json is read as everywhere. run.py is only parsed: one function must be an `@operator`, and the parameters and
triggers that it names must be in operator.json. A field of operator.json that nothing reads is kept and harmless, but
told if it nearly has the name of one that is read.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from runstart.errors import Alert
from runstart.specifications._source import Source, read_source
from runstart.specifications.finding import check_operator_name
from runstart.specifications.image_names import image_name, is_image
from runstart.specifications.operator_spec import (
    OPERATOR_FILE,
    OperatorSpec,
    ParallelConfig,
    PortSpec,
    TagSpec,
    TriggerSpec,
    read_operator_spec,
)
from runstart.specifications.parameters import ParameterSpec

_MODELS: dict[str, type[BaseModel]] = {
    "inputs": PortSpec,
    "outputs": PortSpec,
    "tags": TagSpec,
    "triggers": TriggerSpec,
    "parallel_config": ParallelConfig,
}
_KINDS: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(ParameterSpec)[0])
}


@dataclass(frozen=True)
class Finding:
    """Something about an operator's folder.

    Attributes
    ----------
    text : str
        A sentence.
    is_error : bool
        Whether the operator cannot work with it.
    """

    text: str
    is_error: bool = True


def validate_operator(folder: Path) -> list[Finding]:
    """Return what is wrong with the operator in a folder, errors first; nothing if all is well."""
    try:
        spec = read_operator_spec(folder / OPERATOR_FILE)
    except Alert as alert:
        return [Finding(str(alert))]
    findings = [*_check_folder(folder, spec), *_check_fields(folder), *_check_source(folder, spec)]
    return sorted(findings, key=lambda finding: not finding.is_error)


def _check_folder(folder: Path, spec: OperatorSpec) -> Iterator[Finding]:
    name = folder.resolve().name
    try:
        check_operator_name(name)
    except Alert as alert:
        yield Finding(str(alert))
    if not is_image(spec.image):
        yield Finding(f"The image {spec.image!r} is none; write it like registry/team/{name}:latest.")
    elif image_name(spec.image) != name:
        yield Finding(f"The image {spec.image!r} does not have the folder's name, {name!r}.", is_error=False)
    file = folder / "Containerfile"
    if not file.is_file():
        yield Finding("There is no Containerfile, from which its image is built.")
    elif not any(line.split()[:1] == ["FROM"] for line in file.read_text(encoding="utf-8").upper().splitlines()):
        yield Finding("The Containerfile has no FROM, and makes no image.")


def _check_fields(folder: Path) -> Iterator[Finding]:
    data = json.loads((folder / OPERATOR_FILE).read_bytes())
    yield from _misspelled("", data, OperatorSpec)
    for key, model in _MODELS.items():
        items = data.get(key) or []
        for item in items if isinstance(items, list) else [items]:
            yield from _misspelled(f"{key}: ", item, model)
    for item in data.get("parameters") or []:
        yield from _misspelled(f"parameter {item['name']!r}: ", item, _KINDS[item["type"]])


def _misspelled(where: str, item: Mapping[str, Any], model: type[BaseModel]) -> Iterator[Finding]:
    known = [name for name in model.model_fields if name not in item]
    for key in item:
        nearest = difflib.get_close_matches(key, known, n=1)
        if key not in model.model_fields and nearest:
            told = f"{OPERATOR_FILE}: {where}the field {key!r} is not read; did you mean {nearest[0]!r}?"
            yield Finding(told, is_error=False)


def _check_source(folder: Path, spec: OperatorSpec) -> Iterator[Finding]:
    try:
        source = read_source(folder / "run.py")
    except Alert as alert:
        yield Finding(str(alert))
        return
    yield from _check_kernels(source, spec)
    parameters = [parameter.name for parameter in spec.parameters]
    yield from _undeclared("parameter", source.parameters, parameters)
    yield from _undeclared("trigger", source.triggers, [trigger.name for trigger in spec.triggers])
    if not source.takes_all_parameters:
        mounts = {parameter.name for parameter in spec.parameters if parameter.type == "mount"} & source.texts
        unused = [name for name in parameters if name not in source.parameters and name not in mounts]
        for name in unused:
            yield Finding(f"run.py does not use the parameter {name!r} of {OPERATOR_FILE}.", is_error=False)


def _check_kernels(source: Source, spec: OperatorSpec) -> Iterator[Finding]:
    if len(source.kernels) != 1:
        told = ", ".join(kernel.name for kernel in source.kernels) or "no function"
        yield Finding(f"run.py has {told} under @operator; exactly one is needed.")
        return
    kernel = source.kernels[0]
    if kernel.positional < 2:
        yield Finding(f"run.py: {kernel.name} must take inputs and parameters.")
    if spec.triggers and not kernel.takes_trigger:
        yield Finding(f"run.py: {kernel.name} must take trigger=None, because {OPERATOR_FILE} has triggers.")


def _undeclared(what: str, used: Mapping[str, int], declared: Iterable[str]) -> Iterator[Finding]:
    known = list(declared)
    for name, line in used.items():
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {nearest[0]!r}?" if nearest else f"it has {', '.join(known) or 'none'}."
            yield Finding(f"run.py, line {line}: {OPERATOR_FILE} has no {what} {name!r}; {remedy}")
