"""What ships: which operations there are, and that their descriptions are sound."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from runstart.operation_kit import Operation, find_operation, find_operations

OPERATIONS = [
    op for op in find_operations({}).values() if op.function.__module__.startswith("runstart.operations.")
]
REFERENCE = {
    "Median": {"input_files": (2, 999)},
    "Stacking": {"input_files": (2, 999), "stacking_mode": None},
    "Subtraction": {"input_files": (1, 999), "subtraction_file": (1, 1)},
    "Normalization": {"input_files": (1, 999)},
    "Color Image": {"color_channels": (1, 6)},
}
OWN = {
    "Increase Brightness",
    "Mean Stack",
    "Master Bias",
    "Master Dark",
    "Master Flat",
    "Calibration",
    "Cosmic Ray Rejection",
    "Background Subtraction",
    "Source Catalog",
}
HEAVY = ("numba", "astropy", "PIL", "scipy", "sep", "reproject", "astroalign", "astroscrappy", "skimage", "h5py")
_TYPES = {"string": str, "number": (int, float), "integer": int, "array": list, "object": dict, "boolean": bool}


def _ids(operation: Operation) -> str:
    return operation.slug


def test_all_operations_are_found_by_being_there() -> None:
    assert {op.name for op in OPERATIONS} == REFERENCE.keys() | OWN


def test_importing_the_operations_loads_no_heavy_library() -> None:
    code = (
        "import sys; from runstart.operation_kit import find_operations; find_operations({}); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name for name in done.stdout.split() if name.partition(".")[0] in HEAVY}


@pytest.mark.parametrize("name", REFERENCE)
def test_inputs_are_those_of_the_reference(name: str) -> None:
    inputs = find_operation(name).wizard()["inputs"]
    for key, bounds in REFERENCE[name].items():
        if bounds is not None:
            assert (inputs[key]["minimum"], inputs[key]["maximum"]) == bounds
            assert inputs[key]["type"] == "fits"
    more = inputs.keys() - REFERENCE[name].keys()
    assert all("default" in inputs[key] for key in more)


def test_the_wizard_of_stacking_says_its_modes() -> None:
    mode = find_operation("Stacking").wizard()["inputs"]["stacking_mode"]
    assert mode["type"] == "select"
    assert mode["options"] == ["simple", "reproject"]
    assert mode["default"] == "simple"


def test_the_wizard_of_color_image_asks_for_colours_and_scales() -> None:
    channels = find_operation("Color Image").wizard()["inputs"]["color_channels"]
    assert channels["include_custom_scale"] is True
    assert channels["color_picker"] is True


@pytest.mark.parametrize("operation", OPERATIONS, ids=_ids)
def test_the_wizard_is_json_with_names_and_descriptions(operation: Operation) -> None:
    told = json.loads(json.dumps(operation.wizard(), allow_nan=False))
    assert told["category"] == "image"
    assert told["description"].endswith(".")
    for given in told["inputs"].values():
        assert given["name"]
        assert given["description"].endswith(".")
        assert given["type"] in {"fits", "image", "string", "float", "int", "select", "source", "target_positions"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=_ids)
def test_the_schema_is_a_json_schema_whose_defaults_are_valid(operation: Operation) -> None:
    schema = json.loads(json.dumps(operation.schema(), allow_nan=False))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["required"]) <= schema["properties"].keys()
    _check_with_jsonschema(schema)
    for part in schema["properties"].values():
        _check_structure(part)
        if "default" in part:
            assert isinstance(part["default"], _TYPES[part["type"]])
            assert "enum" not in part or part["default"] in part["enum"]


def _check_with_jsonschema(schema: dict[str, Any]) -> None:
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        return
    Draft202012Validator.check_schema(schema)


def _check_structure(part: dict[str, Any]) -> None:
    """Check by hand what a meta-schema would."""
    if "anyOf" in part:
        for one in part["anyOf"]:
            _check_structure(one)
        return
    assert part["type"] in _TYPES
    if part["type"] == "array":
        assert 0 <= part["minItems"] <= part["maxItems"]
        _check_structure(part["items"])
    if part["type"] == "object":
        assert set(part.get("required", ())) <= part["properties"].keys()
        for inner in part["properties"].values():
            _check_structure(inner)


def test_the_example_of_the_documentation_takes_25_lines() -> None:
    import inspect

    module = inspect.getmodule(find_operation("Increase Brightness").function)
    assert module is not None
    assert len(inspect.getsource(module).splitlines()) <= 25
