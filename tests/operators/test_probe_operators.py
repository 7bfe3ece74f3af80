"""Probe, streaming and segmentation as operators: run alone, they take edgeECHO's variables and count all messages."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runstart.operators.testing import call
from runstart.specifications import read_operator_spec

OPERATORS = Path(__file__).resolve().parents[2] / "operators"
HERE = "127.0.0.1"
PROBE = b'{"sender": "probe", "type": "1", "data": 0};{"sender": "probe", "type": 2, "data": 1};'
VARIABLES = {
    "probe": {"count", "probe_ip", "probe_port"},
    "streaming": {"probe_ip", "probe_port", "stream_ip", "stream_port", "plain_stream"},
    "segmentation": {"stream_ip", "stream_port"},
}


def start(name: str, variables: Mapping[str, str]) -> subprocess.Popen[str]:
    """Run an operator by hand, told by environment variables."""
    command = [sys.executable, "-m", "runstart.operators", str(OPERATORS / name / "run.py")]
    return subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True)


def last_line(process: subprocess.Popen[str], program: str) -> dict[str, Any]:
    """Wait for an operator's end, and return the last that its program has said."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    said = [json.loads(line) for line in output.splitlines() if line.startswith(f'{{"program": "{program}"')]
    return dict(said[-1])


def free_ports(number: int) -> list[str]:
    sockets = [socket.create_server((HERE, 0)) for _ in range(number)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_the_parameters_are_edgeechos_variables_and_how_long_to_wait(name: str) -> None:
    spec = read_operator_spec(OPERATORS / name / "operator.json")
    assert {parameter.name for parameter in spec.parameters} == VARIABLES[name] | {"patience_s"}
    assert (spec.inputs, spec.outputs) == ([], [])


@pytest.mark.parametrize("plain", ["True", "False"])
def test_all_three_run_alone_and_all_messages_arrive(plain: str) -> None:
    probe_port, stream_port = free_ports(2)
    probe = {"probe_ip": HERE, "probe_port": probe_port}
    stream = {"stream_ip": HERE, "stream_port": stream_port}
    told = {
        "segmentation": stream,
        "streaming": {**probe, **stream, "plain_stream": plain},
        "probe": {**probe, "count": "777"},
    }
    names = [name for name in told if plain == "False" or name != "segmentation"]
    processes = {name: start(name, told[name]) for name in names}
    try:
        said = {name: last_line(process, name) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    assert said["probe"] == {"program": "probe", "state": "done", "sent": 777}
    assert said["streaming"]["received"] == 777
    if plain == "False":
        assert said["segmentation"]["received"] == 777


def test_streaming_takes_its_parameters_from_the_kit(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((HERE, 0)) as server, ThreadPoolExecutor() as pool:

        def serve() -> bytes:
            connection, _ = server.accept()
            with connection:
                connection.sendall(PROBE)
                return b"".join(iter(lambda: connection.recv(100), b""))

        answer = pool.submit(serve)
        parameters = {"probe_ip": HERE, "probe_port": server.getsockname()[1], "plain_stream": True}
        assert call(OPERATORS / "streaming" / "run.py", [], parameters=parameters) == []
        assert answer.result() == b'{"sender": "streaming", "type": 3, "data": 1};'
    assert '"received": 1' in capsys.readouterr().out
