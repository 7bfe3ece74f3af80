from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
from operator_specs import operator_data, parameter

from runstart.errors import Alert
from runstart.pipelines import Link, single_operator_plan
from runstart.specifications import FoundOperator, parse_operator_spec

PORT = {"label": "", "description": ""}


def make(name: str, inputs: list[str], outputs: list[str], **more: object) -> FoundOperator:
    ports = {
        "inputs": [PORT | {"name": f"in_{kind}", "type": kind} for kind in inputs],
        "outputs": [PORT | {"name": f"out_{kind}", "type": kind} for kind in outputs],
    }
    data = operator_data(id=str(uuid4()), label=name, **(ports | more))
    return FoundOperator(name, Path("operators") / name, parse_operator_spec(json.dumps(data), name))


SHIPPED = {
    "file-reader": make(
        "file-reader", [], ["bytes"], parameters=[parameter("files", type="str", default="", required=False)]
    ),
    "output-collector": make("output-collector", ["bytes"], [], parameters=[]),
}


def test_an_operator_stands_between_a_reader_and_a_collector() -> None:
    count = make("count", ["frame"], ["sparse_frame", "table"])
    plan = single_operator_plan(count, {"crop_to_x": "7"}, [Path("/data/a.h5"), Path("/other/b.h5")], SHIPPED)
    assert [stage.name for stage in plan.stages] == ["file-reader", "count", "output-collector"]
    assert plan.links == (
        Link("file-reader", "out_bytes", "count", "in_frame"),
        Link("count", "out_sparse_frame", "output-collector", "in_bytes"),
        Link("count", "out_table", "output-collector", "in_bytes"),
    )
    assert plan.stage("count").values["crop_to_x"] == 7
    assert plan.stage("file-reader").spec.outputs[0].type == "frame"


def test_each_file_is_a_mount_by_its_own_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    files = [Path("/data/a.h5"), Path("/other/a.h5"), Path("/other/files"), Path("b\n"), Path("/c/d/..")]
    reader = single_operator_plan(make("count", ["frame"], []), {}, files, SHIPPED).stages[0]
    assert reader.values == {
        "files": "a.h5\n2-a.h5\n2-files\nb_\nc",
        "a.h5": "/data/a.h5",
        "2-a.h5": "/other/a.h5",
        "2-files": "/other/files",
        "b_": f"{tmp_path}/b\n",
        "c": "/c",
    }
    mounts = [one.name for one in reader.spec.parameters if one.type == "mount"]
    assert mounts == ["a.h5", "2-a.h5", "2-files", "b_", "c"]
    assert [one.name for one in SHIPPED["file-reader"].spec.parameters] == ["files"]


def test_a_source_has_no_reader_and_a_sink_no_collector() -> None:
    source = single_operator_plan(make("make", [], ["frame"]), {}, [], SHIPPED)
    assert [stage.name for stage in source.stages] == ["make", "output-collector"]
    sink = single_operator_plan(make("show", ["frame"], []), {}, [Path("/a")], SHIPPED)
    assert [stage.name for stage in sink.stages] == ["file-reader", "show"]


def test_reader_and_collector_can_run_alone_themselves() -> None:
    plan = single_operator_plan(SHIPPED["file-reader"], {}, [], SHIPPED)
    assert [stage.name for stage in plan.stages] == ["file-reader", "output-collector"]


@pytest.mark.parametrize(
    ("operator", "files", "told"),
    [
        (make("make", [], ["frame"]), [Path("/a")], "make has no inputs, and takes no files"),
        (make("count", ["frame"], []), [], "count needs files for its input 'in_frame'"),
        (make("join", ["frame", "table"], []), [Path("/a")], r"several inputs \(in_frame, in_table\)"),
    ],
)
def test_files_that_do_not_fit_are_refused(operator: FoundOperator, files: list[Path], told: str) -> None:
    with pytest.raises(Alert, match=told):
        single_operator_plan(operator, {}, files, SHIPPED)


def test_what_does_not_ship_is_told() -> None:
    with pytest.raises(Alert, match="output-collector, which ships with Runstart"):
        single_operator_plan(make("make", [], ["frame"]), {}, [], {})
