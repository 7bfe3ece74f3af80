from __future__ import annotations

import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from session_kit import House, line

from runstart.errors import Alert
from runstart.launchers import Mount
from runstart.pipelines import Link, Plan
from runstart.sessions.doors import Sender
from runstart.sessions.order import Allowance
from runstart.sessions.tasks import ORDER_VARIABLE, TaskMaker, set_up, share_gpus
from runstart.sessions.wiring import ContainerWiring, ProcessWiring, Wiring, links_in_order


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, as sockets need it."""
    with TemporaryDirectory() as name:
        yield Path(name)


def copies(house: House) -> Plan:
    """A source with 2 replicas, copied to 3 workers and to a sink, which gets what the workers give too."""
    source = house.stage("source", "", outputs=["a", "b"], replicas=2)
    links = (
        Link("work", "out", "sink", "in"),
        Link("source", "b", "sink", "in"),
        Link("source", "a", "work", "in"),
        Link("source", "a", "sink", "in"),
    )
    return Plan("copies", (source, house.work(replicas=3), house.sink()), links)


WIRINGS = (ProcessWiring, ContainerWiring)


def test_links_are_in_the_order_in_which_operators_count(house: House) -> None:
    assert [(link.source_port, link.target) for link in links_in_order(copies(house))] == [
        ("a", "work"),
        ("a", "sink"),
        ("b", "sink"),
        ("out", "sink"),
    ]


@pytest.mark.parametrize("kind", WIRINGS)
def test_every_socket_is_bound_by_one_replica_and_reached_by_all_behind_it(
    house: House, kind: type[Wiring]
) -> None:
    wiring = kind(copies(house), Path("/tmp/s"))
    bound = [wiring.outputs("source", replica) for replica in (0, 1)]

    assert {port: len(uris) for port, uris in bound[0].items()} == {"a": 2, "b": 1}
    assert len(wiring.inputs("work")["in"]) == 2
    assert len(wiring.inputs("sink")["in"]) == 2 + 2 + 3
    everywhere = wiring.inputs("sink")["in"] + wiring.inputs("work")["in"]
    assert len(set(everywhere)) == len(everywhere)


def test_processes_meet_at_files_of_the_sessions_folder(house: House) -> None:
    wiring = ProcessWiring(copies(house), Path("/tmp/s"))
    bound = {uri for replica in (0, 1) for uris in wiring.outputs("source", replica).values() for uri in uris}

    assert set(wiring.inputs("work")["in"]) <= bound
    assert all(uri.startswith("ipc:///tmp/s/") for uri in bound)
    assert wiring.alias(Sender("work", 0, 0)) is None


def test_containers_meet_by_their_names_on_the_network(house: House) -> None:
    wiring = ContainerWiring(copies(house), Path("/tmp/s"))
    ports = {uri.rpartition(":")[2] for uri in wiring.outputs("source", 1)["a"]}

    reached = {uri for uri in wiring.inputs("work")["in"] if f"//{wiring.alias(Sender('source', 1, 0))}:" in uri}

    assert {uri.rpartition(":")[2] for uri in reached} < ports
    assert all(uri.startswith("tcp://*:") for uri in wiring.outputs("source", 1)["a"])


def test_files_of_containers_are_open_to_their_users_and_those_of_processes_are_not(
    house: House, short: Path
) -> None:
    plan, sender = copies(house), Sender("work", 1, 2)
    for kind in WIRINGS:
        folder = short / kind.__name__
        folder.mkdir()
        wiring = kind(plan, folder)
        wiring.prepare()
        wiring.prepare_process(sender)
        mode = stat.S_IMODE(wiring.counters(sender).stat().st_mode)
        assert mode & 0o006 == (0o006 if kind is ContainerWiring else 0)


def test_a_process_in_a_container_sees_the_control_and_its_own_counters_and_no_others(house: House) -> None:
    wiring = ContainerWiring(copies(house), Path("/tmp/s"))
    data = {"scan": Mount(house.out, "/mnt/scan")}

    mounts = wiring.mounts(Sender("work", 1, 0), data)

    assert mounts[0] == data["scan"]
    assert [(mount.target, mount.writable) for mount in mounts[1:]] == [
        ("/run/runstart/control", False),
        ("/run/runstart/own", True),
    ]
    others = {wiring.mounts(Sender("work", number, 0), {})[-1].source for number in range(3)}
    assert len(others) == 3


def test_more_edges_than_can_be_counted_are_refused(house: House) -> None:
    source = house.source(1)
    sinks = [house.sink(name=f"sink-{number}") for number in range(25)]
    plan = Plan("wide", (source, *sinks), tuple(Link("source", "out", sink.name, "in") for sink in sinks))

    with pytest.raises(Alert, match="source has 25 edges"):
        ProcessWiring(plan, Path("/tmp/s"))


def test_folder_whose_path_is_too_long_for_sockets_is_refused(house: House) -> None:
    with pytest.raises(Alert, match="Set TMPDIR"):
        ProcessWiring(copies(house), Path("/tmp") / ("x" * 90))


def maker(house: House, plan: Plan, *, runs_images: bool) -> TaskMaker:
    kind = ContainerWiring if runs_images else ProcessWiring
    network = "net" if runs_images else None
    wiring = kind(plan, Path("/tmp/s"))
    return TaskMaker(house.session_id, "0" * 16, wiring, house.settings, runs_images=runs_images, network=network)


def test_process_is_told_everything_and_inherits_nothing_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    house.change(allowances={"work": Allowance(cpus=1.5, memory_bytes=7)}, environment={"LEVEL": "3"})
    plan = copies(house)

    spec = maker(house, plan, runs_images=False).make(set_up(plan, house.settings)["work"], Sender("work", 2, 1))

    order = json.loads(spec.environment[ORDER_VARIABLE])
    assert (order["operator"], order["replica"], order["incarnation"]) == ("work", 2, 1)
    assert order["parameters"]["add"] == 0
    assert spec.command[0] == sys.executable
    assert spec.command[-1].endswith("operators/work/run.py")
    assert (spec.limits.cpus, spec.limits.memory_bytes, spec.image, spec.network) == (1.5, 7, None, None)
    assert "SECRET" not in spec.environment
    assert spec.environment["LEVEL"] == "3"
    assert spec.labels["runstart.session"] == house.session_id


def test_container_runs_its_own_image_without_this_machines_environment(house: House) -> None:
    plan = copies(house)
    make = maker(house, plan, runs_images=True)

    spec = make.make(set_up(plan, house.settings)["work"], Sender("work", 0, 0))

    assert make.images(plan.stages) == ["test/source", "test/work", "test/sink"]
    assert (spec.image, spec.network) == ("test/work", "net")
    assert spec.command == ("python", "-m", "runstart.operators", "/app/run.py")
    assert set(spec.environment) == {ORDER_VARIABLE}
    assert json.loads(spec.environment[ORDER_VARIABLE])["data_directory"] == "/mnt"


def test_one_image_for_all_runs_this_machines_python_on_the_operators_folder(house: House) -> None:
    house.change(image="bare", image_mounts=(Mount(Path("/usr"), "/usr"),))
    plan = copies(house)
    make = maker(house, plan, runs_images=True)

    spec = make.make(set_up(plan, house.settings)["work"], Sender("work", 0, 0))

    folder = house.settings.operators["work"]
    assert make.images(plan.stages) == ["bare"]
    assert spec.command == (sys.executable, "-m", "runstart.operators", f"{folder}/run.py")
    assert Mount(folder, str(folder)) in spec.mounts
    assert Mount(Path("/usr"), "/usr") in spec.mounts


def test_operator_without_a_folder_needs_an_engine(house: House) -> None:
    plan = copies(house)
    house.change(operators={})

    with pytest.raises(Alert, match=r"work runs the operator 'work' \(test/work\), which is in no folder here"):
        maker(house, plan, runs_images=False).make(set_up(plan, house.settings)["work"], Sender("work", 0, 0))


def test_each_replica_that_needs_one_has_a_gpu_to_itself(house: House) -> None:
    plan = line(house.source(1), house.work(replicas=2), house.sink())
    plan.stages[1].spec.tags = (
        type(plan.stages[1].spec)
        .model_validate({**plan.stages[1].spec.model_dump(), "tags": [{"value": "gpu"}]})
        .tags
    )
    setups = set_up(plan, house.settings)
    share_gpus(setups, (4, 7))

    make = maker(house, plan, runs_images=False)
    seen = [make.make(setups["work"], Sender("work", n, 0)).environment.get("CUDA_VISIBLE_DEVICES") for n in (0, 1)]
    assert seen == ["4", "7"]
    assert "CUDA_VISIBLE_DEVICES" not in make.make(setups["source"], Sender("source", 0, 0)).environment
