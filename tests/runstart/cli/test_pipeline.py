from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pipeline_building import Builder, chain
from typer.testing import CliRunner

from runstart.cli import app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNSTART_OPERATORS", str(tmp_path / "operators"))
    for name, found in chain().found().items():
        (tmp_path / "operators" / name).mkdir(parents=True)
        (tmp_path / "operators" / name / "operator.json").write_text(found.spec.to_json())
    return tmp_path


def write(folder: Path, builder: Builder) -> Path:
    file = folder / "com.json"
    file.write_text(json.dumps({"data": builder.data()}))
    return file


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["pipeline", *arguments])


def test_a_right_pipeline_is_told_to_be_right(folder: Path) -> None:
    result = run("check", str(write(folder, chain())))
    assert result.exit_code == 0, result.output
    assert "com.json is right: 4 operators, 3 edges." in result.stdout
    assert "warning" not in result.stdout


def test_faults_are_told_each_in_a_line(folder: Path) -> None:
    builder = chain()
    builder.edges.pop(0)
    builder.operators["reduce"]["parallelism"] = 129
    result = run("check", str(write(folder, builder)))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "error: partial: nothing is wired to its input 'the_input' (BatchedFrames); wire an output to it.",
        "error: reduce: its parallelism is 129; allowed is 1 to 128.",
    ]


def test_an_operator_of_no_folder_is_a_warning(folder: Path) -> None:
    builder = chain()
    builder.operators["display"].update(spec_id="00000000-0000-0000-0000-000000000001", image="team/other")
    result = run("check", str(write(folder, builder)))
    assert result.exit_code == 0
    assert "warning: display (team/other) is in no folder here" in result.stdout


def test_a_picture_is_drawn_beside_the_file_or_where_it_is_wanted(folder: Path) -> None:
    file = write(folder, chain())
    assert run("draw", str(file)).stdout == f"Drew {folder / 'com.svg'}.\n"
    assert run("draw", str(file), "--out", "picture.svg").exit_code == 0
    assert (folder / "com.svg").read_text() == (folder / "picture.svg").read_text()
    assert ">BatchedFrames</text>" in (folder / "com.svg").read_text()


def test_a_wrong_pipeline_is_not_drawn(folder: Path) -> None:
    builder = chain()
    builder.edges.pop(0)
    result = run("draw", str(write(folder, builder)))
    assert result.exit_code == 1
    assert "partial: nothing is wired to its input" in result.stderr
    assert not (folder / "com.svg").exists()


@pytest.mark.parametrize("command", ["check", "draw"])
def test_what_is_no_pipeline_is_told_in_a_line(folder: Path, command: str) -> None:
    (folder / "com.json").write_text("[]")
    result = run(command, "com.json")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "com.json is no pipeline" in result.stderr


def test_a_picture_that_cannot_be_written_is_told(folder: Path) -> None:
    result = run("draw", str(write(folder, chain())), "--out", "none/picture.svg")
    assert "cannot be written: No such file or directory" in result.stderr


@pytest.mark.parametrize("command", ["check", "draw"])
def test_help_teaches_by_examples(command: str) -> None:
    assert f"runstart pipeline {command}" in run(command, "--help").stdout
