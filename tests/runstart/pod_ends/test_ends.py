"""How pods that a real cluster ran have ended; `recorded.json` is what its API said of them."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fake_kubernetes import RECORDED

from runstart.pod_ends import NODE_SILENCE_SECONDS, EndName, Patience, PodEnd, end_of_job, end_of_pod

LATER = datetime(2026, 11, 26, 9, tzinfo=UTC)

NAMES: dict[str, EndName] = {
    "deleted, going": "deleted",
    "deleted, gone": "deleted",
    "evicted, going": "evicted",
    "evicted, gone": "evicted",
    "evicted by its node": "evicted",
    "out of memory": "out of memory",
    "image never pulled": "image pull",
    "registry away": "image pull",
    "init failure": "init failure",
    "unschedulable": "unschedulable",
    "job past its deadline, going": "deadline",
    "job past its deadline": "deadline",
    "pod past its deadline": "deadline",
    "config map missing": "failed start",
    "volume missing": "failed start",
    "program missing": "failed start",
    "priority class missing": "failed start",
    "node silent": "node lost",
    "exited with 4": "exit",
    "exited with 0": "exit",
}
REASONS = {
    "evicted, going": "EvictionByEvictionAPI",
    "evicted, gone": "DisruptionTarget",
    "evicted by its node": 'Usage of EmptyDir volume "full" exceeds the limit "10Mi".',
    "out of memory": "more memory than its limit of 64Mi",
    "image never pulled": "localhost/nothing:1",
    "registry away": "connection refused",
    "init failure": "The init container init of pod init-tt6ft failed with exit code 3",
    "unschedulable": "0/1 nodes are available: 1 Insufficient cpu.",
    "job past its deadline": "Job was active longer than specified deadline.",
    "config map missing": 'configmap "nothing" not found.',
    "volume missing": 'MountVolume.SetUp failed for volume "x"',
    "program missing": '"/nothing": stat /nothing: no such file or directory.',
    "priority class missing": "no PriorityClass with name nothing was found.",
    "node silent": "The node runstart-node of pod lost-9t4dm has not answered",
    "exited with 4": "with code 4",
}
PASS = {"deleted", "evicted", "out of memory", "node lost"}


def end_of(recorded: str, now: datetime = LATER, **changes: Any) -> PodEnd | None:
    case = copy.deepcopy(RECORDED[recorded]) | changes
    return end_of_job(case["job"], case["pods"], case["events"], now=now, patience=Patience(30, 30))


def pod_of(recorded: str) -> dict[str, Any]:
    pod: dict[str, Any] = copy.deepcopy(RECORDED[recorded]["pods"][0])
    return pod


@pytest.mark.parametrize("recorded", NAMES)
def test_end_has_its_name_its_reason_and_its_rule(recorded: str) -> None:
    end = end_of(recorded)

    assert end is not None
    assert end.name == NAMES[recorded]
    assert REASONS.get(recorded, "") in end.reason
    assert end.is_retried == (end.name in PASS or recorded == "registry away")


def test_pod_that_runs_has_not_ended() -> None:
    assert end_of("running", datetime(2026, 11, 26, 6, 59, tzinfo=UTC)) is None


IN_QUEUE = [
    "1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    "1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Insufficient cpu.",
    "2 Insufficient memory, 1 node(s) didn't match. preemption: 0/3 nodes are available: 1 Preemption is not helpful, 2 No",
    "1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.",
    "1 Too many pods. preemption: not eligible due to preemptionPolicy=Never.",
]
IN_VAIN = [
    "1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    "3 node(s) had untolerated taint(s). preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
    "1 node(s) didn't match Pod's node affinity/selector. preemption: not eligible due to preemptionPolicy=Never.",
]


@pytest.mark.parametrize("said", [*IN_QUEUE, *IN_VAIN])
def test_pod_may_wait_for_others_to_make_room_for_longer_than_in_vain(said: str) -> None:
    case = copy.deepcopy(RECORDED["unschedulable"])
    (condition,) = (each for each in case["pods"][0]["status"]["conditions"] if each["type"] == "PodScheduled")
    condition["message"] = f"0/1 nodes are available: {said}"
    made = datetime.fromisoformat(case["pods"][0]["metadata"]["creationTimestamp"])

    def has_ended(seconds: float) -> bool:
        now = made + timedelta(seconds=seconds)
        return end_of_pod(case["pods"][0], now=now, patience=Patience(30, 300)) is not None

    assert [has_ended(seconds) for seconds in (29, 31, 299, 301)] == [False, said in IN_VAIN, said in IN_VAIN, True]


@pytest.mark.parametrize("recorded", ["unschedulable", "volume missing", "priority class missing"])
def test_pod_that_waits_may_do_so_for_its_time(recorded: str) -> None:
    made = datetime.fromisoformat(RECORDED[recorded]["job"]["metadata"]["creationTimestamp"])

    assert end_of(recorded, made + timedelta(seconds=29)) is None
    assert end_of(recorded, made + timedelta(seconds=35)) is not None


def test_node_may_be_silent_for_its_time() -> None:
    since = datetime(2026, 11, 26, 6, 55, 18, tzinfo=UTC)

    assert end_of("node silent", since + timedelta(seconds=NODE_SILENCE_SECONDS - 1)) is None
    assert end_of("node silent", since + timedelta(seconds=NODE_SILENCE_SECONDS)) is not None


def test_codes_are_those_of_the_first_container() -> None:
    assert [
        end.exit_code for name in ("exited with 4", "exited with 0", "out of memory") if (end := end_of(name))
    ] == [
        4,
        0,
        137,
    ]


def test_container_that_a_signal_ended_is_told_by_its_name_and_passes() -> None:
    pod = pod_of("exited with 4")
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = 139
    end = end_of_pod(pod, now=LATER)

    assert end is not None
    assert end.is_retried
    assert "by the signal SIGSEGV" in end.reason


def test_job_that_is_gone_was_deleted() -> None:
    end = end_of_job(None, [], name="dagster-run-1")

    assert end is not None
    assert end.name == "deleted"
    assert "dagster-run-1" in end.reason


def test_pod_that_ended_by_itself_and_was_then_removed_was_not_deleted() -> None:
    pod = pod_of("exited with 4")
    pod["metadata"] |= {"deletionTimestamp": "2026-11-26T05:30:00Z", "deletionGracePeriodSeconds": 30}

    end = end_of_pod(pod, now=LATER)
    assert end is not None
    assert end.name == "exit"


@pytest.mark.parametrize("code", [0, 1, 143])
def test_pod_that_ended_because_it_was_asked_to_go_was_deleted_whatever_its_code(code: int) -> None:
    pod = pod_of("deleted, going")
    ended = {"exitCode": code, "finishedAt": "2026-11-26T06:59:00Z", "reason": "Error"}
    pod["status"]["containerStatuses"][0]["state"] = {"terminated": ended}
    pod["status"]["phase"] = "Succeeded" if code == 0 else "Failed"

    end = end_of_pod(pod, now=LATER)
    assert end is not None
    assert (end.name, end.exit_code) == ("deleted", code)


def test_taint_of_a_lost_node_is_told_from_one_that_asks_pods_to_leave() -> None:
    pod = pod_of("evicted, going")
    (condition,) = (each for each in pod["status"]["conditions"] if each["type"] == "DisruptionTarget")
    condition["reason"] = "DeletionByTaintManager"
    lost = end_of_pod(pod, [{"reason": "NodeNotReady"}], now=LATER)
    asked = end_of_pod(pod, now=LATER)

    assert lost is not None
    assert asked is not None
    assert (lost.name, asked.name) == ("node lost", "evicted")


def test_pod_that_waits_for_a_lost_node_waits_for_its_return() -> None:
    case = json.dumps(RECORDED["unschedulable"])
    told = "1 node(s) had untolerated taint(s) {node.kubernetes.io/unreachable: }"
    end = end_of("unschedulable", pods=json.loads(case.replace("1 Insufficient cpu", told))["pods"])

    assert end is not None
    assert end.name == "unschedulable"
    assert end.is_retried


@pytest.mark.parametrize(
    ("said", "is_retried"),
    [
        ("dial tcp 10.0.0.1:443: i/o timeout", True),
        ("503 Service Unavailable", True),
        ("lookup ghcr.io on 10.0.0.10:53: server misbehaving", True),
        ("pull access denied, repository does not exist or may require authorization", False),
        ("ghcr.io/nothing:1: not found", False),
        ("lookup registry.exmaple: no such host", False),
    ],
)
def test_image_that_a_registry_does_not_give_now_may_come_later(said: str, is_retried: bool) -> None:
    pod = pod_of("registry away")
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ErrImagePull", "message": said}}
    end = end_of_pod(pod, now=LATER)

    assert end is not None
    assert (end.name, end.is_retried) == ("image pull", is_retried)


def test_newest_pod_of_a_job_counts() -> None:
    old, new = pod_of("exited with 4"), pod_of("out of memory")
    old["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    end = end_of("exited with 4", pods=[new, old])

    assert end is not None
    assert end.name == "out of memory"


def test_helper_container_that_ends_does_not_end_a_pod() -> None:
    pod = pod_of("running")
    done = {"name": "a-helper", "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-11-26T06:59:00Z"}}}
    pod["status"]["containerStatuses"].insert(0, done)
    pod["spec"]["containers"].append({"name": "a-helper", "image": "x"})

    assert end_of_pod(pod, now=datetime(2026, 11, 26, 6, 59, 10, tzinfo=UTC)) is None


def test_job_whose_quota_is_used_up_waits_for_a_place() -> None:
    event = {"reason": "FailedCreate", "message": "exceeded quota: small", "involvedObject": {"name": "noclass"}}
    end = end_of("priority class missing", events=[event])

    assert end is not None
    assert end.name == "unschedulable"
