"""What differs on a cluster: control by TCP, and counts that are told. Here with processes, which meet on loopback."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq
from session_kit import House, going, kill_operator, line
from waiting import wait_until

from runstart.errors import Transient
from runstart.launchers import Launcher, Mount, SubprocessLauncher
from runstart.pipelines import Plan, Stage
from runstart.sessions import SessionFailed, SessionSettings, runner, session
from runstart.sessions.control_hub import ControlHub, Said
from runstart.sessions.doors import Door, NetworkDoor, Sender
from runstart.sessions.mounts import link_mounts
from runstart.sessions.tasks import TaskMaker, set_up
from runstart.sessions.wiring import PodWiring

WORKER = Sender("work", 1, 2)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def door() -> NetworkDoor:
    return NetworkDoor("127.0.0.1")


@pytest.fixture
def hub(door: NetworkDoor) -> Iterator[ControlHub]:
    one = ControlHub(door, {"work": 2})
    yield one
    one.close()


@pytest.fixture
def context() -> Iterator[zmq.SyncContext]:
    with zmq.Context() as one:
        yield one


def dial(context: zmq.SyncContext, door: Door, identity: bytes, key: str | None) -> zmq.SyncSocket:
    """Connect to a session as an operator does; None as its key: unencrypted."""
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.setsockopt(zmq.IDENTITY, identity)
    if key is not None:
        public, private = zmq.curve_keypair()
        dealer.setsockopt(zmq.CURVE_SERVERKEY, key.encode())
        dealer.setsockopt(zmq.CURVE_PUBLICKEY, public)
        dealer.setsockopt(zmq.CURVE_SECRETKEY, private)
    dealer.connect(door.told(WORKER)["control"])
    return dealer


def heard(hub: ControlHub) -> list[Said]:
    return wait_until(lambda: hub.receive(0.05), "a word", timeout=20)


def test_who_has_the_key_and_its_token_is_heard_and_answered(
    door: NetworkDoor, hub: ControlHub, context: zmq.SyncContext
) -> None:
    told = door.told(WORKER)
    identity = f"work/1/2/{told['control_token']}".encode()
    with dial(context, door, identity, told["control_key"]) as dealer:
        dealer.send_multipart([b'{"kind": "ready"}', b"more"])

        assert heard(hub) == [Said(WORKER, "ready", {"kind": "ready"}, (b"more",))]
        assert hub.send(WORKER, {"kind": "start"})
        assert dealer.poll(20_000)
        assert json.loads(dealer.recv()) == {"kind": "start"}
    assert hub.garbage == 0


@pytest.mark.parametrize("ending", ["", "/", "/0123456789abcdef0123456789abcdef", "another's"])
def test_who_has_no_token_of_its_own_is_garbage_whoever_it_says_it_is(
    door: NetworkDoor, hub: ControlHub, context: zmq.SyncContext, ending: str
) -> None:
    key, others = door.told(WORKER)["control_key"], door.told(Sender("work", 0, 0))["control_token"]
    identity = b"work/1/2" + (f"/{others}" if ending == "another's" else ending).encode()
    with dial(context, door, identity, key) as dealer:
        dealer.send_multipart([b'{"kind": "finished"}'])

        wait_until(lambda: not hub.receive(0.05) and hub.garbage == 1, "the garbage", timeout=20)


def test_stranger_without_the_sessions_key_is_refused_and_counted(
    door: NetworkDoor, hub: ControlHub, context: zmq.SyncContext
) -> None:
    token = door.told(WORKER)["control_token"]
    for key in (None, zmq.curve_keypair()[0].decode()):
        before = hub.garbage
        with dial(context, door, f"work/1/2/{token}".encode(), key) as dealer:
            dealer.send_multipart([b'{"kind": "finished"}'])

            wait_until(lambda: hub.receive(0.05) or hub.garbage > before, "the refusal", timeout=20)  # noqa: B023
            assert hub.receive(0.1) == []


def test_who_comes_again_under_its_name_is_heard_though_the_connection_before_still_stands(
    door: NetworkDoor, hub: ControlHub, context: zmq.SyncContext
) -> None:
    told = door.told(WORKER)
    identity = f"work/1/2/{told['control_token']}".encode()
    with dial(context, door, identity, told["control_key"]) as before:
        before.send_multipart([b'{"kind": "ready"}'])
        assert [said.kind for said in heard(hub)] == ["ready"]
        with dial(context, door, identity, told["control_key"]) as again:
            again.send_multipart([b'{"kind": "status"}'])
            assert [said.kind for said in heard(hub)] == ["status"]


def test_first_free_port_of_those_allowed_is_taken_and_none_is_an_error_that_passes() -> None:
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("", 0))
        taken.listen()
        free.bind(("", 0))
        number = free.getsockname()[1]
        free.close()
        hub = ControlHub(NetworkDoor("127.0.0.1", range(number, number + 1)), {})
        hub.close()
        port = taken.getsockname()[1]
        with pytest.raises(Transient, match=f"All ports from {port} to {port} are taken"):
            ControlHub(NetworkDoor("127.0.0.1", range(port, port + 1)), {})


def test_secrets_of_two_sessions_and_of_two_processes_differ(door: NetworkDoor) -> None:
    other = NetworkDoor("127.0.0.1")
    tokens = {one.told(Sender("work", 0, n))["control_token"] for one in (door, other) for n in range(2)}

    assert len(tokens) == 4
    assert door.told(WORKER)["control_key"] != other.told(WORKER)["control_key"]


def test_pod_meets_others_by_name_has_only_its_data_and_no_file_to_count_in(house: House) -> None:
    plan = line(house.source(1), house.work(replicas=2), house.sink())
    wiring = PodWiring(plan, NetworkDoor("10.1.2.3"))
    data = {"scan": Mount(house.out, "/mnt/scan")}
    maker = TaskMaker(
        house.session_id, "0" * 16, wiring, house.settings, runs_images=True, shares_machine=False, network="net"
    )

    spec = maker.make(set_up(plan, house.settings)["work"], Sender("work", 1, 0))
    order = json.loads(spec.environment["RUNSTART_OPERATOR_ORDER"])

    assert wiring.mounts(WORKER, data) == (data["scan"],)
    assert wiring.inputs("work")["in"] == ["tcp://source-0-0:47000"]
    assert (spec.network, spec.network_alias) == ("net", "work-1-1")
    assert order["control"].startswith("tcp://10.1.2.3:")
    assert (order["counters"], order["data_directory"]) == (None, "/mnt")
    # How many processes a pod may have its node says.
    assert spec.limits.processes is None


def test_operators_in_folders_that_the_image_has_itself_need_no_mount(house: House) -> None:
    plan = line(house.source(1), house.sink())
    folder = house.settings.operators["source"]

    def mounts(**changes: Any) -> tuple[Mount, ...]:
        house.change(image="bare", **changes)
        wiring = PodWiring(plan, NetworkDoor("10.1.2.3"))
        maker = TaskMaker(house.session_id, "0" * 16, wiring, house.settings, runs_images=True, network="net")
        spec = maker.make(set_up(plan, house.settings)["source"], Sender("source", 0, 0))
        assert spec.command[-1] == f"{folder}/run.py"
        return spec.mounts

    assert mounts() == (Mount(folder, str(folder)),)
    assert mounts(image_folders=(folder.parent,)) == ()


class LoopbackWiring(PodWiring):
    """Processes that tell their counts to a session by TCP, and meet each other at files."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        super().__init__(plan, NetworkDoor("127.0.0.1"))
        self._folder = folder

    def show_data(self, stage: Stage, data: Any) -> str:
        folder = self._folder / stage.name / "mnt"
        link_mounts(folder, data)
        return str(folder)

    def alias(self, sender: Sender) -> None:
        return None

    def _reached_at(self, place: int, source: str, replica: int) -> str:
        return f"ipc://{self._folder}/{place}.{replica}"

    def _bound_at(self, place: int, replica: int) -> str:
        return f"ipc://{self._folder}/{place}.{replica}"


