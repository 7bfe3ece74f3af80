from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runstart.errors import Alert
from runstart.specifications import (
    NewOperator,
    new_spec,
    read_operator_spec,
    read_parameter,
    read_port,
    read_trigger,
    validate_operator,
    write_operator,
)

ROOT = Path(__file__).parents[3]
ALL_KINDS = (
    "sigma:float=2.5,0,10",
    "mode:str-enum=fast,exact",
    "on:bool=true",
    "suffix:str",
    "flat.npy:mount",
    # Names that Python, or its built-ins, have already, and two that become one.
    "lambda:int=3",
    "min:int",
    "l:int",
    "meta:str=x",
    "a-b:int",
    "a_b:int",
)


def make(name: str, inputs: str = "", outputs: str = "", triggers: str = "", **more: Any) -> NewOperator:
    return NewOperator(
        name=name,
        inputs=tuple(map(read_port, inputs.split())),
        outputs=tuple(map(read_port, outputs.split())),
        triggers=tuple(map(read_trigger, triggers.split())),
        **({"parameters": tuple(map(read_parameter, ALL_KINDS))} | more),
    )


NEW = [
    make("nothing-said", parameters=()),
    make(
        "transform", "in:frame", "out:image", description='Says "hello"\\n, and """more""" \\ ' + "very long " * 20
    ),
    make("many-ports", "a:frame b:table", "c:frame d:image"),
    make("sink", "in:frame"),
    make("source", "", "out:frame"),
    make("source-of-two", "", "a:frame b:frame", parameters=()),
    make("pulled", "", "out:frame", "read_now:drain once"),
    make("pulled-sink", "", "", "reset again:drain"),
    make(
        "pulled-transform",
        "in:frame",
        "a:frame b:frame",
        "read.now:drain go-on",
        parallel="embarrassing",
        tags=("gpu",),
    ),
    make("operator", "inputs:bytes", "outputs:bytes", dependencies=("scipy>=1.11", "numpy[extra]>=1,<3")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("new") / "operators"
    for new in NEW:
        write_operator(new, parent)
    return parent


@pytest.mark.parametrize("new", NEW, ids=lambda new: new.name)
def test_a_new_operator_is_right(folder: Path, new: NewOperator) -> None:
    assert [finding.text for finding in validate_operator(folder / new.name)] == []
    spec = read_operator_spec(folder / new.name)
    assert [one.name for one in spec.parameters] == [one.name for one in new.parameters]
    assert spec.image == f"localhost/runstart/{new.name}:latest"


def test_the_tests_of_new_operators_pass(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(folder)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "passed" in ended.stdout


@pytest.mark.parametrize("rules", [["--isolated"], []], ids=["anywhere", "here"])
def test_new_operators_pass_ruff(folder: Path, rules: list[str]) -> None:
    # As if the folder were this project's, whose rules are more.
    shutil.copy(ROOT / "pyproject.toml", folder.parent)
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *rules, folder.name]
        ended = subprocess.run(ruff, check=False, capture_output=True, text=True, cwd=folder.parent)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_two_operators_have_two_ids() -> None:
    assert new_spec(NewOperator("one")).id != new_spec(NewOperator("one")).id


def test_without_ports_it_takes_and_gives_bytes() -> None:
    spec = new_spec(NewOperator("count-electrons"))
    assert [port.type for port in (*spec.inputs, *spec.outputs)] == ["bytes", "bytes"]
    assert spec.label == "Count electrons"


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    (tmp_path / "count" / "run.py").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("count", "link"):
        with pytest.raises(Alert, match="is there already"):
            write_operator(NewOperator(name), tmp_path)
    assert (tmp_path / "count" / "run.py").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["../out", "/out", "a/b", "..", "", "Out", "-x"])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(Alert, match="no name of an operator"):
        write_operator(NewOperator(name), tmp_path / "operators")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"registry": "Not A Registry"}, "The image .* is none"),
        ({"base_image": "a\nRUN evil"}, "The base image .* is none"),
        ({"dependencies": ("scipy; rm -rf /",)}, "is no Python package"),
        ({"dependencies": ("-r/etc/passwd",)}, "is no Python package"),
        ({"inputs": (read_port("a"), read_port("a"))}, "inputs: 'a' is there more than once"),
        (
            {"parameters": (read_parameter("a:int"), read_parameter("a:str"))},
            "parameters: 'a' is there more than once",
        ),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_written(
    tmp_path: Path, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(Alert, match=told):
        write_operator(NewOperator("count", **more), tmp_path / "operators")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_alert(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Alert, match="cannot be written"):
        write_operator(NewOperator("count"), tmp_path / "file")
