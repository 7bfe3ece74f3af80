"""Values of an operator's parameters: checked whoever gives them, and told as JSON Schema to whoever asks for them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from runstart.errors import Alert
from runstart.specifications.operator_spec import OperatorSpec
from runstart.specifications.parameters import (
    FloatParameter,
    IntParameter,
    MountParameter,
    Parameter,
    StrEnumParameter,
    StrParameter,
)

_NEEDED = {"mount": "a path"}
_JSON_TYPES = {"int": "integer", "float": "number", "bool": "boolean"}


def check_values(
    spec: OperatorSpec, values: Mapping[str, Any], name: str, *, may_be_empty: bool = False
) -> dict[str, Any]:
    """Return all values of an operator's parameters, each of its kind; what is not given, or None, is the default.

    Parameters
    ----------
    spec : OperatorSpec
        Declares the parameters.
    values : mapping of str to object
        What was given, by parameter; texts that read as a kind's value are taken for it.
    name : str
        Names the operator in errors.
    may_be_empty : bool, optional
        Whether required values may still be empty, because they are given later.

    Raises
    ------
    Alert
        With everything that is wrong: a parameter that there is not, a value that it does not take, or a required one
        that is empty.
    """
    troubles = value_troubles(spec, values)
    if not may_be_empty:
        troubles += missing_values(spec, values)
    if troubles:
        raise Alert(f"{name}: {'; '.join(troubles)}.", "Its parameters: runstart operator list.")
    return {
        parameter.name: parameter.current
        if values.get(parameter.name) is None
        else parameter.check(values[parameter.name])
        for parameter in spec.parameters
    }


def value_troubles(spec: OperatorSpec, values: Mapping[str, Any]) -> list[str]:
    """Return a sentence, without its full stop, for each value that is wrong."""
    parameters = {parameter.name: parameter for parameter in spec.parameters}
    troubles = []
    for name, value in values.items():
        if name not in parameters:
            troubles.append(_tell_unknown(name, list(parameters)))
        elif value is not None:
            try:
                parameters[name].check(value)
            except ValueError as error:
                troubles.append(f"parameter {name!r}: {error}")
    return troubles


def missing_values(spec: OperatorSpec, values: Mapping[str, Any]) -> list[str]:
    """Return a sentence, without its full stop, for each parameter that is required and would be empty."""
    return [
        f"parameter {parameter.name!r} is required and empty; allowed is {_NEEDED.get(parameter.type, 'a text')}"
        for parameter in spec.parameters
        if parameter.required and (values.get(parameter.name) or parameter.current) == ""
    ]


def parameters_json_schema(spec: OperatorSpec) -> dict[str, Any]:
    """Return the JSON Schema of an object with the values of an operator's parameters."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": spec.label,
        "description": spec.description,
        "type": "object",
        "properties": {parameter.name: _describe(parameter) for parameter in spec.parameters},
        "required": [parameter.name for parameter in spec.parameters if _must_be_given(parameter)],
        "additionalProperties": False,
    }


def _must_be_given(parameter: Parameter) -> bool:
    return parameter.required and parameter.current == ""


def _describe(parameter: Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {
        "title": parameter.label,
        "description": parameter.description,
        "type": _JSON_TYPES.get(parameter.type, "string"),
    }
    if isinstance(parameter, StrEnumParameter):
        told["enum"] = list(parameter.options)
    if isinstance(parameter, IntParameter | FloatParameter):
        bounds = (("minimum", parameter.minimum), ("maximum", parameter.maximum))
        told |= {key: bound for key, bound in bounds if bound is not None}
    if _must_be_given(parameter):
        return told | ({"minLength": 1} if isinstance(parameter, StrParameter | MountParameter) else {})
    return told | {"default": parameter.current}


def _tell_unknown(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    if nearest:
        return f"there is no parameter {name!r}; did you mean {nearest[0]!r}?"
    return (
        f"there is no parameter {name!r}; allowed are {', '.join(known)}"
        if known
        else f"there is no parameter {name!r}"
    )