@pytest.fixture
def remote(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Sessions whose operators might as well be on other machines."""

    def make(launcher: Launcher, plan: Plan, folder: Path, settings: SessionSettings) -> LoopbackWiring:
        return LoopbackWiring(plan, folder)

    monkeypatch.setattr(runner, "make_wiring", make)
    house.change(still_s=2.0)
    return house


def test_counts_that_are_told_are_exact_when_nobody_dies(remote: House) -> None:
    outcome = remote.run(line(remote.source(300), remote.work(replicas=2), remote.sink()))

    assert outcome.state == "finished"
    assert sorted(remote.numbers()) == list(range(300))
    assert {name: totals.finished for name, totals in outcome.operators.items()} == {
        "source": 300,
        "work": 300,
        "sink": 300,
    }
    assert [totals.bound for totals in outcome.operators.values()] == ["exactly"] * 3
    assert [link["messages"] for link in remote.reporter.statuses[-1].as_dict()["links"]] == [300, 300]


def test_strangers_at_the_door_are_told_and_harm_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, context: zmq.SyncContext
) -> None:
    wirings: list[LoopbackWiring] = []

    def make(launcher: Launcher, plan: Plan, folder: Path, settings: SessionSettings) -> LoopbackWiring:
        wirings.append(LoopbackWiring(plan, folder))
        return wirings[-1]

    monkeypatch.setattr(runner, "make_wiring", make)
    source = house.source(1_000_000, pause_ms=3)
    with going(house, line(source, house.work(), house.sink())) as running:
        wait_until(lambda: running.failed or house.numbers(), "the first number", timeout=30)
        with dial(context, wirings[0].door, b"work/0/0", None):
            wait_until(lambda: "from strangers, and left out" in house.reporter.text, "the refusal", timeout=20)
        running.say("stop")
        outcome = running.end()

    assert outcome.troubles() == []
    assert house.numbers() == list(range(outcome.operators["source"].emitted))


def test_why_a_process_has_not_begun_is_told_also_of_one_that_is_started_again(
    remote: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_REASON_S", 0.0)
    monkeypatch.setattr(SubprocessLauncher, "waits_for", lambda self, task: f"{task.name} has no place")
    plan = line(remote.source(300, pause_ms=3), remote.work(), remote.sink())
    remote.once(lambda now: now["work"].finished > 20, lambda: kill_operator(remote, "work"))
    with suppress(SessionFailed):
        remote.run(plan)

    logs = remote.reporter.logs
    died = next(number for number, text in enumerate(logs) if "work (replica 0) has died" in text)
    assert any("waits: " in text for text in logs[:died])
    assert "work (replica 0) waits: work has no place" in logs[died:]
    assert remote.reporter.statuses[-1].reason == ""


def test_messages_of_a_killed_process_are_told_as_lost_at_most(remote: House) -> None:
    plan = line(remote.source(300, pause_ms=3), remote.work(pause_ms=3), remote.sink())
    remote.once(lambda now: now["work"].finished > 20, lambda: kill_operator(remote, "work"))

    with pytest.raises(
        SessionFailed, match=r"A process of work ended without telling the last counts: at most"
    ) as caught:
        remote.run(plan)

    totals = caught.value.outcome.operators["work"]
    assert (totals.unsaid, totals.bound, totals.restarts) == (1, "at most", 1)
    together = len(remote.numbers()) + caught.value.outcome.lost
    # What it did since it told its counts for the last time may be in the sink and count as lost as well.
    assert 300 <= together < 400
    assert len(set(remote.numbers())) == len(remote.numbers())


def test_killed_process_that_had_nothing_to_do_costs_nothing_and_is_known_to_cost_nothing(remote: House) -> None:
    code = """
    sent = 0

    @operator
    def source(inputs, parameters):
        global sent
        while sent == 10 and not Path(parameters["name"]).exists():
            time.sleep(0.02)
        if sent == 20:
            raise EndOfStream
        sent += 1
        return message(sent - 1)
    """
    goes_on = remote.folder / "goes on"

    def kill() -> None:
        kill_operator(remote, "work")
        remote.once(lambda now: now["work"].restarts == now["work"].ready == 1, goes_on.touch)

    source = remote.stage("source", code, {"name": str(goes_on)}, outputs=["out"])
    remote.once(lambda now: now["work"].finished == 10 and now["sink"].finished == 10, kill)

    outcome = remote.run(line(source, remote.work(), remote.sink()))

    assert remote.numbers() == list(range(20))
    assert outcome.operators["work"].restarts == 1
    assert [totals.bound for totals in outcome.operators.values()] == ["exactly"] * 3


def test_killed_source_is_told_as_one_that_may_have_made_more(remote: House) -> None:
    plan = line(remote.source(100, pause_ms=10), remote.sink())
    remote.once(lambda now: now["sink"].finished > 10, lambda: kill_operator(remote, "source"))

    with pytest.raises(SessionFailed, match=r"source has died after at least \d+ messages and begun anew"):
        remote.run(plan)

    assert set(remote.numbers()) == set(range(100))


def test_process_that_is_told_to_end_is_heard_to_its_last_count(remote: House) -> None:
    plan = line(remote.source(300, pause_ms=3), remote.work(pause_ms=3), remote.sink())
    remote.once(
        lambda now: now["work"].finished > 20,
        lambda: remote.store.put(
            f"sessions/{remote.session_id}/commands/1.json", b'{"command": "restart", "operator": "work"}'
        ),
    )
    try:
        outcome = remote.run(plan)
    except SessionFailed as failed:
        outcome = failed.outcome

    assert outcome.operators["work"].restarts == 1
    assert [totals.bound for totals in outcome.operators.values()] == ["exactly"] * 3
    assert len(remote.numbers()) + outcome.lost == 300
