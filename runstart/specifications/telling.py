"""Tells what pydantic found wrong in people's words: which parameter, port or operator, its value, what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runstart.specifications.parameters import KINDS, shown

_ONE_OF_MANY = {
    "parameters": "parameter",
    "inputs": "input",
    "outputs": "output",
    "triggers": "trigger",
    "tags": "tag",
    "operators": "operator",
    "ports": "port",
    "edges": "edge",
}


def tell_errors(error: ValidationError, data: Any) -> list[str]:
    """Return one sentence, without its full stop, for each thing that is wrong in plain JSON data."""
    return [f"{_tell_place(one['loc'], data)}{_tell_fault(one)}".removeprefix(": ") for one in error.errors()]


def _tell_place(place: Sequence[str | int], data: Any) -> str:
    """Return words such as `parameter 'sigma', default `."""
    words: list[str] = []
    for key in place:
        if isinstance(data, Mapping) and key not in data and key in KINDS:
            continue  # pydantic names the member of the union here, which is no key of the data
        if isinstance(key, int) and words:
            data = data[key] if isinstance(data, Sequence) and key < len(data) else None
            words[-1] = f"{_ONE_OF_MANY.get(words[-1], words[-1])} {_name(data, key)}"
        else:
            data = data.get(key) if isinstance(data, Mapping) else None
            words.append(str(key))
    return ", ".join(words)


def _name(item: Any, number: int) -> str:
    if isinstance(item, Mapping):
        for key in ("name", "label", "value", "id"):
            if isinstance(item.get(key), str) and item[key]:
                return repr(item[key])
    return f"number {number + 1}"


def _tell_fault(one: ErrorDetails) -> str:
    tell = _FAULTS.get(one["type"])
    return tell(one) if tell else f" is {shown(one['input'])}: {one['msg'][0].lower()}{one['msg'][1:]}"


def _tell_choice(one: ErrorDetails) -> str:
    return f" is {shown(one['input'])}; allowed are {one['ctx']['expected']}"


def _tell_kind(one: ErrorDetails) -> str:
    return f" is of the kind {one['ctx']['tag']!r}; allowed are {', '.join(KINDS)}"


_FAULTS: dict[str, Callable[[ErrorDetails], str]] = {
    "missing": lambda _: " is missing",
    "value_error": lambda one: f": {one['ctx']['error']}",
    "literal_error": _tell_choice,
    "enum": _tell_choice,
    "union_tag_invalid": _tell_kind,
    "union_tag_not_found": lambda _: f" has no type; allowed are {', '.join(KINDS)}",
    "string_type": lambda one: f" is {shown(one['input'])}; a text is needed",
    "string_too_short": lambda _: " is empty; a text is needed",
    "list_type": lambda one: f" is {shown(one['input'])}; a list is needed",
    "model_type": lambda one: f" is {shown(one['input'])}; an object is needed",
    "model_attributes_type": lambda one: f" is {shown(one['input'])}; an object is needed",
    "uuid_parsing": lambda one: f" is {shown(one['input'])}, which is no UUID",
    "uuid_type": lambda one: f" is {shown(one['input'])}, which is no UUID",
}
