from __future__ import annotations

import itertools
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_building import Builder, chain, make_id

from runstart.errors import Alert
from runstart.pipelines import Link, find_pipelines, make_plan
from runstart.pipelines.plan import find_cycle, order_stages, stage_names

EDGES = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=12)


def test_a_plan_has_the_stages_in_the_order_of_their_messages() -> None:
    builder = chain()
    builder.operators = dict(reversed(builder.operators.items()))
    plan = make_plan(builder.pipeline(), "com", builder.found())
    assert [stage.name for stage in plan.stages] == ["reader", "partial", "reduce", "display"]
    assert plan.links[0] == Link("reader", "the_output", "partial", "the_input")
    stage = plan.stage("partial")
    assert (stage.id, stage.folder_name) == (UUID(make_id("partial")), "partial")
    assert stage.spec.inputs[0].type == "BatchedFrames"
    assert stage.values["crop_to_x"] == 255


@pytest.mark.parametrize(
    ("parallelism", "kind", "replicas"),
    [(None, "embarrassing", 4), (7, "embarrassing", 7), (1, "none", 1), (None, "none", 1)],
)
def test_replicas_are_four_unless_the_pipeline_says_how_many(parallelism: int, kind: str, replicas: int) -> None:
    builder = chain()
    builder.operators["partial"].update(parallelism=parallelism, parallel_config={"type": kind})
    assert make_plan(builder.pipeline(), "com").stage("partial").parallelism == replicas


def test_values_of_the_run_go_before_the_pipeline_s_and_its_before_the_operator_s() -> None:
    builder = chain()
    builder.operators["partial"]["parameters"][1].update(value=10)
    builder.operators["partial"]["parameters"][2].update(default=3)
    plan = make_plan(builder.pipeline(), "com", builder.found(), {"partial": {"crop_to_x": "20"}, "reader": {}})
    assert (plan.stage("partial").values["crop_to_x"], plan.stage("partial").values["contrast"]) == (20, 3.0)
    assert make_plan(builder.pipeline(), "com").stage("partial").values["crop_to_x"] == 10
    with pytest.raises(Alert, match="partial: parameter 'crop_to_x': -1 is below"):
        make_plan(builder.pipeline(), "com", builder.found(), {"partial": {"crop_to_x": -1}})
    with pytest.raises(Alert, match="no operator 'parital'"):
        make_plan(builder.pipeline(), "com", builder.found(), {"parital": {}})


def test_what_a_run_must_give_may_be_empty_in_the_file() -> None:
    builder = chain()
    builder.operators["reader"]["parameters"][4].update(default="")
    pipeline = builder.pipeline()
    assert make_plan(pipeline, "com", may_be_empty=True).stage("reader").values["raw_data_dir"] == ""
    with pytest.raises(Alert, match="reader: parameter 'raw_data_dir' is required and empty"):
        make_plan(pipeline, "com")
    assert (
        make_plan(pipeline, "com", None, {"reader": {"raw_data_dir": "/d"}}).stage("reader").values["raw_data_dir"]
        == "/d"
    )


def test_an_operator_is_found_by_its_id_or_else_by_its_image() -> None:
    builder = chain()
    builder.operators["partial"]["spec_id"] = make_id("of another place")
    builder.operators["reduce"].update(spec_id=make_id("of another place"), image="team/other")
    plan = make_plan(builder.pipeline(), "com", builder.found())
    assert [stage.folder_name for stage in plan.stages] == ["reader", "partial", None, "display"]


def test_a_wrong_pipeline_has_no_plan() -> None:
    builder = chain()
    builder.edges.pop()
    with pytest.raises(Alert, match="display: nothing is wired to its input"):
        make_plan(builder.pipeline(), "com", builder.found())


def test_operators_with_one_label_get_names_of_their_own() -> None:
    labels = [
        "Center of mass (partial)",
        "center-of-mass partial",
        "Center of mass (partial)",
        "2",
        "¿?",
        "",
        "a" * 60,
    ]
    assert stage_names(labels) == [
        "center-of-mass-partial",
        "center-of-mass-partial-2",
        "center-of-mass-partial-3",
        "2",
        "operator",
        "operator-2",
        "a" * 40,
    ]
    builder = Builder({"one": ("", "x"), "-one": ("x", "")}, [("one", "-one")])
    builder.operators["-one"]["image"] = "team/one"
    assert [stage.name for stage in make_plan(builder.pipeline(), "two").stages] == ["one", "one-2"]


@given(EDGES)
def test_either_all_is_ordered_or_there_is_a_cycle_of_edges(edges: list[tuple[str, str]]) -> None:
    ordered, cycle = order_stages("abcdef", edges), find_cycle("abcdef", edges)
    place = {name: number for number, name in enumerate(ordered)}
    assert all(place[source] < place[target] for source, target in edges if target in place)
    assert (set(ordered) == set("abcdef")) == (cycle == [])
    assert all(step in edges for step in itertools.pairwise(cycle))
    assert not cycle or cycle[0] == cycle[-1]


def test_pipelines_are_found_by_the_name_of_their_file(tmp_path: Path) -> None:
    for folder in ("mine", "shipped"):
        (tmp_path / folder / "pipelines").mkdir(parents=True)
        (tmp_path / folder / "pipelines" / "com.json").touch()
    (tmp_path / "shipped" / "pipelines" / "bf.json").touch()
    (tmp_path / "shipped" / "pipelines" / "README.md").touch()
    found = find_pipelines([tmp_path / "mine", tmp_path / "shipped", tmp_path / "none"])
    assert found == {
        "bf": tmp_path / "shipped/pipelines/bf.json",
        "com": tmp_path / "mine/pipelines/com.json",
    }
