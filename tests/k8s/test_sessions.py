"""Sessions on pods of a real cluster: exact counts, honest losses, and nothing left, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from left_behind import other_processes
from pod_bench import IMAGES, namespace_of, settings_for
from session_kit import House, Remembering, going, kill_operator, line
from waiting import wait_until

from runstart.facility import HOST_IMAGE, host_mounts
from runstart.launchers import KubernetesLauncher
from runstart.launchers.failures import Unschedulable
from runstart.pipelines import Link, Plan
from runstart.probe_sessions import ProbeOrder, run_probe_session
from runstart.sessions import (
    Allowance,
    SessionFailed,
    SessionOrder,
    SessionOutcome,
    clean_up,
    new_session_id,
    read_record,
    run_session,
)
from runstart.sessions.labels import OPERATOR_LABEL, REPLICA_LABEL
from runstart.storage import FileStore

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

__all__ = ["other_processes"]
pytestmark = [pytest.mark.k8s, pytest.mark.timeout(120)]

KINDS = "pods,jobs,services,networkpolicies"
KILLED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_sessions import PodHouse, endless
from runstart.facility.cluster import RunningCluster
house = PodHouse(Path(sys.argv[1]) / "killed", RunningCluster(Path({data!r})), {namespace!r})
house.session_id = {session_id!r}
house.run(endless(house), run_id="a-run")
"""


class PodHouse(House):
    """Sessions of which each replica is a pod."""

    def __init__(self, folder: Path, cluster: RunningCluster, namespace: str, **settings: str) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder)
        # What runs in a pod is nobody's on this machine.
        for path in (folder, *folder.parents[:3]):
            path.chmod(path.stat().st_mode | 0o111)
        self.out.chmod(0o777)
        self.cluster, self.namespace = cluster, namespace
        self.launcher = KubernetesLauncher({**settings_for(cluster, namespace), **settings}, IMAGES)
        self.change(
            image=HOST_IMAGE,
            image_mounts=host_mounts(),
            allowance=Allowance(memory_bytes=256 << 20),
            address=cluster.host_address,
            ready_s=60.0,
            grace_s=5.0,
            still_s=2.0,
        )

    def run(self, plan: Plan, **order: Any) -> SessionOutcome:
        return run_session(
            SessionOrder(self.session_id, plan, **order), self.launcher, self.store, self.settings, self.reporter
        )

    def delete(self, operator: str, *options: str, replica: int = 0) -> None:
        """Delete the pod of a replica, as somebody else would."""
        selector = f"runstart.session={self.session_id},{OPERATOR_LABEL}={operator},{REPLICA_LABEL}={replica}"
        self.cluster.kubectl("-n", self.namespace, "delete", "pod", "-l", selector, "--wait=false", *options)

    def objects(self) -> list[str]:
        """Return what is there of the session."""
        selector = f"runstart.session={self.session_id}"
        return self.cluster.kubectl("-n", self.namespace, "get", KINDS, "-l", selector, "-o", "name").split()


def endless(house: House) -> Plan:
    return line(house.source(1_000_000, pause_ms=20), house.work(replicas=2), house.sink())


@pytest.fixture(scope="module")
def namespace(cluster: RunningCluster) -> Iterator[str]:
    with namespace_of(cluster) as name:
        yield name


@pytest.fixture
def house(tmp_path: Path, cluster: RunningCluster, namespace: str) -> Iterator[PodHouse]:
    one = PodHouse(tmp_path, cluster, namespace)
    yield one
    assert one.objects() == []


