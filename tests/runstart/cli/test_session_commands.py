from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from operator_specs import operator_data
from pipeline_building import Builder
from session_kit import House, going, line
from typer.testing import CliRunner
from waiting import wait_until

from runstart.cli import app
from runstart.sessions import SessionRecord, new_session_id, read_records
from runstart.sessions.records import write_record
from runstart.storage import FileStore

SOURCE = """
from runstart.operators import BytesMessage, EndOfStream, MessageHeader, operator

left = list(range(7))

@operator
def source(inputs, parameters):
    if not left:
        raise EndOfStream
    return BytesMessage(MessageHeader(), str(left.pop(0) + int(parameters["offset"])).encode())
"""
SHOW = """
from runstart.operators import operator, publish

@operator
def show(inputs, parameters):
    publish("text/plain", bytes(inputs.data), f"number-{bytes(inputs.data).decode()}", keep=True)
"""
OFFSET = {
    "name": "offset",
    "type": "int",
    "default": 0,
    "label": "Offset",
    "description": "Added",
    "required": False,
    "minimum": 0,
}


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two operators and a pipeline of them, in which commands are run."""
    builder = Builder({"source": ("", "number"), "show": ("number", "")}, [("source", "show")])
    for name, parameters in (("source", [OFFSET]), ("show", [])):
        builder.operators[name] |= {"parameters": parameters, "tags": [], "triggers": [], "parallel_config": {}}
    operators = tmp_path / "operators"
    for name, code in (("source", SOURCE), ("show", SHOW)):
        (operators / name).mkdir(parents=True)
        (operators / name / "run.py").write_text(code)
        spec = builder.found()[name].spec.model_dump(mode="json")
        spec |= {
            "parameters": builder.operators[name]["parameters"],
            "tags": [],
            "triggers": [],
            "parallel_config": {},
        }
        (operators / name / "operator.json").write_text(json.dumps(spec))
    (operators / "pipelines").mkdir()
    (operators / "pipelines" / "numbers.json").write_text(json.dumps(builder.data()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("RUNSTART_OPERATORS", str(operators))
    monkeypatch.setenv("RUNSTART_OBJECT_STORE", f"file:{tmp_path / 'store'}")
    monkeypatch.delenv("RUNSTART_LAUNCHER", raising=False)
    return tmp_path


def test_pipeline_runs_by_its_name_with_the_values_that_are_set(folder: Path) -> None:
    ran = run("pipeline", "run", "numbers", "--set", "source.offset=100", "--json", "--out", folder / "shown")

    assert ran.exit_code == 0, ran.output
    assert sorted(path.name for path in (folder / "shown").iterdir()) == [
        f"number-{n}.txt" for n in range(100, 107)
    ]
    outcome = json.loads(ran.stdout)
    assert outcome["state"] == "finished"
    assert outcome["operators"]["show"]["finished"] == 7
    store = FileStore(folder / "store")
    published = f"sessions/{outcome['session_id']}/published/show/latest"
    assert store.get(published).data == b"106"
    shown = run("pipeline", "status", "--session", outcome["session_id"])
    assert "finished" in shown.stdout
    assert "show" in shown.stdout
    assert outcome["session_id"] in run("pipeline", "status").stdout
    assert json.loads(run("pipeline", "status", "--json").stdout)[0]["state"] == "finished"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nmbers"), "There is no pipeline 'nmbers'"),
        (("run", "numbers", "--set", "offset=1"), "OPERATOR.PARAMETER=VALUE"),
        (("run", "numbers", "--set", "source.offset=-1"), "offset"),
        (("run", "numbers", "--set", "sorce.offset=1"), "has no operator 'sorce'"),
        (("run", "numbers", "--trigger", "source"), "OPERATOR:TRIGGER"),
        (("run", "numbers", "--trigger", "source:go"), "source has no trigger 'go'"),
        (("stop",), "No session runs"),
        (("set", "source.offset=1"), "No session runs"),
        (("restart", "source", "--session", "nonsense"), "is no session"),
    ],
)
def test_mistakes_are_told_in_a_line(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = run("pipeline", *arguments)

    assert ran.exit_code == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.output


def test_several_sessions_have_to_be_told_apart_and_one_that_has_ended_takes_no_command(folder: Path) -> None:
    store = FileStore(folder / "store")
    for state in ("running", "queued", "failed"):
        write_record(store, SessionRecord(new_session_id(), "pipeline", "numbers", state=state))  # type: ignore[arg-type]
    ended = next(record.session_id for record in read_records(store) if record.state == "failed")

    assert "Several sessions run" in run("pipeline", "stop").stderr
    assert "has ended already" in run("pipeline", "stop", "--session", ended).stderr


def test_commands_reach_the_session_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path)
    monkeypatch.setenv("RUNSTART_OBJECT_STORE", f"file:{tmp_path / 'store'}")
    code = """
    @operator
    def reader(inputs, parameters, trigger=None):
        return message(parameters["add"])
    """
    reader = house.stage("reader", code, outputs=["out"], triggers=["read"])
    with going(house, line(reader, house.sink())) as session:
        wait_until(
            lambda: "running" in [status.state for status in house.reporter.statuses], "the start", timeout=30
        )
        assert run("pipeline", "set", "reader.add=5").stdout.strip() == "reader: add = 5."
        assert run("pipeline", "trigger", "reader", "read").exit_code == 0
        wait_until(lambda: house.numbers() == [5], "the number")
        refused = run("pipeline", "trigger", "reader", "write")
        assert refused.exit_code == 1
        assert "no trigger 'write'" in refused.stderr
        assert "restarted" in run("pipeline", "restart", "sink").stdout
        wait_until(lambda: "sink (replica 0) is ready again" in house.reporter.text, "the sink", timeout=30)
        assert "ends" in run("pipeline", "stop").stdout
        assert session.end().restarts == 1


UPPER = """
from runstart.operators import BytesMessage, operator, publish

