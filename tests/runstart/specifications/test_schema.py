from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from operator_specs import operator_data, parameter

from runstart.errors import Alert
from runstart.specifications import operator_json_schema, parse_operator_spec

PUBLISHED = Path(__file__).parents[3] / "docs" / "operator.schema.json"


def test_the_published_schema_is_current() -> None:
    # Otherwise: runstart operator schema > docs/operator.schema.json
    assert json.loads(PUBLISHED.read_text()) == operator_json_schema()


@pytest.mark.parametrize(
    "more",
    [
        {},
        dict.fromkeys(("inputs", "outputs", "parameters", "tags", "triggers", "parallel_config")),
        {"parameters": [parameter("crop_to_x", default=3), parameter("flip", default=False)]},
        {"anything": 1},
        {"id": 7},
        {"inputs": [{"name": "in"}]},
        {"parameters": [parameter("size", type="int8", default=1)]},
        {"parameters": [parameter("colormap", options=None)]},
        {"triggers": [{"name": "go", "label": "", "mode": "twice"}]},
    ],
)
def test_the_schema_agrees_with_the_reader(more: dict[str, Any]) -> None:
    data = operator_data(**more)
    try:
        parse_operator_spec(json.dumps(data), "count")
    except Alert:
        is_right = False
    else:
        is_right = True
    schema = operator_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(data) is is_right
