"""What all operators that ship have in common: they are valid, documented, and wired rightly in the pipelines."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from scan_messages import OPERATORS, run_py

from runstart.operators.loading import loaded_program
from runstart.pipelines import check_pipeline, make_plan, read_pipeline
from runstart.specifications import find_operators
from runstart.specifications.validation import validate_operator

FOUND = find_operators([OPERATORS])
PIPELINES = sorted((OPERATORS / "pipelines").glob("*.json"))


def test_no_folder_is_left_out() -> None:
    troubles: list[str] = []
    find_operators([OPERATORS], troubles)
    assert troubles == []
    assert set(FOUND) == {path.parent.name for path in OPERATORS.glob("*/run.py")}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_each_is_valid_and_loads(name: str) -> None:
    assert validate_operator(FOUND[name].folder) == []
    with loaded_program(run_py(name)) as program:
        assert program.note.takes_trigger == bool(FOUND[name].spec.triggers)


@pytest.mark.parametrize("name", sorted(FOUND))
def test_each_readme_names_every_port_parameter_and_trigger(name: str) -> None:
    spec = FOUND[name].spec
    text = (FOUND[name].folder / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`]+)`", text))
    wanted = [*spec.inputs, *spec.outputs, *spec.parameters, *spec.triggers]
    assert [one.name for one in wanted if one.name not in named] == []


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_each_pipeline_is_right_and_says_of_its_operators_what_they_say(path: Path) -> None:
    pipeline = read_pipeline(path)
    check_pipeline(pipeline, FOUND)
    by_id = {found.spec.id: found.spec for found in FOUND.values()}
    for operator in pipeline.operators:
        spec = by_id[operator.spec_id]
        plain = [parameter.model_copy(update={"value": None}) for parameter in operator.parameters]
        assert (plain, operator.image, operator.triggers) == (spec.parameters, spec.image, spec.triggers)


def test_the_centre_of_mass_is_a_pipeline_of_four_operators() -> None:
    pipeline = read_pipeline(OPERATORS / "pipelines" / "center_of_mass.json")
    plan = make_plan(pipeline, "center_of_mass", FOUND, may_be_empty=True)
    assert [(stage.folder_name, stage.parallelism) for stage in plan.stages] == [
        ("counted-data-reader", 1),
        ("center-of-mass-partial", 4),
        ("center-of-mass-reduce", 1),
        ("image-display", 1),
    ]


_LOAD_ALL = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from pathlib import Path
from runstart.operators.loading import load_program
for run_py in sys.argv[2:]:
    load_program(Path(run_py))
from runstart.frame_files import batched, hdf5_file, mib_file, numpy_file, raw, tiff_file
from runstart.frame_messages import array_message, picture_of
import numpy
picture_of(array_message(numpy.ones((2, 3))))
"""


def test_operators_need_no_library_that_their_image_does_not_have() -> None:
    project = OPERATORS.parent / "pyproject.toml"
    place = importlib.util.spec_from_file_location("requirements", OPERATORS / "base" / "requirements.py")
    assert place is not None
    assert place.loader is not None
    requirements = importlib.util.module_from_spec(place)
    place.loader.exec_module(requirements)
    assert [re.split("[<>=]", one)[0] for one in requirements.needed(project)] == list(requirements.NEEDED)
    listed = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.split(r"[^A-Za-z0-9_-]", one, maxsplit=1)[0] for one in listed} - set(requirements.NEEDED)
    modules = {"kafka-python": "kafka", "pyepics": "epics", "prometheus-client": "prometheus_client"}
    absent = ",".join(modules.get(name, name.replace("-", "_")) for name in names)
    runs = [str(run_py(name)) for name in FOUND]
    ended = subprocess.run(
        [sys.executable, "-c", _LOAD_ALL, absent, *runs], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_ids_are_unique_in_the_pipelines_too() -> None:
    found = [
        one["id"]
        for path in PIPELINES
        for kind in ("operators", "ports")
        for one in json.loads(path.read_text())[kind]
    ]
    assert len(found) == len(set(found))
