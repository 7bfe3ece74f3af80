from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_specs import OPERATOR_ID, operator_data, parameter, write_operator_json

from runstart.errors import Alert
from runstart.specifications import OperatorSpec, parse_operator_spec, read_operator_spec

WORDS = st.text(min_size=1, max_size=8)


def parse(**more: Any) -> OperatorSpec:
    return parse_operator_spec(json.dumps(operator_data(**more)), "count/operator.json")


def test_all_that_an_operator_may_have_is_read() -> None:
    spec = parse()
    assert (spec.id, spec.label, spec.inputs[0].type, spec.outputs[0].name) == (
        OPERATOR_ID,
        "Count electrons",
        "frame",
        "out",
    )
    assert [one.type for one in spec.parameters] == ["str", "int", "float", "bool", "mount", "str-enum"]
    assert (spec.tags[0].value, spec.triggers[0].mode, spec.is_parallel) == ("gpu", "drain", True)


def test_null_lists_are_empty_and_a_trigger_is_single() -> None:
    nothing = dict.fromkeys(("inputs", "outputs", "parameters", "tags", "parallel_config"))
    spec = parse(**nothing, triggers=[{"name": "go", "label": "Go", "description": None}])
    assert spec.inputs == spec.outputs == spec.parameters == spec.tags == []
    assert (spec.is_parallel, spec.is_source, spec.triggers[0].mode) == (False, True, "single")
    assert {"inputs", "outputs", "parameters", "tags", "parallel_config"}.isdisjoint(json.loads(spec.to_json()))


def test_unknown_fields_are_kept() -> None:
    ports = [{"name": "in", "label": "", "description": "", "type": "frame", "color": "red"}]
    spec = parse(inputs=ports, parameters=[parameter("flip", hint=[1])], version={"major": 2})
    again = json.loads(parse_operator_spec(spec.to_json(), "again").to_json())
    assert (again["version"], again["inputs"][0]["color"], again["parameters"][0]["hint"]) == (
        {"major": 2},
        "red",
        [1],
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"id": "seven"}, "id is 'seven', which is no UUID"),
        ({"label": 7}, "label is 7; a text is needed"),
        ({"image": ""}, "image is empty"),
        ({"inputs": "frames"}, "inputs is 'frames'; a list is needed"),
        ({"inputs": [{"name": "in", "label": "", "description": ""}]}, "input 'in', type is missing"),
        (
            {"outputs": [{"name": "a", "label": "", "description": "", "type": "b"}] * 2},
            "outputs: 'a' is there more than",
        ),
        (
            {"parameters": [parameter("crop_to_x", default="abc")]},
            "parameter 'crop_to_x', default: 'abc' is no whole",
        ),
        ({"parameters": [parameter("colormap", default="jet")]}, "allowed are gray, viridis"),
        (
            {"parameters": [parameter("size", type="int8", default=1)]},
            "parameter 'size' is of the kind 'int8'; allowed",
        ),
        ({"parameters": [parameter("size", default=1)]}, "parameter 'size' has no type"),
        ({"parameters": [parameter("flip", required=None)]}, "parameter 'flip', required is None"),
        ({"parameters": [parameter("flip"), parameter("flip")]}, "parameters: 'flip' is there more than once"),
        ({"parameters": [7]}, "parameter number 1 is 7"),
        (
            {"triggers": [{"name": "go", "label": "", "mode": "twice"}]},
            "trigger 'go', mode is 'twice'; allowed are",
        ),
        (
            {"parallel_config": {"type": "some"}},
            "parallel_config, type is 'some'; allowed are 'none' or 'embarrassing'",
        ),
        ({"tags": [{}]}, "tag number 1, value is missing"),
    ],
)
def test_what_is_wrong_is_told_by_name(more: dict[str, Any], told: str) -> None:
    with pytest.raises(Alert) as caught:
        parse(**more)
    assert str(caught.value).startswith("count/operator.json: ")
    assert told in str(caught.value)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(Alert) as caught:
        parse(id="seven", parameters=[parameter("flip", default=3), parameter("contrast", default="x")])
    assert all(word in str(caught.value) for word in ("seven", "'flip'", "'contrast'"))


@pytest.mark.parametrize("text", ["", "{", "\xff", "[]", "7", "null"])
def test_what_is_no_operator_is_an_alert(text: str) -> None:
    with pytest.raises(Alert, match=r"operator\.json"):
        parse_operator_spec(text.encode("latin1"), "operator.json")


def test_an_operator_is_read_from_its_folder_or_file(tmp_path: Path) -> None:
    file = write_operator_json(tmp_path / "count")
    assert read_operator_spec(file) == read_operator_spec(file.parent)
    with pytest.raises(Alert, match="cannot be read"):
        read_operator_spec(tmp_path)


@st.composite
def _parameters(draw: st.DrawFn) -> dict[str, Any]:
    kind, default = draw(
        st.one_of(
            st.tuples(st.sampled_from(["str", "str-enum"]), WORDS),
            st.tuples(st.just("int"), st.integers(-(2**62), 2**62)),
            st.tuples(st.just("float"), st.floats(allow_nan=False, allow_infinity=False)),
            st.tuples(st.just("bool"), st.booleans()),
        )
    )
    options = {"options": [default, *draw(st.lists(WORDS, max_size=2))]} if kind == "str-enum" else {}
    return parameter(draw(WORDS), type=kind, default=default, required=draw(st.booleans()), **options)


@given(
    st.lists(_parameters(), max_size=4, unique_by=lambda one: one["name"]),
    st.lists(WORDS, max_size=3, unique=True),
    st.dictionaries(st.text(min_size=3, max_size=5).map("x-".__add__), st.integers()),
)
def test_what_is_written_is_read_again(parameters: Any, names: list[str], unknown: dict[str, int]) -> None:
    ports = [{"name": name, "label": name, "description": "", "type": name} for name in names]
    spec = parse(parameters=parameters, inputs=ports, **unknown)
    assert parse_operator_spec(spec.to_json(), "again") == spec
