"""`runstart session`: probe sessions run, and sessions of all kinds are shown and cleaned up, without Dagster."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from probe_kit import write_status
from typer.testing import CliRunner

from runstart.cli import app
from runstart.host import Demand, Gpu, Reservation, Reservations, measure_host, resources
from runstart.launchers import LaunchSpec, SubprocessLauncher
from runstart.probe_sessions import Request, read_requests
from runstart.sessions import SessionRecord, SessionSettings, new_session_id
from runstart.sessions.labels import task_labels
from runstart.sessions.records import NodeRecord, read_record, read_records, session_key, write_record
from runstart.sessions.store_identity import store_identity
from runstart.storage import FileStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    """Return the store of the commands, in a place where no other sessions are seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("RUNSTART_OBJECT_STORE", f"file:{tmp_path / 'store'}")
    for variable in ("RUNSTART_LAUNCHER", "RUNSTART_OPERATORS", "RUNSTART_SESSION_HUNG_S"):
        monkeypatch.delenv(variable, raising=False)
    return FileStore(tmp_path / "store")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["session", *arguments])


@pytest.mark.parametrize(("arguments", "form"), [((), "plain"), (("--segmented",), "segmented")])
def test_running_tells_how_many_messages_arrived(store: FileStore, arguments: tuple[str, ...], form: str) -> None:
    result = run("run", "--count", "321", *arguments)
    assert result.exit_code == 0, result.output
    (record,) = read_records(store)
    assert f"Session {record.session_id} ({form}) finished: 321 of 321 messages arrived" in result.stdout
    assert record.state == "finished"


def test_running_prints_json_when_asked(store: FileStore) -> None:
    outcome = json.loads(run("run", "--count", "7", "--json").stdout)
    assert (outcome["arrived"], outcome["counts"]["probe"], outcome["session_id"]) == (
        7, {"sent": 7}, read_records(store)[0].session_id,
    )  # fmt: skip


def test_a_count_that_is_none_is_told_and_nothing_is_started(store: FileStore) -> None:
    result = run("run", "--count", "0")
    assert result.exit_code == 1
    assert "cannot send '0' messages" in result.stderr
    assert read_records(store) == []


def test_a_request_is_written_for_the_sensor(store: FileStore) -> None:
    result = run("request", "--count", "12", "--segmented", "--name", "tonight")
    assert "Request tonight is written" in result.stdout
    (request,) = read_requests(store)
    assert isinstance(request, Request)
    assert (request.name, request.count, request.plain_stream) == ("tonight", 12, False)


def test_the_list_shows_what_runs_and_with_all_what_has_ended_and_tells_the_damaged(store: FileStore) -> None:
    running = SessionRecord(new_session_id(), "pipeline", "maps", state="running")
    ended = SessionRecord(new_session_id(), "probe", "9 messages, plain", state="failed", reason="It died.")
    for record in (running, ended):
        write_record(store, record)
    store.put(session_key("F" * 16, "record.json"), b"{")
    result = run("list")
    assert running.session_id in result.stdout
    assert ended.session_id not in result.stdout
    assert "The record of 'FFFFFFFFFFFFFFFF' cannot be read" in result.stderr
    everything = run("list", "--all").stdout
    assert running.session_id in everything
    assert "It died." in everything
    assert [one["session_id"] for one in json.loads(run("list", "--json").stdout)] == [running.session_id]


def test_one_session_is_shown_with_its_tasks(store: FileStore) -> None:
    session_id, now = new_session_id(), time.time()
    nodes = (
        NodeRecord("0123456789abcdef", "probe", 0, now, now + 1, "exited"),
        NodeRecord("b", "streaming", 0, now),
    )
    write_record(store, SessionRecord(session_id, "probe", "9 messages", state="running", nodes=nodes))
    write_status(store, session_id, {"state": "running"})
    shown = run("show", session_id).stdout
    assert f"Session {session_id} (9 messages): running" in shown
    assert re.search(r"^probe 0: exited, \S+ \S+ to \S+ \S+, 0123456789ab$", shown, re.MULTILINE)
    assert re.search(r"^streaming 0: running, \S+ \S+ to -, b$", shown, re.MULTILINE)
    assert json.loads(run("show", session_id, "--json").stdout)["status"]["state"] == "running"
    missing = run("show", "0" * 16)
    assert (missing.exit_code, "There is no session 0000000000000000" in missing.stderr) == (1, True)


def test_cleaning_removes_what_a_dead_session_has_left(store: FileStore) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    record = SessionRecord(new_session_id(), "probe", "9 messages", state="running", pid=child.pid)
    write_record(store, record)
    launcher = SubprocessLauncher()
    labels = task_labels(record.session_id, store_identity(store), "streaming", 0)
    spec = LaunchSpec(("sleep", "60"), "streaming", labels=labels)
    task = launcher.start(spec)
    try:
        result = run("clean")
        ended = launcher.wait(task, 10)
    finally:
        launcher.remove(task)
    assert ended is not None
    assert (
        f"Session {record.session_id}: the process that ran it has died; removed the task streaming."
        in result.stdout
    )
    assert read_record(store, record.session_id).state == "failed"
    assert run("clean").stdout == "Nothing is left of sessions that have ended.\n"


def test_the_host_is_shown_with_its_gpus_and_what_sessions_hold(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "measure_gpus", lambda: (Gpu(0, "New card", 8_000_000_000, 6_000_000_000, 37),))
    held = Reservations(tmp_path / SessionSettings().reservations.name).reserve(
        "A" * 16, Demand(0.5, 1_000_000, gpus=1), measure_host(tmp_path)
    )
    assert isinstance(held, Reservation)
    with held:
        shown, table = run("host").stdout, json.loads(run("host", "--json").stdout)
    assert "GPU 0, New card" in shown
    assert "6.00 GB of 8.00 GB are left, 37 % busy" in shown
    assert "has reserved 0.5 processors, 1.00 MB of memory, GPUs 0" in shown
    assert table["sessions"][0]["session_id"] == "A" * 16
    assert table["memory_bytes"] > table["memory_available_bytes"] > 0
