from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from operator_specs import write_operator_json
from typer.testing import CliRunner

from runstart.cli import app
from runstart.specifications import operator_json_schema, read_operator_spec

ANSWERS = [
    "Blur_Images",
    "blur-images",
    "",
    "Blurs.",
    "in:image",
    "",
    "out",
    "",
    "sigma:flaot=1",
    "sigma:float=1",
    "",
    "",
    "gpu",
    "",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("RUNSTART_OPERATORS", str(tmp_path / "operators"))
    return tmp_path / "operators"


def run(*arguments: str, answers: list[str] | None = None) -> Any:
    return CliRunner().invoke(app, ["operator", *arguments], input="".join(f"{line}\n" for line in answers or []))


def test_a_new_operator_is_asked_for_and_shown_before_it_is_written(folder: Path) -> None:
    result = run("new", answers=[*ANSWERS, "y"])
    assert result.exit_code == 0, result.output
    assert "'Blur_Images' is no name of an operator" in result.output
    assert "is of the type 'flaot'" in result.output
    spec = read_operator_spec(folder / "blur-images")
    assert (spec.label, spec.description) == ("Blur images", "Blurs.")
    assert [(port.name, port.type) for port in (*spec.inputs, *spec.outputs)] == [("in", "image"), ("out", "bytes")]
    assert [(one.name, one.default) for one in spec.parameters] == [("sigma", 1.0)]
    assert [tag.value for tag in spec.tags] == ["gpu"]
    assert f"{Path('operators/blur-images')}" in result.output


def test_nothing_is_written_without_a_yes(folder: Path) -> None:
    result = run("new", answers=[*ANSWERS, "n"])
    assert result.exit_code == 1
    assert not folder.exists()


def test_flags_answer_all_questions(folder: Path) -> None:
    flags = [
        "--name",
        "read-folder",
        "--output",
        "frames:frame",
        "--parameter",
        "folder:mount",
        "--trigger",
        "go:drain",
    ]
    result = run("new", "--yes", *flags, "--tag", "gpu", "-p", "embarrassing", "-l", "Read", "-d", "Reads.")
    assert result.exit_code == 0, result.output
    assert "pytest operators/read-folder" in result.output
    spec = read_operator_spec(folder / "read-folder")
    assert (spec.label, spec.description, spec.is_parallel, spec.is_source) == ("Read", "Reads.", True, True)
    assert (spec.triggers[0].mode, spec.tags[0].value, spec.parameters[0].type) == ("drain", "gpu", "mount")


def test_the_image_is_made_as_the_flags_say(folder: Path) -> None:
    flags = ["--registry", "registry/team", "--base-image", "team/base:3", "--dependencies", "scipy>=1.11, numpy"]
    result = run("new", "--yes", "-n", "blur", *flags)
    assert result.exit_code == 0, result.output
    assert read_operator_spec(folder / "blur").image == "registry/team/blur:latest"
    lines = (folder / "blur" / "Containerfile").read_text().splitlines()
    assert lines[0] == "FROM team/base:3"
    assert json.loads(lines[2].removeprefix("RUN "))[-2:] == ["scipy>=1.11", "numpy"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "A new operator needs a name. Give it with --name."),
        (["-n", "../out"], "'../out' is no name of an operator."),
        (["-n", "blur", "--input", "a b"], "'a b' does not begin with a name"),
        (["-n", "blur", "--parameter", "mode:str-enum"], "has no options"),
        (["-n", "blur", "--dependencies", "a; b"], "'a; b' is no Python package"),
    ],
)
def test_a_mistake_is_told_in_a_line(folder: Path, flags: list[str], told: str) -> None:
    result = run("new", "--yes", *flags)
    assert result.exit_code == 1
    assert told in result.stderr
    assert not folder.exists()


