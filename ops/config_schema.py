"""Turns the JSON Schema of a data operation's inputs into a Dagster config schema, which the Launchpad shows.

Dagster checks types and choices; bounds are told in the descriptions, and checked by the operation itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

_SCALARS = {"string": str, "number": float, "integer": int, "boolean": bool}


def make_config_schema(name: str, schema: Mapping[str, Any]) -> dict[str, dg.Field]:
    """Return the fields of a JSON Schema object.

    Parameters
    ----------
    name : str
        Begins the names of the types that are made, which must be unique in a code location.
    schema : mapping
        A JSON Schema with `properties`, each with a description, and perhaps a default.
    """
    required = schema.get("required", ())
    return {
        key: _field(f"{name}_{key}", part, is_required=key in required)
        for key, part in schema["properties"].items()
    }


def as_sentence(text: str) -> str:
    """Return a text with an end that another sentence can follow."""
    text = text.rstrip()
    return text if not text or text.endswith((".", "!", "?", ":")) else f"{text}."


def _field(name: str, schema: Mapping[str, Any], *, is_required: bool) -> dg.Field:
    settings: dict[str, Any] = {"description": _describe(schema), "is_required": is_required}
    if "default" in schema:
        settings["default_value"] = schema["default"]
    return dg.Field(_type(name, schema), **settings)


def _type(name: str, schema: Mapping[str, Any]) -> Any:
    if "anyOf" in schema:
        scalar, other = schema["anyOf"]
        return dg.ScalarUnion(_SCALARS[scalar["type"]], _type(name, other))
    if "enum" in schema:
        return dg.Enum(name, [dg.EnumValue(choice) for choice in schema["enum"]])
    if schema["type"] == "array":
        return dg.Array(_type(f"{name}_item", schema["items"]))
    if schema["type"] == "object":
        return dg.Shape(make_config_schema(name, schema))
    return _SCALARS[schema["type"]]


def _describe(schema: Mapping[str, Any]) -> str:
    # The Launchpad shows descriptions as plain text.
    parts = [as_sentence(schema.get("title", "")), as_sentence(schema.get("description", "")), *_bounds(schema)]
    if "default" in schema:
        parts.append(f"By default {_shown(schema['default'])}.")
    return " ".join(part for part in parts if part)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bounds(schema: Mapping[str, Any]) -> list[str]:
    if schema.get("type") == "array":
        low, high = schema.get("minItems"), schema.get("maxItems")
        if low is not None and low == high:
            return [f"Exactly {low}."]
        return [f"{low or 0} to {high:,} of them."] if high is not None else []
    if "enum" in schema:
        return [f"One of: {', '.join(schema['enum'])}."]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return [f"{low:g} to {high:g}."]
    if low is not None:
        return [f"At least {low:g}."]
    return [f"At most {high:g}."] if high is not None else []