@operator
def upper(inputs, parameters):
    data = bytes(inputs.data).upper() * parameters["times"]
    publish("image/svg+xml", b"<svg/>", "a picture")
    return BytesMessage(inputs.header, data)
"""


@pytest.fixture
def upper(folder: Path) -> Path:
    """An operator that is in no folder of operators."""
    times = {**OFFSET, "name": "times", "default": 1}
    port = {"name": "data", "label": "Data", "description": "Any", "type": "bytes"}
    own = folder / "mine" / "upper"
    own.mkdir(parents=True)
    (own / "run.py").write_text(UPPER)
    ports = {"inputs": [port], "outputs": [port]}
    spec = operator_data(label="Upper", image="mine/upper", parameters=[times], tags=[], triggers=[], **ports)
    (own / "operator.json").write_text(json.dumps(spec))
    return own


def test_operator_runs_on_files_and_its_outputs_and_pictures_are_saved(folder: Path, upper: Path) -> None:
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_bytes(name.encode() * 3)

    ran = run("operator", "run", upper, "a.txt", "b.txt", "--set", "times=2", "--out", "results")

    assert ran.exit_code == 0, ran.output
    saved = {path.name: path.read_bytes() for path in (folder / "results").iterdir()}
    assert saved == {"a.txt": b"AAAAAA", "b.txt": b"BBBBBB", "a picture.svg": b"<svg/>"}
    assert sorted(ran.stdout.split("\n")[:-1]) == sorted(f"results/{name}" for name in saved)


def test_message_that_breaks_the_operator_makes_the_command_fail_with_its_error(folder: Path, upper: Path) -> None:
    (folder / "a.txt").write_text("a")
    (upper / "run.py").write_text(UPPER.replace("data = ", "raise ValueError('no letters')  # "))

    ran = run("operator", "run", upper, "a.txt")

    assert ran.exit_code == 1
    assert "no letters" in ran.stderr
    assert "1 message could not be worked on" in ran.stderr


def test_operator_that_cannot_be_run_is_told(folder: Path, upper: Path) -> None:
    for arguments, said in (
        ((upper,), "needs files"),
        ((upper, "none.bin"), "does not exist"),
        (("uper",), "There is no operator 'uper'"),
        ((upper, upper / "run.py", "--set", "times"), "PARAMETER=VALUE"),
    ):
        ran = run("operator", "run", *arguments)
        assert ran.exit_code == 1
        assert said in ran.stderr
