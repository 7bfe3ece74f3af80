from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from operator_specs import operator_data, parameter

from runstart.errors import Alert
from runstart.specifications import (
    OperatorSpec,
    check_values,
    missing_values,
    parameters_json_schema,
    parse_operator_spec,
    value_troubles,
)

DEFAULTS = {
    "suffix": "_counted",
    "crop_to_x": 255,
    "contrast": 2.0,
    "flip": True,
    "raw_data_dir": "/data",
    "colormap": "gray",
}


@pytest.fixture
def spec() -> OperatorSpec:
    return parse_operator_spec(json.dumps(operator_data()), "count")


def test_what_is_not_given_is_the_default(spec: OperatorSpec) -> None:
    assert check_values(spec, {}, "count") == DEFAULTS
    assert check_values(spec, {"crop_to_x": "7", "flip": None}, "count") == DEFAULTS | {"crop_to_x": 7}


def test_a_value_of_the_runtime_form_goes_before_the_default(spec: OperatorSpec) -> None:
    spec.parameters[1].value = 9
    assert check_values(spec, {}, "count")["crop_to_x"] == 9
    assert parameters_json_schema(spec)["properties"]["crop_to_x"]["default"] == 9


def test_all_that_is_wrong_is_told_by_operator_parameter_and_value(spec: OperatorSpec) -> None:
    with pytest.raises(Alert) as caught:
        check_values(spec, {"crop_to_x": 1000, "colormap": "jet", "contrats": 1, "whatever": 1}, "count")
    told = str(caught.value)
    assert told.startswith("count: ")
    assert "parameter 'crop_to_x': 1000 is above the largest; allowed is a whole number from 0 to 576" in told
    assert "parameter 'colormap': 'jet' is not among the options; allowed are gray, viridis" in told
    assert "there is no parameter 'contrats'; did you mean 'contrast'?" in told
    assert "there is no parameter 'whatever'; allowed are suffix, crop_to_x" in told


@pytest.mark.parametrize(("values", "missing"), [({}, True), ({"folder": ""}, True), ({"folder": "/data"}, False)])
def test_a_required_path_that_is_empty_has_to_be_given(values: dict[str, str], missing: bool) -> None:
    data = operator_data(parameters=[parameter("folder", type="mount", default="")])
    spec = parse_operator_spec(json.dumps(data), "read")
    assert value_troubles(spec, values) == []
    assert bool(missing_values(spec, values)) is missing
    assert parameters_json_schema(spec)["required"] == ["folder"]
    assert check_values(spec, values, "read", may_be_empty=True)["folder"] == values.get("folder", "")
    if missing:
        with pytest.raises(Alert, match="read: parameter 'folder' is required and empty; allowed is a path"):
            check_values(spec, values, "read")


def test_a_text_that_is_not_required_may_be_empty() -> None:
    data = operator_data(parameters=[parameter("suffix", default="", required=False)])
    spec = parse_operator_spec(json.dumps(data), "read")
    assert check_values(spec, {}, "read") == {"suffix": ""}
    assert parameters_json_schema(spec)["required"] == []


@pytest.mark.parametrize(
    ("values", "is_right"),
    [
        ({}, True),
        (DEFAULTS, True),
        ({"crop_to_x": 577}, False),
        ({"crop_to_x": 1.5}, False),
        ({"flip": 7}, False),
        ({"colormap": "jet"}, False),
        ({"other": 1}, False),
    ],
)
def test_the_schema_of_values_agrees_with_the_check(
    spec: OperatorSpec, values: dict[str, Any], is_right: bool
) -> None:
    schema = parameters_json_schema(spec)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(values) is is_right
    assert (value_troubles(spec, values) == []) is is_right
