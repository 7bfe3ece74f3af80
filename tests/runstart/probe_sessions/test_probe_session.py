"""Whole probe sessions of real processes: all messages arrive, or it is told where they were lost; nothing is left."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from left_behind import left_behind
from probe_kit import ListedEngine, Remembering, session_settings
from waiting import wait_until

from runstart.errors import Alert
from runstart.host import Demand, Reservation, Reservations, measure_host
from runstart.launchers import LaunchSpec, SubprocessLauncher, Task
from runstart.probe_sessions import ProbeOrder, ProbeSessionFailed, run_probe_session
from runstart.probe_sessions import session as module
from runstart.probe_sessions.members import make_spec
from runstart.probe_sessions.order import Names, make_names
from runstart.sessions import SessionSettings, SessionStatus, read_record, read_status, send_command
from runstart.sessions.records import read_records
from runstart.storage import FileStore

LONG = 10_000_000


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.fixture
def launcher() -> SubprocessLauncher:
    return SubprocessLauncher()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    wait_until(lambda: not left_behind(), "the end of all processes", 10)


class Acting(Remembering):
    """A reporter that does something once, as soon as a message has come to streaming."""

    def __init__(self, action: object) -> None:
        super().__init__()
        self._action = action

    def status(self, status: SessionStatus) -> None:
        super().status(status)
        if self._action is not None and any(one.name == "streaming" and one.received for one in status.operators):
            action, self._action = self._action, None
            assert callable(action)
            action()


def program(name: str) -> psutil.Process:
    """Return the process of a program that a test has started."""
    for process in map(psutil.Process, left_behind()):
        if process.cmdline()[-3:] == ["-m", "runstart.probe_sessions", name]:
            return process
    raise AssertionError(name)


@pytest.mark.parametrize("plain_stream", [True, False])
def test_all_messages_arrive_and_the_record_says_so(
    tmp_path: Path, store: FileStore, launcher: SubprocessLauncher, *, plain_stream: bool
) -> None:
    order, reporter = ProbeOrder(5000, plain_stream), Remembering()
    outcome = run_probe_session(order, launcher, store, session_settings(tmp_path), reporter, "run7")
    assert (outcome.state, outcome.arrived, outcome.troubles) == ("finished", 5000, ())
    assert outcome.counts["probe"] == {"sent": 5000}
    record = read_record(store, order.session_id)
    assert (record.kind, record.run_id, record.state, record.reason) == ("probe", "run7", "finished", "")
    assert [(node.operator, node.status) for node in record.nodes] == [(name, "exited") for name in order.programs]
    ends = [node.finished_at for node in record.nodes]
    assert all(end is not None and record.started_at <= end <= (record.ended_at or 0) for end in ends)
    assert reporter.statuses[-1].state == read_status(store, order.session_id)["state"] == "finished"
    assert Reservations(tmp_path / "reservations").living() == []


def test_sessions_run_beside_each_other(tmp_path: Path, store: FileStore, launcher: SubprocessLauncher) -> None:
    orders = [ProbeOrder(3000 + number, plain_stream=number == 0) for number in range(3)]
    settings = session_settings(tmp_path)
    with ThreadPoolExecutor() as pool:
        futures = [
            pool.submit(run_probe_session, order, launcher, store, settings, Remembering()) for order in orders
        ]
        arrived = [future.result().arrived for future in futures]
    assert arrived == [3000, 3001, 3002]
    assert {record.state for record in read_records(store)} == {"finished"}


@pytest.mark.faults
@pytest.mark.parametrize("name", ["probe", "streaming", "segmentation"])
def test_a_killed_program_is_told_with_what_was_lost_and_where(
    tmp_path: Path, store: FileStore, launcher: SubprocessLauncher, name: str
) -> None:
    order, reporter = ProbeOrder(LONG, plain_stream=False), Acting(lambda: program(name).kill())
    with pytest.raises(ProbeSessionFailed) as caught:
        run_probe_session(order, launcher, store, session_settings(tmp_path), reporter)
    outcome = caught.value.outcome
    assert outcome.arrived < LONG
    assert f"{outcome.arrived} of {LONG} messages arrived" in caught.value.what
    assert "were never sent by the probe" in caught.value.what
    assert f"{name} ended with exit code -9, by the signal SIGKILL" in caught.value.what
    record = read_record(store, order.session_id)
    assert (record.state, record.reason) == ("failed", caught.value.what)
    assert all(node.finished_at is not None for node in record.nodes)


@pytest.mark.faults
def test_a_hanging_program_is_told_and_ended(
    tmp_path: Path, store: FileStore, launcher: SubprocessLauncher
) -> None:
    order = ProbeOrder(LONG, plain_stream=False)
    reporter = Acting(lambda: program("streaming").send_signal(signal.SIGSTOP))
    with pytest.raises(
        ProbeSessionFailed, match=r"Nothing has moved for 2 s: probe and streaming and segmentation"
    ):
        run_probe_session(order, launcher, store, session_settings(tmp_path, silence_s=2.0), reporter)


class LateLauncher(SubprocessLauncher):
    """Gives its place to the last program long after the others, as a full cluster does."""

    shares_machine = False

    def start(self, spec: LaunchSpec) -> Task:
        if spec.name == "segmentation":
            spec = replace(spec, command=("/bin/sh", "-c", 'sleep 4; exec "$@"', "sh", *spec.command))
        return super().start(spec)

    def waits_for(self, task: Task) -> str:
        return f"no node has a place for {task.name}" if task.name == "segmentation" else ""


def test_program_that_waits_for_its_place_does_not_hang_and_says_what_it_waits_for(
    tmp_path: Path, store: FileStore
) -> None:
    order, reporter = ProbeOrder(1000, plain_stream=False), Remembering()
    outcome = run_probe_session(
        order, LateLauncher(), store, session_settings(tmp_path, silence_s=2.0), reporter, "run7"
    )
    assert (outcome.state, outcome.arrived) == ("finished", 1000)
    assert "segmentation waits: no node has a place for segmentation" in reporter.told
    assert read_record(store, order.session_id).reason == ""


def test_programs_of_a_cluster_wait_for_each_others_places_and_have_time_for_it() -> None:
    order, settings = ProbeOrder(1000, plain_stream=False), SessionSettings(ready_s=200.0)

    def made(shares_machine: bool) -> LaunchSpec:
        names = make_names(has_network=True, is_on_cluster=True)
        for name in (names.network, names.probe, names.stream):
            assert re.fullmatch(r"[a-z]+-[a-z0-9]{5}", name)
        ports = {"probe": 1, "streaming": 2}
        return make_spec(
            "probe", order, "0" * 16, names, ports, settings, "an-image", shares_machine=shares_machine
        )

    here, there = made(shares_machine=True), made(shares_machine=False)
    assert "patience_s" not in here.environment
    assert there.environment["patience_s"] == "200"
    assert there.limits.seconds == (here.limits.seconds or 0.0) + 3 * 200.0
    assert (here.limits.processes, there.limits.processes) == (settings.allowance.processes, None)


def test_garbage_on_the_probes_port_is_told(
    tmp_path: Path, store: FileStore, launcher: SubprocessLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail ready;")
                while connection.recv(1000):
                    pass

        pool.submit(answer)
        monkeypatch.setattr(module, "make_spec", _elsewhere(server.getsockname()[1]))
        with pytest.raises(ProbeSessionFailed, match=r"220 mail ready.* is no message of a probe session"):
            run_probe_session(ProbeOrder(5), launcher, store, session_settings(tmp_path), Remembering())


def _elsewhere(port: int) -> object:
    """Return a `make_spec` that sends streaming to another port."""

    def changed(
        name: str,
        order: ProbeOrder,
        store_id: str,
        names: Names,
        ports: dict[str, int],
        *rest: object,
        **more: object,
    ) -> object:
        told = {**ports, "probe": port} if name == "streaming" else ports
        return make_spec(name, order, store_id, names, told, *rest, **more)  # type: ignore[arg-type]

    return changed


def test_a_host_that_does_not_resolve_is_told_by_name(
    tmp_path: Path, store: FileStore, launcher: SubprocessLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names("", "probe-0a1b2.invalid", "127.0.0.1", {"probe": 0, "streaming": 0})
    monkeypatch.setattr(module, "make_names", lambda **_: names)
    settings = SessionSettings(
        environment={"patience_s": "0.5"}, reservations=tmp_path / "reservations", grace_s=2.0
    )
    with pytest.raises(ProbeSessionFailed, match=r"streaming failed: The host 'probe-0a1b2\.invalid' is not known"):
        run_probe_session(ProbeOrder(5), launcher, store, settings, Remembering())


def test_a_program_that_does_not_start_is_told_with_what_it_printed(
    tmp_path: Path, store: FileStore, launcher: SubprocessLauncher
) -> None:
    settings = SessionSettings(environment={"PYTHONHOME": "/nowhere"}, reservations=tmp_path / "reservations")
    with pytest.raises(ProbeSessionFailed, match="probe ended with exit code 1"):
        run_probe_session(ProbeOrder(5), launcher, store, settings, Remembering())


def test_a_session_without_room_waits_with_the_reason_until_it_is_stopped(
    tmp_path: Path, store: FileStore, launcher: SubprocessLauncher
) -> None:
    order, reporter = ProbeOrder(5), Remembering()
    host = measure_host(tmp_path)
    held = Reservations(tmp_path / "reservations").reserve("A" * 16, Demand(cpus=2 * host.cpus), host)
    assert isinstance(held, Reservation)
    with held:
        outcome = run_probe_session(
            order, launcher, store, session_settings(tmp_path), reporter, stop=lambda: bool(reporter.told)
        )
    assert (outcome.state, outcome.arrived) == ("stopped", 0)
    assert "held by: session AAAAAAAAAAAAAAAA" in reporter.told[0]
    assert read_record(store, order.session_id).state == "stopped"


def test_a_session_stops_when_it_is_told_to(tmp_path: Path, store: FileStore, launcher: SubprocessLauncher) -> None:
    order = ProbeOrder(LONG, plain_stream=False)
    with ThreadPoolExecutor() as pool:
        future = pool.submit(run_probe_session, order, launcher, store, session_settings(tmp_path), Remembering())
        wait_until(lambda: read_status(store, order.session_id).get("state") == "running", "messages")
        refused = send_command(store, order.session_id, {"command": "trigger"})
        assert (refused["status"], refused["message"]) == ("error", "A probe session can only be told to stop.")
        assert send_command(store, order.session_id, {"command": "stop"})["status"] == "ok"
        outcome = future.result()
    assert outcome.state == read_record(store, order.session_id).state == "stopped"
    assert outcome.arrived < LONG


def test_an_interruption_leaves_nothing_and_is_in_the_record(
    tmp_path: Path, store: FileStore, launcher: SubprocessLauncher
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    order = ProbeOrder(LONG)
    with pytest.raises(KeyboardInterrupt):
        run_probe_session(order, launcher, store, session_settings(tmp_path), Acting(interrupt))
    record = read_record(store, order.session_id)
    assert (record.state, record.reason) == ("stopped", "KeyboardInterrupt")
    assert all(node.finished_at is not None for node in record.nodes)


def test_what_an_engine_refuses_leaves_no_network(tmp_path: Path, store: FileStore) -> None:
    engine, settings = ListedEngine(), session_settings(tmp_path)
    with pytest.raises(Alert, match="The operator probe is in no folder here"):
        run_probe_session(ProbeOrder(5), engine, store, settings, Remembering())
    assert engine.networks == []
    assert read_records(store)[0].state == "failed"


def test_in_containers_each_program_is_on_its_sessions_network_only_and_labelled(tmp_path: Path) -> None:
    order, names = ProbeOrder(5, plain_stream=False), make_names(has_network=True)
    specs = [
        make_spec(name, order, "0" * 16, names, names.ports, session_settings(tmp_path), f"image-of-{name}")
        for name in order.programs
    ]
    assert [spec.network for spec in specs] == [names.network] * 3
    assert [spec.network_alias for spec in specs] == [names.probe, names.stream, None]
    assert [spec.image for spec in specs] == ["image-of-probe", "image-of-streaming", "image-of-segmentation"]
    assert {spec.labels["runstart.session"] for spec in specs} == {order.session_id}
    assert os.environ["PATH"] not in specs[0].environment.values()
