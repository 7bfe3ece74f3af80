from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_building import Builder, chain, make_id

from runstart.errors import Alert
from runstart.pipelines import Pipeline, parse_pipeline, pipeline_to_json, read_pipeline

TYPES = st.sampled_from(["", "frame", "BatchedFrames", "bytes"])


@st.composite
def _pipelines(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.text(min_size=1, max_size=6), max_size=5, unique=True))
    builder = Builder({name: (draw(TYPES), draw(TYPES)) for name in names}, [])
    for operator in builder.operators.values():
        operator["parallelism"] = draw(st.none() | st.integers(1, 128))
        operator["unknown"] = draw(st.none() | st.integers() | st.text(max_size=3))
        operator["parameters"][1]["value"] = draw(st.none() | st.integers(0, 576))
    for port in builder.ports.values():
        port["type"] = draw(st.none() | TYPES)
    ends = [
        draw(st.tuples(st.sampled_from(names), st.sampled_from(names)))
        for _ in range(draw(st.integers(0, 4)))
        if names
    ]
    builder.edges = [builder.edge(*pair) for pair in ends]
    return builder.data() | draw(st.dictionaries(st.sampled_from(["revision_id", "positions"]), st.integers()))


@given(_pipelines(), st.booleans())
def test_what_is_written_is_read_again(data: dict[str, Any], wrapped: bool) -> None:
    pipeline = Pipeline.model_validate(data)
    assert parse_pipeline(pipeline_to_json(pipeline, wrapped=wrapped), "again") == pipeline


def test_the_reference_s_form_is_kept_to_the_field() -> None:
    written = json.loads(pipeline_to_json(chain().pipeline()))
    assert written["edges"][0] == {
        "input_id": make_id("reader", "output"),
        "output_id": make_id("partial", "input"),
    }
    assert written["ports"][0] == {
        "id": make_id("reader", "output"),
        "node_type": "port",
        "port_type": "output",
        "canonical_operator_id": make_id("reader"),
        "portkey": "the_output",
    }
    operator = written["operators"][1]
    assert operator["inputs"] == [make_id("partial", "input")]
    assert (operator["node_type"], operator["spec_id"]) == ("operator", make_id("spec", "partial"))


def test_a_pipeline_may_stand_in_data(tmp_path: Path) -> None:
    data = chain().data()
    (tmp_path / "bare.json").write_text(json.dumps(data))
    (tmp_path / "wrapped.json").write_text(json.dumps({"data": data, "revision_id": 3}))
    assert read_pipeline(tmp_path / "bare.json") == read_pipeline(tmp_path / "wrapped.json")


@pytest.mark.parametrize(
    ("place", "key", "value", "told"),
    [
        ("operators", "id", "seven", "operator 'reader', id is 'seven', which is no UUID"),
        ("operators", "inputs", ["x"], "operator 'reader', input number 1 is 'x', which is no UUID"),
        ("operators", "parallelism", "many", "operator 'reader', parallelism is 'many'"),
        (
            "operators",
            "parameters",
            [{"name": "size", "type": "int"}],
            "operator 'reader', parameter 'size', label is",
        ),
        ("ports", "port_type", "both", "port_type is 'both'; allowed are 'input' or 'output'"),
        ("ports", "portkey", None, "portkey is None; a text is needed"),
        ("edges", "output_id", None, "edge number 1, output_id is None"),
    ],
)
def test_a_wrong_form_is_told_by_operator_and_field(place: str, key: str, value: Any, told: str) -> None:
    data = chain().data()
    data[place][0][key] = value
    with pytest.raises(Alert) as caught:
        parse_pipeline(json.dumps(data), "scan.json")
    assert str(caught.value).startswith("scan.json: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "7", "{}", '{"data": []}', '{"data": {}}', '{"operators": 3}'])
def test_what_is_no_pipeline_is_an_alert(text: str) -> None:
    with pytest.raises(Alert, match=r"scan\.json"):
        parse_pipeline(text, "scan.json")


def test_a_missing_file_is_an_alert(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="cannot be read"):
        read_pipeline(tmp_path / "none.json")
