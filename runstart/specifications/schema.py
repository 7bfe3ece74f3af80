"""The JSON Schema of operator.json, for editors, other programs and the documentation."""

from __future__ import annotations

from typing import Any

from runstart.specifications.operator_spec import OperatorSpec


def operator_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an operator.json.

    It lets pass all that `read_operator_spec` takes: lists that are null, and numbers and truth values in quotes.
    """
    schema = OperatorSpec.model_json_schema(mode="validation")
    for name in ("inputs", "outputs", "parameters", "tags", "triggers", "parallel_config"):
        told = schema["properties"][name]
        default = told.pop("default", None)
        schema["properties"][name] = {"anyOf": [told, {"type": "null"}], "default": default}
    for kind in ("IntParameter", "FloatParameter", "BoolParameter"):
        told = schema["$defs"][kind]["properties"]
        told["default"] = {"anyOf": [{"type": told["default"]["type"]}, {"type": "string"}], "title": "Default"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
