from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from instrument_tables import as_table, instruments, make_table
from jsonschema import Draft4Validator

from runstart.instrument_resources import make_crd, make_object, print_crd
from runstart.instruments import Instrument, read_instruments

ROOT = Path(__file__).parents[3]
SCHEMA = make_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
VALIDATOR = Draft4Validator(SCHEMA)  # OpenAPI 3.0 has `exclusiveMinimum` as this draft has it


def test_the_definition_in_the_manifests_is_the_one_that_the_models_give() -> None:
    assert (ROOT / "k8s/base/instrument-crd.yaml").read_text() == print_crd()


@settings(max_examples=60)
@given(instruments())
def test_what_the_models_accept_the_schema_accepts(instrument: Instrument) -> None:
    made = make_object(instrument.name, as_table(instrument))
    assert [error.message for error in VALIDATOR.iter_errors(json.loads(json.dumps(made)))] == []
    assert unknown_fields(made, SCHEMA) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"title": 5},
        {"live_reduction": "yes"},
        {"views": ["tof", "sum"]},
        {"snapshot_interval": 0},
        {"snapshot_interval": 86_401},
        {"grace": -0.1},
        {"max_memory_mb": 0},
        {"topics": {"events": "no spaces"}},
        {"tof": {"start_us": -1, "stop_us": 100, "bins": 10}},
        {"tof": {"start_us": 0, "stop_us": 2_147_484, "bins": 10}},
        {"tof": {"start_us": 0, "stop_us": 100}},
        {"tof": {"start_us": 0, "stop_us": 100, "bins": 1.5}},
        {"banks": []},
        {"banks": [{"name": "a b", "shape": [1], "first_detector_id": 1}]},
        {"banks": [{"name": "a", "shape": [1, 2, 3], "first_detector_id": 1}]},
        {"banks": [{"name": "a", "shape": [0], "first_detector_id": 1}]},
        {"banks": [{"name": "a", "shape": [1], "first_detector_id": 4_294_967_296}]},
        {"script": {"folder": "/x", "memory_mb": 1}},
        {"script": {"folder": "/x", "token_variable": "9"}},
        {"collectors": {"logs": {}}},
        {"collectors": {"logs": {"use": "epics", "pvs": {}}}},
        {"collectors": {"logs": {"use": "epics", "pvs": {"T": "PV"}, "silence": 3601}}},
        {"tof": None},
    ],
    ids=str,
)
def test_what_the_schema_refuses_the_models_refuse(changes: dict[str, Any]) -> None:
    table = make_table(**changes)
    assert not VALIDATOR.is_valid(make_object("SANS", table))
    with pytest.raises(ValueError, match="validation error"):
        Instrument.model_validate({"name": "SANS", **table})


def test_the_plain_table_of_the_refusals_is_accepted() -> None:
    assert VALIDATOR.is_valid(make_object("SANS", make_table()))


def test_every_field_of_an_instrument_is_described() -> None:
    lacking = [
        path for path, node in properties(SCHEMA["properties"]["spec"], "spec") if not node.get("description")
    ]
    assert lacking == []


def test_the_schema_is_structural_and_keeps_nothing_that_it_does_not_know() -> None:
    text = json.dumps(SCHEMA)
    assert [word for word in ("$ref", "anyOf", '"title": "', "preserve-unknown", '"default"') if word in text] == []
    assert [path for path, node in properties(SCHEMA, "") if "type" not in node] == []


def test_the_example_is_accepted_and_declares_an_instrument(tmp_path: Path) -> None:
    example = yaml.safe_load((ROOT / "k8s/examples/instrument.yaml").read_text())
    assert VALIDATOR.is_valid(example)
    assert unknown_fields(example, SCHEMA) == []
    spec = example["spec"]
    assert (
        Instrument.model_validate(spec).banks
        == read_instruments(ROOT / "instruments.toml").instruments["SIMSANS"].banks
    )


def properties(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in node.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from properties(field, f"{path}.{name}")
    for inner in (node.get("items"), node.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from properties(inner, f"{path}.*")


def unknown_fields(value: Any, node: dict[str, Any], path: str = "") -> list[str]:
    """Return what the API server would prune."""
    if isinstance(value, list):
        return [found for item in value for found in unknown_fields(item, node["items"], f"{path}.*")]
    if not isinstance(value, dict) or path == ".metadata":
        return []
    found = []
    for name, inner in value.items():
        schema = node.get("properties", {}).get(name) or node.get("additionalProperties")
        found += [f"{path}.{name}"] if schema is None else unknown_fields(inner, schema, f"{path}.{name}")
    return found
