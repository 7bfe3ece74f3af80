"""The ways in which pods end, on a real cluster: each by its name, in the right state in Dagster, and nothing is left.

All runs are started at once and looked at one after the other, since most of the time goes by in waiting. One node shows
no loss of a node but that of its agent: see the last test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from pod_definitions import MEMORY, NO_IMAGE, NO_ROOM, SHORT, failing_init
from pod_house import FINISHED, PodHouse
from waiting import wait_until

from runstart.facility.cluster import Cluster

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(420)]

SUCCESS, FAILURE, CANCELED = FINISHED
PENDING_SECONDS = 20


@pytest.fixture(scope="module")
def house(cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodHouse]:
    """Dagster with all runs under way."""
    environ = {"RUNSTART_POD_PENDING_S": str(PENDING_SECONDS)}
    with PodHouse(cluster, tmp_path_factory.mktemp("pods"), "pod_definitions", environ) as opened:
        for name, (job, pod) in RUNS.items():
            opened.request(name, job, pod() if callable(pod) else pod)
        yield opened


RUNS: dict[str, tuple[str, Any]] = {
    "deleted": ("waits", None),
    "evicted": ("goes_slowly", None),
    "stopped": ("sleeps", None),
    "passing": ("passing", None),
    "told": ("told", None),
    "eats": ("eats", MEMORY),
    "no image": ("waits", NO_IMAGE),
    "bad init": ("waits", failing_init),
    "no room": ("waits", NO_ROOM),
    "deadline": ("waits", SHORT),
}


def nothing_is_left(house: PodHouse, *runs: dg.DagsterRun) -> bool:
    wait_until(lambda: not any(house.left(run) for run in runs), "the removal of pods and jobs", 60, 1.0)
    return True


def test_pod_of_a_run_that_is_deleted_is_named_and_its_run_goes_on_in_another(house: PodHouse) -> None:
    run = house.wait_for_start("deleted")
    house.kubectl("delete", "pod", *house.pods_of(run), "--wait=false")
    first, second = house.wait_for_end("deleted", runs=2)

    assert (first.status, second.status) == (FAILURE, SUCCESS)
    assert "The pod of this run ended: deleted. " in house.failure(first)
    assert nothing_is_left(house, first, second)


def test_pod_of_a_run_that_is_evicted_is_named_and_its_run_goes_on_in_another(house: PodHouse) -> None:
    run = house.wait_for_start("evicted")
    house.evict(house.pods_of(run)[0])
    first, second = house.wait_for_end("evicted", runs=2)

    assert (first.status, second.status) == (FAILURE, SUCCESS)
    assert "The pod of this run ended: evicted. " in house.failure(first)
    assert "EvictionByEvictionAPI" in house.failure(first)
    assert nothing_is_left(house, first, second)


def test_run_that_runs_out_of_memory_is_done_again_with_twice_as_much(house: PodHouse) -> None:
    first, second = house.wait_for_end("eats", runs=2)

    assert (first.status, second.status) == (FAILURE, SUCCESS)
    said = house.failure(first)
    assert "The pod of this run ended: out of memory. " in said
    assert "limit of 400Mi" in said
    assert "Its retry gets 800Mi." in said
    assert nothing_is_left(house, first, second)


TOLD = {
    "no image": ("image pull", "not present with pull policy of Never"),
    "bad init": ("init failure", "The init container prepare "),
    "no room": ("unschedulable", "Insufficient cpu"),
    "deadline": ("deadline", "deadline"),
}


@pytest.mark.parametrize("name", TOLD)
def test_run_whose_pod_ends_in_a_way_that_people_must_mend_is_not_done_again(house: PodHouse, name: str) -> None:
    (run,) = house.wait_for_end(name)

    assert run.status is FAILURE
    end, reason = TOLD[name]
    assert f"The pod of this run ended: {end}. " in house.failure(run)
    assert reason in house.failure(run)
    assert run.tags["dagster/will_retry"] == "false"
    assert nothing_is_left(house, run)


def test_run_that_waits_for_its_place_says_so_before_it_fails(house: PodHouse) -> None:
    (run,) = house.wait_for_end("no room")
    said = [event.message or "" for event in house.events(run) if event.event_type_value == "ENGINE_EVENT"]

    assert any("The pod of this run waits: no node has a place for it." in text for text in said)


def test_steps_whose_pods_end_in_ways_that_pass_are_done_again_in_the_same_run(house: PodHouse) -> None:
    run = house.wait_for_start("passing", pods=3)
    house.kubectl("delete", "pod", house.pod_of_step(run, "wait_once"), "--wait=false")
    house.evict(house.pod_of_step(run, "wait_once_too"))
    (run,) = house.wait_for_end("passing")

    said = house.said_of_steps(run, "STEP_UP_FOR_RETRY")
    assert run.status is SUCCESS, house.story("passing")
    assert "health check: deleted. " in said["wait_once"]
    assert "health check: evicted. " in said["wait_once_too"]
    assert "health check: out of memory. " in said["eat"]
    assert "It is started again with 800Mi." in said["eat"]
    assert nothing_is_left(house, run)


def test_steps_whose_pods_end_in_ways_that_people_must_mend_fail_their_run(house: PodHouse) -> None:
    (run,) = house.wait_for_end("told")

    said = house.said_of_steps(run, "STEP_FAILURE")
    assert run.status is FAILURE
    assert "health check: image pull. " in said["has_no_image"]
    assert "health check: init failure. " in said["has_bad_init"]
    assert "health check: unschedulable. " in said["has_no_room"]
    assert "Insufficient cpu" in said["has_no_room"]
    assert "health check: failed start. " in said["has_no_class"]
    assert "no PriorityClass with name there-is-none" in said["has_no_class"]
    assert "health check: deadline. " in said["has_deadline"]
    assert run.tags["dagster/will_retry"] == "false"
    assert nothing_is_left(house, run)


def test_stopping_a_run_removes_the_pods_of_its_steps(house: PodHouse) -> None:
    run = house.wait_for_start("stopped", pods=2)
    assert len(house.pods_of(run, "step_worker")) == 2
    house.terminate(run)
    (run,) = house.wait_for_end("stopped")

    assert run.status is CANCELED
    assert nothing_is_left(house, run)


def test_run_that_is_stopped_before_its_pod_has_a_place_is_canceled(house: PodHouse) -> None:
    house.request("stopped early", "waits", NO_ROOM)
    run = house.wait_for_pod("stopped early")
    house.terminate(run)
    (run,) = house.wait_for_end("stopped early")

    assert run.status is CANCELED
    assert nothing_is_left(house, run)


def test_run_whose_node_is_lost_goes_on_when_there_is_a_node_again(
    house: PodHouse, cluster: RunningCluster
) -> None:
    if not isinstance(cluster, Cluster):
        pytest.skip("this cluster's node belongs to somebody else")
    house.request("lost", "waits")
    run = house.wait_for_start("lost")
    cluster.stop_kubelet()
    try:
        house.wait_for_failure("lost")
        assert "The pod of this run ended: node lost. " in house.failure(run)
        assert nothing_is_left(house, run)
    finally:
        cluster.start_kubelet()
    first, second = house.wait_for_end("lost", runs=2)
    assert (first.run_id, first.status, second.status) == (run.run_id, FAILURE, SUCCESS)
