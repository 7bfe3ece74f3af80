"""Pipelines as jobs: what the Launchpad asks for, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from toy_sessions import parameter, pipeline, port, toy_environ, write_operator, write_pipeline, write_toys

from definitions import build_definitions
from ops import define_pipeline_jobs, load_pipelines
from runstart.pipelines import find_pipelines
from runstart.specifications import find_operators


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_toys(tmp_path / "operators")


def load(folder: Path) -> tuple[dict[str, dg.JobDefinition], dict[str, str]]:
    pipelines, wrong = load_pipelines(find_pipelines([folder]), find_operators([folder]))
    return {job.name: job for job in define_pipeline_jobs(pipelines)}, wrong


def defaults_of(job: dg.JobDefinition) -> Any:
    validated = dg.validate_run_config(job, {})
    (op,) = validated["ops"].values()
    return op["config"]


def test_the_launchpad_asks_for_the_parameters_with_the_pipelines_values_as_defaults(folder: Path) -> None:
    set_to_9 = {"parameters": [parameter("messages", "int", 3, value=9)]}
    write_pipeline(folder, "row", pipeline([("counter", set_to_9), ("shower", {})]))
    jobs, wrong = load(folder)
    assert not wrong
    config = defaults_of(jobs["pipeline_row"])
    assert config["operators"] == {"counter": {"messages": 9}, "shower": {"keep": False, "breaks_on": 0}}
    assert (config["triggers"], config["keep_running"]) == ([], False)
    with pytest.raises(dg.DagsterInvalidConfigError, match="mesages"):
        dg.validate_run_config(jobs["pipeline_row"], {"operators": {"counter": {"mesages": 1}}})


def test_a_path_that_the_pipeline_leaves_open_has_to_be_given_with_each_run(folder: Path) -> None:
    path = parameter("path", "mount", "", required=True)
    write_operator(folder, "opener", "", outputs=[port("out")], parameters=[path])
    write_pipeline(folder, "open", pipeline([("opener", {}), ("shower", {})]))
    jobs, wrong = load(folder)
    assert not wrong
    with pytest.raises(dg.DagsterInvalidConfigError, match="path"):
        dg.validate_run_config(jobs["pipeline_open"], {})
    assert dg.validate_run_config(jobs["pipeline_open"], {"operators": {"opener": {"path": "/data/x"}}})


def test_triggers_are_chosen_from_those_that_there_are(folder: Path) -> None:
    trigger = {"name": "again", "label": "again", "mode": "single"}
    write_operator(folder, "puller", "", outputs=[port("out")], triggers=[trigger])
    write_pipeline(folder, "pulled", pipeline([("puller", {"triggers": [trigger]}), ("shower", {})]))
    jobs, _ = load(folder)
    assert dg.validate_run_config(jobs["pipeline_pulled"], {"triggers": ["puller:again"]})
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(jobs["pipeline_pulled"], {"triggers": ["puller:never"]})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "JSON"),
        ({"operators": []}, "no operators"),
        (pipeline([("counter", {"parameters": [parameter("messages", "int", -2)]}), ("shower", {})]), "messages"),
        (pipeline([("shower", {}), ("shower", {})]), "'out'"),
    ],
    ids=["no JSON", "empty", "wrong value", "no such port"],
)
def test_a_wrong_pipeline_has_no_job_and_is_told_and_the_others_are_there(
    folder: Path, content: object, said: str
) -> None:
    write_pipeline(folder, "good", pipeline([("counter", {}), ("shower", {})]))
    path = write_pipeline(folder, "wrong", content)
    jobs, wrong = load(folder)
    assert list(jobs) == ["pipeline_good"]
    assert str(path) in wrong["wrong"]
    assert said in wrong["wrong"]


def test_of_two_files_with_one_job_name_the_second_is_left_out(folder: Path) -> None:
    for name in ("a-b", "a_b"):
        write_pipeline(folder, name, pipeline([("counter", {}), ("shower", {})]))
    jobs, wrong = load(folder)
    assert list(jobs) == ["pipeline_a_b"]
    assert "a-b.json" in wrong["a_b"]


def test_what_is_left_out_breaks_no_code_location_and_says_why_on_its_page_and_in_the_log(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_operator(folder, "broken", "", outputs="none")
    write_operator(folder, "filer", "", inputs=[port("in")], parameters=[parameter("files", "str", "")])
    write_operator(folder, "finder", "", outputs=[port("out")], parameters=[parameter("files", "str", "")])
    write_pipeline(folder, "wrong", "{")
    definitions = build_definitions(toy_environ(folder, tmp_path))
    dg.Definitions.validate_loadable(definitions)
    repository = definitions.get_repository_def()
    names = {job.name for job in repository.get_all_jobs()}
    assert {"operator_counter", "operator_shower", "operator_finder", "probe_session"} <= names
    assert not {"operator_broken", "operator_filer", "pipeline_wrong"} & names
    node = repository.asset_graph.get(dg.AssetKey(["pipelines", "wrong"]))
    assert "no pipeline" in (node.description or "") or "JSON" in (node.description or "")
    told = " ".join(record.message for record in caplog.records)
    assert all(part in told for part in ("broken", "its parameter files", "wrong.json"))


def test_the_lineage_of_a_pipeline_is_its_graph(folder: Path, tmp_path: Path) -> None:
    write_pipeline(folder, "row", pipeline([("counter", {}), ("shower", {})]))
    graph = build_definitions(toy_environ(folder, tmp_path)).get_repository_def().asset_graph

    def parents(*path: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(dg.AssetKey(["pipelines", *path])).parent_keys}

    assert parents("row", "shower") == {"pipelines/row/counter"}
    assert parents("row", "counter") == set()
    assert parents("row") == {"pipelines/row/shower"}