def test_an_operator_outside_the_known_folders_is_told_how_to_be_found(tmp_path: Path) -> None:
    assert "export RUNSTART_OPERATORS" not in run("new", "--yes", "-n", "blur").output
    assert (
        f"export RUNSTART_OPERATORS={tmp_path / 'mine'}" in run("new", "--yes", "-n", "blur", "-o", "mine").output
    )


def test_validate_tells_errors_and_warnings(folder: Path) -> None:
    run("new", "--yes", "-n", "blur", "--parameter", "sigma:float")
    assert run("validate", str(folder / "blur")).stdout.splitlines() == ["blur: right"]
    (folder / "blur" / "run.py").write_text("@operator\ndef blur(inputs, parameters): ...\n")
    result = run("validate", str(folder / "blur" / "operator.json"))
    assert (result.exit_code, result.stdout.count("warning: run.py does not use the parameter 'sigma'")) == (0, 1)
    (folder / "blur" / "Containerfile").unlink()
    result = run("validate", str(folder / "blur"))
    assert result.exit_code == 1
    assert "error: There is no Containerfile" in result.stdout


def test_validate_looks_at_every_operator(folder: Path) -> None:
    run("new", "--yes", "-n", "blur")
    write_operator_json(folder / "broken", label=7)
    result = run("validate")
    assert result.exit_code == 1
    assert {"blur: right", "broken: wrong"} <= set(result.stdout.splitlines())


def test_list_shows_what_there_is_and_what_was_left_out(folder: Path) -> None:
    write_operator_json(folder / "count-electrons")
    write_operator_json(folder / "broken", id=str(uuid4()), label=7)
    result = run("list")
    assert result.exit_code == 0, result.output
    for text in ("count-electrons", "frame", "sparse_frame"):
        assert text in result.stdout
    assert "left out: " in result.stderr
    assert "broken/operator.json" in result.stderr


def test_show_tells_ports_parameters_and_replicas(folder: Path) -> None:
    write_operator_json(folder / "count-electrons")
    result = run("show", "count-electrons")
    assert result.exit_code == 0, result.output
    for text in ("input in", "output out", "crop_to_x", "int = 255", "gray|viridis = gray", "many"):
        assert text in result.stdout


def test_list_is_json_for_programs(folder: Path) -> None:
    write_operator_json(folder / "count-electrons")
    told = json.loads(run("list", "--json").stdout)
    assert told["operators"]["count-electrons"]["label"] == "Count electrons"
    assert told["troubles"] == []


def test_schema_prints_the_json_schema() -> None:
    assert json.loads(run("schema").stdout) == operator_json_schema()


def test_build_finds_an_operator_by_name_or_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    monkeypatch.setattr(
        "runstart.specifications.build_image", lambda *arguments: built.append(arguments) or "team/count"
    )
    write_operator_json(folder / "count-electrons")
    for name in ("count-electrons", str(folder / "count-electrons")):
        result = run("build", name, "--engine", "podman", "--tag", "team/count")
        assert (result.exit_code, result.stdout) == (0, "Built team/count.\n")
    assert [(found.folder, *more) for found, *more in built] == [
        (folder / "count-electrons", "podman", "team/count")
    ] * 2


@pytest.mark.parametrize(
    ("name", "told"), [("count-elektrons", "Did you mean count-electrons?"), ("xyz", "See them:")]
)
def test_an_operator_that_there_is_not_is_told(folder: Path, name: str, told: str) -> None:
    write_operator_json(folder / "count-electrons")
    result = run("build", name)
    assert result.exit_code == 1
    assert told in result.stderr


def test_an_operator_that_cannot_be_read_is_told_with_the_reason(folder: Path) -> None:
    write_operator_json(folder / "broken", label=7)
    assert "label is 7; a text is needed" in run("build", "broken").stderr


@pytest.mark.parametrize("command", ["new", "validate", "list", "show", "schema", "build"])
def test_help_teaches_by_examples(command: str) -> None:
    assert f"runstart operator {command}" in run(command, "--help").stdout
