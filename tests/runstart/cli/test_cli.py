from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import pytest
from kafka import KafkaConsumer, TopicPartition
from typer.testing import CliRunner

from runstart import __version__
from runstart.cli import app
from runstart.events import RunStart, RunStop, decode

INSTRUMENTS = """\
[kafka.default]
bootstrap_servers = "{servers}"

[instruments.{name}]
tof = {{ start_us = 0, stop_us = 100_000, bins = 10 }}

[[instruments.{name}.banks]]
name = "rear"
shape = [8, 8]
first_detector_id = 1
"""
COMMANDS = (
    ["alerts", "check"],
    ["alerts", "test"],
    ["instruments", "check"],
    ["metrics"],
    ["replay"],
    ["simulate"],
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNSTART_KAFKA", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "instruments.toml").write_text(INSTRUMENTS.format(servers="127.0.0.1:1", name="TINY"))
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_the_version_is_told() -> None:
    assert run("--version").stdout == f"runstart {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_examples(command: list[str]) -> None:
    text = run(*command, "--help").stdout
    assert "Examples" in text
    assert text.count(f"runstart {' '.join(command)}") >= 2


def test_help_loads_no_heavy_library() -> None:
    heavy = ("numpy", "h5py", "kafka", "pydantic", "numba", "dagster")
    code = f"import sys, runstart.cli; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_checking_instruments_shows_them(folder: Path) -> None:
    result = run("instruments", "check")
    assert result.exit_code == 0
    for text in ("TINY", "127.0.0.1:1", "TINY_events", "rear: 8 x 8, ids 1 to 64", "10 of 10000 us"):
        assert text in result.stdout


def test_a_mistake_is_one_line_on_standard_error(folder: Path) -> None:
    file = folder / "instruments.toml"
    file.write_text(file.read_text().replace("bins", "bin"))
    result = run("instruments", "check", "instruments.toml")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("runstart: instruments.toml:5: instruments.TINY.tof.bin: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["simulate", "--instrument", "TINI"], "declares no instrument 'TINI'. Did you mean TINY?"),
        (["simulate", "--instrument", "X", "--instruments", "no.toml"], "no.toml: cannot be read"),
        (["simulate", "--format", "ev44", "--periods", "2"], "ev44 cannot say to which period"),
        (["simulate", "--bootstrap-servers", "foo"], "'foo' is not host:port"),
        (["replay", "none.nxs"], "none.nxs: cannot be read as HDF5"),
        (["replay", "none.nxs", "--partition-weights", "a,b"], "'a,b' are not numbers"),
        (["replay", "x", "--partition-weights", "1,1", "--partitions", "1"], "2 partition weights do not fit"),
        (["replay", "tiny.nxs", "--instrument", "OTHER"], "declares no instrument 'OTHER'"),
    ],
)
def test_what_a_user_can_mend_is_told_without_a_traceback(folder: Path, arguments: list[str], told: str) -> None:
    write_events(folder / "tiny.nxs", "TINY")
    result = run(*arguments)
    assert result.exit_code == 1
    assert told in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.broker
def test_a_file_is_replayed(folder: Path, broker: Any) -> None:
    write_events(folder / "tiny.nxs", "REPLAYED")
    declare(folder, broker, "REPLAYED")
    arguments = ["tiny.nxs", "--at-once", "--format", "ev44", "--partition-weights", "1,0,1"]
    result = run("replay", *arguments)
    assert result.exit_code == 0, result.output
    assert "REPLAYED_20200101_000001: 6 events of 3 pulses in 3 messages" in result.stdout
    assert "REPLAYED_events partition 0: offsets 0 to 1" in result.stdout
    assert "REPLAYED_events partition 2: offsets 0 to 0" in result.stdout
    messages = [decode(value) for value in read_all(broker.bootstrap_servers, "REPLAYED_runInfo", 2)]
    assert [type(message) for message in messages] == [RunStart, RunStop]


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_simulated_run_with_a_run_stop(folder: Path, broker: Any, number: int) -> None:
    name = f"STOPPED{number}"
    declare(folder, broker, name)
    arguments = ["simulate", "--instrument", name, "--rate", "100"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from runstart.cli import app; app()", *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert f"{name}00000001 started" in process.stdout.readline()
    process.send_signal(number)
    assert f"{name}00000001 ended" in process.stdout.read()
    assert process.wait() == 0
    process.stdout.close()
    start, stop = (decode(value) for value in read_all(broker.bootstrap_servers, f"{name}_runInfo", 2))
    assert isinstance(start, RunStart)
    assert isinstance(stop, RunStop)
    assert (stop.run_name, stop.job_id) == (start.run_name, start.job_id)


def declare(folder: Path, broker: Any, name: str) -> None:
    text = INSTRUMENTS.format(servers=broker.bootstrap_servers, name=name)
    (folder / "instruments.toml").write_text(text)


def write_events(path: Path, instrument: str) -> None:
    with h5py.File(path, "w") as file:
        file["entry/name"] = [instrument.encode()]
        file["entry/start_time"] = [b"2020-01-01T00:00:00"]
        events = file.create_group("entry/bank_events")
        events["event_id"] = [1, 2, 3, 4, 5, 6]
        events["event_time_offset"] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        events["event_index"] = [0, 2, 4]
        events["event_time_zero"] = [1.0, 1.1, 1.2]


def read_all(servers: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    place = TopicPartition(topic, 0)
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    values: list[bytes] = []
    while len(values) < count:
        for records in consumer.poll(timeout_ms=500).values():
            values += [record.value for record in records]
    consumer.close()
    return values
