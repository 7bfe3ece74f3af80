"""The Dagster config of every data operation shows what its declaration says, and takes what the operation takes."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from ops.config_schema import as_sentence, make_config_schema
from runstart.operation_kit import Operation, find_operations

OPERATIONS = find_operations({})


def fields_of(operation: Operation, name: str = "") -> dict[str, dg.Field]:
    return make_config_schema(f"test_{name or operation.slug}", operation.schema())


def check(fields: dict[str, dg.Field], config: dict[str, Any]) -> Any:
    """Return what Dagster makes of a config, or the errors that the Launchpad would show."""
    from dagster._config import process_config, resolve_to_config_type

    result = process_config(resolve_to_config_type(dg.Shape(fields)), config)
    return result.value if result.success else [error.message for error in result.errors]


@pytest.mark.parametrize("slug", OPERATIONS)
def test_every_field_shows_label_and_description(slug: str) -> None:
    operation = OPERATIONS[slug]
    for key, field in fields_of(operation).items():
        declared = operation.inputs[key]
        assert declared.kind.name in (field.description or "")
        assert declared.kind.description in (field.description or "")
        assert field.is_required == declared.required
        assert declared.required or field.default_value == declared.default


def test_bounds_of_a_list_are_told() -> None:
    assert "2 to 999 of them." in (fields_of(OPERATIONS["median"], "bounds")["input_files"].description or "")


def test_choices_are_checked_before_a_run_and_named() -> None:
    fields = fields_of(OPERATIONS["stacking"], "choices")
    files = ["archive/a", "archive/b"]
    assert check(fields, {"input_files": files})["stacking_mode"] == "simple"
    errors = check(fields, {"input_files": files, "stacking_mode": "magic"})
    assert "stacking_mode" in str(errors)


def test_files_are_texts_or_tables() -> None:
    fields = fields_of(OPERATIONS["median"], "files")
    given = ["archive/a", {"source": "archive", "basename": "b", "filter": "rp"}, {"uri": "s3://bucket/c"}]
    assert check(fields, {"input_files": given})["input_files"] == given


def test_a_whole_number_is_good_where_a_number_is_asked_for() -> None:
    fields = fields_of(OPERATIONS["increase_brightness"], "number")
    assert check(fields, {"input_files": ["archive/a"], "brightness": 3})["brightness"] == 3


def test_unknown_and_missing_inputs_are_errors() -> None:
    fields = fields_of(OPERATIONS["median"], "unknown")
    assert "input_file" in str(check(fields, {"input_file": []}))
    assert "input_files" in str(check(fields, {}))


@pytest.mark.parametrize(
    ("text", "sentence"), [("Pixels", "Pixels."), ("Which ones?", "Which ones?"), ("Done. ", "Done."), ("", "")]
)
def test_bounds_and_defaults_follow_a_whole_sentence(text: str, sentence: str) -> None:
    assert as_sentence(text) == sentence
    schema = {"properties": {"n": {"type": "integer", "description": text, "minimum": 1, "maximum": 3}}}
    assert make_config_schema("t", schema)["n"].description == f"{sentence} 1 to 3.".strip()
