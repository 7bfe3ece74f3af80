"""`python -m runstart.operators run.py` without a session, and the texts of orders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from runstart.errors import Alert
from runstart.operators.order import read_order

SOURCE = """
import time
from pathlib import Path
from runstart.operators import *

told = []

@dependencies
def things():
    yield
    Path("torn down").touch()

@operator
def source(inputs, parameters):
    if told:
        raise EndOfStream
    told.append(1)
    if parameters["count"] == 99:
        Path("begun").touch()
        time.sleep(60)
    print(sorted(parameters.items()), (DATA_DIRECTORY / "folder").resolve())
    publish("text/plain", b"12345", "greeting")
    return BytesMessage(MessageHeader(), b"data")
"""
PARAMETERS = [
    {"name": "count", "type": "int", "default": "5"},
    {"name": "sigma", "type": "float", "default": 2},
    {"name": "fast", "type": "bool", "default": False},
    {"name": "folder", "type": "mount", "default": ""},
]


def command(folder: Path, code: str = SOURCE, **spec: Any) -> list[str]:
    (folder / "run.py").write_text(code)
    (folder / "operator.json").write_text(json.dumps({"parameters": PARAMETERS, **spec}))
    return [sys.executable, "-m", "runstart.operators", str(folder / "run.py")]


def run(folder: Path, variables: dict[str, str], **spec: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        command(folder, **spec),
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_operator_alone_takes_variables_of_its_parameters_names_or_defaults(tmp_path: Path) -> None:
    done = run(tmp_path, {"sigma": "1.5", "fast": "Yes", "folder": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    values = [("count", 5), ("fast", True), ("folder", str(tmp_path)), ("sigma", 1.5)]
    assert done.stdout == f"{values} {tmp_path}\n"
    assert "Published: greeting, text/plain, 5 bytes." in done.stderr
    assert "made 1 messages; nothing is wired" in done.stderr
    assert (tmp_path / "torn down").exists()


@pytest.mark.parametrize(
    ("variables", "spec", "told"),
    [
        ({"count": "many"}, {}, "The parameter count is 'many', and this is no int."),
        ({"fast": "perhaps"}, {}, "The parameter fast is 'perhaps', and this is no bool."),
        ({}, {"inputs": [{"name": "in"}]}, "waits for messages"),
        ({}, {"triggers": [{"name": "go"}]}, "waits for triggers"),
        ({}, {"inputs": 3}, "operator.json cannot be read"),
        ({"RUNSTART_OPERATOR_ORDER": "{}"}, {}, "RUNSTART_OPERATOR_ORDER lacks 'session'"),
        ({"RUNSTART_OPERATOR_ORDER": "{"}, {}, "RUNSTART_OPERATOR_ORDER cannot be read"),
    ],
)
def test_what_it_cannot_run_with_is_told_at_once(
    tmp_path: Path, variables: dict[str, str], spec: dict[str, Any], told: str
) -> None:
    done = run(tmp_path, variables, **spec)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_operator_alone_is_interrupted_and_torn_down(tmp_path: Path) -> None:
    process = subprocess.Popen(command(tmp_path), env={**os.environ, "count": "99"}, cwd=tmp_path)
    try:
        wait_until((tmp_path / "begun").exists, "its beginning")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "torn down").exists()


def test_fields_of_an_order_that_are_not_known_are_left_alone(tmp_path: Path) -> None:
    told = {
        "session": "S",
        "operator": "work",
        "replica": 1,
        "incarnation": 2,
        "parameters": {},
        "triggers": {},
        "inputs": {"in": ["ipc:///a"]},
        "outputs": {"out": []},
        "control": None,
        "counters": None,
        "data_directory": str(tmp_path),
        "queue": 7,
        "colour": "red",
    }
    order = read_order(json.dumps(told))
    assert (order.identity, order.queue, order.inputs) == ("work/1/2", 7, {"in": ("ipc:///a",)})
    assert not order.is_source
    assert not order.has_outputs
    with pytest.raises(Alert, match="cannot be read"):
        read_order(json.dumps(told | {"queue": "many"}))


def test_importing_the_kit_loads_nothing_heavy() -> None:
    code = "import runstart.operators, sys; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"zmq", "numpy", "pydantic", "typer", "asyncio", "dagster", "h5py", "psutil"})