def test_every_message_is_counted_parameters_are_set_and_triggers_pulled_while_it_runs(house: PodHouse) -> None:
    code = """
    @operator
    def asked(inputs, parameters, trigger):
        return message(1000 + parameters["add"])
    """
    source, work, sink = house.source(200, pause_ms=10), house.work(replicas=2), house.sink()
    asked = house.stage("asked", code, outputs=["out"], triggers=["ask"])
    links = (
        Link("source", "out", "work", "in"),
        Link("work", "out", "sink", "in"),
        Link("asked", "out", "sink", "in"),
    )
    plan = Plan("asked", (source, work, asked, sink), links)
    with going(house, plan) as session:
        wait_until(lambda: session.failed or len(house.numbers()) > 20, "the first numbers", timeout=60)
        assert session.say("set", operator="asked", values={"add": 7}) == ("ok", "asked: add = 7.")
        assert session.say("trigger", operator="asked", trigger="ask") == ("ok", "1 messages")
        wait_until(lambda: len(house.numbers()) > 200, "all numbers", timeout=60)
        session.say("stop")
        outcome = session.end()

    assert sorted(house.numbers()) == [*range(200), 1007]
    assert outcome.troubles() == []
    counted = {name: (totals.received, totals.finished) for name, totals in outcome.operators.items()}
    assert counted == {"source": (0, counted["source"][1]), "work": (200, 200), "asked": (0, 1), "sink": (201, 201)}
    assert [totals.bound for totals in outcome.operators.values()] == ["exactly"] * 4
    shares = {one.name: one.ready for one in house.reporter.statuses[-2].operators}
    assert shares["work"] == 2


def test_killed_and_deleted_pods_are_started_again_and_only_what_the_killed_one_did_last_is_uncertain(
    house: PodHouse,
) -> None:
    def end_both() -> None:
        kill_operator(house, "work", 0)
        house.delete("work", replica=1)

    plan = line(house.source(300, pause_ms=10), house.work(replicas=2, pause_ms=15), house.sink())
    house.once(lambda now: now["work"].finished > 20, end_both)
    with pytest.raises(SessionFailed, match=r"A process of work .* at most \d+ messages? to work") as caught:
        house.run(plan)

    outcome = caught.value.outcome
    # One that is asked to go tells all that it has counted first.
    assert (outcome.operators["work"].restarts, outcome.operators["work"].unsaid) == (2, 1)
    assert len(set(house.numbers())) == len(house.numbers())
    assert 300 <= len(house.numbers()) + outcome.lost < 350
    assert "work (replica 1) is ready again" in house.reporter.text
    assert "by the signal SIGKILL" in house.reporter.text


def test_scheduler_says_why_an_operator_waits_and_the_session_fails_in_time(
    tmp_path: Path, cluster: RunningCluster, namespace: str
) -> None:
    house = PodHouse(tmp_path, cluster, namespace, RUNSTART_POD_PENDING_S="4")
    house.change(allowances={"work": Allowance(memory_bytes=1 << 50)})
    reasons = set()
    house.reporter.on_status = lambda status: reasons.add(status.reason)
    with pytest.raises(Unschedulable, match="Insufficient memory"):
        house.run(line(house.source(1), house.work(), house.sink()))

    assert any("work (replica 0) waits: no node has a place for it" in reason for reason in reasons)
    assert house.objects() == []


def test_what_a_killed_session_leaves_is_removed_from_another_pod_when_its_run_has_ended(
    house: PodHouse, cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.session_id = new_session_id()
    program = KILLED.format(data=str(cluster.data_dir), namespace=house.namespace, session_id=house.session_id)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    place = house.folder / "killed"
    process = subprocess.Popen([sys.executable, "-c", program, str(house.folder), *paths])
    try:
        wait_until((place / "out" / "sink").exists, "the first number", timeout=60)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    store = FileStore(place / "store")
    assert len(house.objects()) >= 8
    monkeypatch.setattr("socket.gethostname", lambda: "another-pod")

    def clean(is_over: bool) -> list[str]:
        return clean_up(house.launcher, store, lambda _: is_over, 600.0, time.time() + 60)

    assert clean(is_over=False) == []
    (text,) = clean(is_over=True)
    assert f"Session {house.session_id}: its run has ended; removed the task" in text
    assert read_record(store, house.session_id).state == "failed"


@pytest.mark.parametrize("is_plain", [True, False])
def test_all_messages_of_a_probe_session_arrive(house: PodHouse, is_plain: bool) -> None:
    order = ProbeOrder(5000, plain_stream=is_plain, session_id=house.session_id)

    outcome = run_probe_session(order, house.launcher, house.store, house.settings, Remembering())

    assert (outcome.state, outcome.arrived, outcome.troubles) == ("finished", 5000, ())
