"""What a cluster is told of tasks and networks, and what it is not asked for because it could not hold it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runstart.errors import Alert
from runstart.launchers import LaunchSpec, Limits, Mount
from runstart.launchers._job_manifest import job_of, label_selection, time_limit
from runstart.launchers._network_manifest import labels_of_network, policy_of, service_of
from runstart.launchers._pod_settings import PodSettings, read_pod_settings
from runstart.launchers._pod_volumes import read_volumes, show_mounts

SETTINGS = PodSettings(volumes=read_volumes("/output=pvc:output"))


def pod_for(
    settings: PodSettings = SETTINGS, command: tuple[str, ...] = ("sleep", "1"), **fields: Any
) -> dict[str, Any]:
    spec = LaunchSpec(command, "centre of mass", image="probe:1", **fields)
    pod: dict[str, Any] = job_of(spec, "probe:1", "task-1", "here", settings)["spec"]["template"]["spec"]
    return pod


def task_for(**fields: Any) -> dict[str, Any]:
    container: dict[str, Any] = pod_for(**fields)["containers"][0]
    return container


def test_job_is_tried_once_and_removed_by_the_cluster_if_nobody_does() -> None:
    job = job_of(LaunchSpec(("sleep",), "task", image="probe:1"), "probe:1", "task-1", "here", SETTINGS)
    assert (job["spec"]["backoffLimit"], job["spec"]["ttlSecondsAfterFinished"]) == (0, 86_400)
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_dollars_reach_the_task_as_they_are() -> None:
    task = task_for(command=("run", "$(HOME)", "$HOME"), environment={"PRICE": "$(A) $$"})
    assert (task["command"], task["args"]) == (["run"], ["$$(HOME)", "$$HOME"])
    assert {"name": "PRICE", "value": "$$(A) $$$$"} in task["env"]


def test_requests_are_limits_except_for_idle_processor_time() -> None:
    limits = Limits(memory_bytes=1 << 30, cpus=1.5, disk_bytes=1 << 20)
    held = {"memory": "1073741824", "cpu": "1500m", "ephemeral-storage": "1048576"}
    assert task_for(limits=limits)["resources"] == {"limits": held, "requests": held}
    assert task_for(limits=limits, idle=True)["resources"] == {"limits": held, "requests": held | {"cpu": "1m"}}


def test_limit_of_disk_is_that_of_the_temporary_folder_too() -> None:
    limits = Limits(disk_bytes=1 << 20)
    assert {"name": "temporary", "emptyDir": {"sizeLimit": "1048576"}} in pod_for(limits=limits)["volumes"]


def test_limit_of_processes_is_held_only_where_the_nodes_are_known_to_hold_it() -> None:
    for settings in (SETTINGS, PodSettings(pod_pids=1024)):
        with pytest.raises(Alert, match=r"256 processes.*RUNSTART_LAUNCHER_POD_PIDS"):
            pod_for(settings, limits=Limits(processes=256))
    assert pod_for(PodSettings(pod_pids=256), limits=Limits(processes=256))


def test_time_limit_leaves_the_task_all_of_its_own_and_its_pod_the_time_to_start() -> None:
    assert [time_limit(0.0, 1.5), time_limit(7.0, 10.0), time_limit(0.0, 0.1)] == [3, 18, 2]
    assert pod_for(PodSettings(pending_s=120.0), limits=Limits(seconds=10.0))["activeDeadlineSeconds"] == 131
    assert "activeDeadlineSeconds" not in pod_for()


def test_labels_that_kubernetes_cannot_have_are_replaced_by_their_digests() -> None:
    plain = {"runstart.session": "a1B.2-x", "empty": "", "example.org/key": "x" * 63}
    assert label_selection(plain) == plain
    odd = {"a b": "1", "key": "two words", "long": "x" * 64, "é": "é", "/": ""}
    replaced = label_selection(odd)
    assert len(replaced) == len(odd)
    assert replaced["key"].startswith("sha256-")
    assert all(len(value) <= 63 and name.rpartition("/")[2] for name, value in replaced.items())
    assert replaced["key"] != label_selection({"key": "two  words"})["key"]


def test_task_without_network_has_the_label_of_the_denying_policy_and_nobody_to_ask_for_names() -> None:
    spec = LaunchSpec(("sleep",), "task", image="probe:1")
    template = job_of(spec, "probe:1", "task-1", "here", SETTINGS)["spec"]["template"]
    assert template["metadata"]["labels"]["runstart.science/has-network"] == "false"
    assert "runstart.science/network" not in template["metadata"]["labels"]
    assert (template["spec"]["dnsPolicy"], template["spec"]["dnsConfig"]["nameservers"]) == ("None", ["127.0.0.1"])


def test_network_cuts_its_tasks_off_from_all_but_each_other_and_names() -> None:
    labels = {"session": "two words"}
    service = service_of("night-1", labels)
    policy = policy_of("night-1", labels, {"metadata": {"uid": "1-2"}})
    members = {"podSelector": {"matchLabels": {"runstart.science/network": "night-1"}}}

    assert labels_of_network(service) == labels
    assert service["spec"]["clusterIP"] == "None"
    assert policy["spec"]["podSelector"] == members["podSelector"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == [{"from": [members]}]
    reached, names = policy["spec"]["egress"]
    assert reached == {"to": [members]}
    assert [port["port"] for port in names["ports"]] == [53, 53]
    pod = pod_for(network="night-1", network_alias="detector")
    assert (pod["hostname"], pod["subdomain"]) == ("detector", "night-1")
    assert pod["dnsConfig"]["searches"] == ["night-1.runstart-operators.svc.cluster.local"]


@pytest.mark.parametrize("fields", [{"network": "Night_1"}, {"network": "night", "network_alias": "-x"}])
def test_name_that_dns_cannot_have_is_told(fields: dict[str, str]) -> None:
    with pytest.raises(Alert, match="small letters"):
        pod_for(**fields)


@pytest.mark.parametrize(
    ("source", "volume", "shown"),
    [
        ("/output/run/1", {"persistentVolumeClaim": {"claimName": "output"}}, {"subPath": "run/1"}),
        ("/output", {"persistentVolumeClaim": {"claimName": "output"}}, {}),
        ("/output/fast/a", {"persistentVolumeClaim": {"claimName": "fast"}}, {"subPath": "a"}),
        ("/usr/lib", {"hostPath": {"path": "/host/usr/lib"}}, {}),
    ],
)
def test_mount_lies_on_the_volume_of_the_longest_prefix(source: str, volume: Any, shown: Any) -> None:
    folders = read_volumes("/output=pvc:output, /output/fast=pvc:fast,/usr=host:/host/usr")
    volumes, mounts = show_mounts([Mount(Path(source), "/in")], folders)
    assert volumes == [{"name": "volume-0", **volume}]
    assert mounts == [{"name": "volume-0", "mountPath": "/in", "readOnly": True, **shown}]


def test_claim_is_one_volume_however_often_it_is_mounted() -> None:
    mounts = [Mount(Path("/output/a"), "/a"), Mount(Path("/output/b"), "/b", writable=True)]
    volumes, shown = show_mounts(mounts, SETTINGS.volumes)
    assert len(volumes) == 1
    assert [(one["subPath"], one["readOnly"]) for one in shown] == [("a", True), ("b", False)]


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        (Mount(Path("/outputs/a"), "/a"), r"/outputs/a lies on no volume.*is /output, /archive\."),
        (Mount(Path("/output/../etc"), "/a"), r"without \.\."),
        (Mount(Path("/output"), "/a/../b"), r"without \.\."),
        (Mount(Path("output"), "/a"), "whole path"),
        (Mount(Path("/archive/a"), "/a", writable=True), "read-only"),
        (Mount(Path("/none/a"), "/a"), "does not exist"),
    ],
)
def test_mount_that_cannot_be_shown_is_told(mount: Mount, said: str) -> None:
    folders = read_volumes("/output=pvc:output,/archive=pvc:archive:ro")
    if "none" in str(mount.source):
        folders = read_volumes("/none=host:/none")
    with pytest.raises(Alert, match=said):
        show_mounts([mount], folders)


@pytest.mark.parametrize(
    "text",
    [
        "output=pvc:a",
        "/output=pvc:A_b",
        "/output=nfs:a",
        "/a=host:b",
        "/a=host:/b/../c",
        "/../a=pvc:a",
        "/a=pvc:a,/a=pvc:b",
    ],
)
def test_volumes_that_do_not_have_their_form_are_told(text: str) -> None:
    with pytest.raises(Alert, match="RUNSTART_LAUNCHER_VOLUMES"):
        read_volumes(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNSTART_LAUNCHER_NAMESPACE", "Has_Capitals"),
        ("RUNSTART_LAUNCHER_USER", "0"),
        ("RUNSTART_LAUNCHER_USER", "root"),
        ("RUNSTART_POD_PENDING_S", "soon"),
        ("RUNSTART_POD_PENDING_S", "inf"),
        ("RUNSTART_CLUSTER_DOMAIN", "-"),
    ],
)
def test_setting_that_does_not_have_its_form_is_told(name: str, value: str) -> None:
    with pytest.raises(Alert, match=name):
        read_pod_settings({name: value})


def test_settings_are_usual_unless_they_are_given() -> None:
    assert read_pod_settings({"RUNSTART_LAUNCHER_USER": ""}) == PodSettings()
    given = read_pod_settings({"RUNSTART_LAUNCHER_NAMESPACE": "here", "RUNSTART_LAUNCHER_POD_PIDS": "512"})
    assert (given.namespace, given.pod_pids) == ("here", 512)


def test_what_is_known_of_a_task_is_kept_for_other_processes() -> None:
    spec = LaunchSpec(("sleep",), "centre of mass", image="probe:1", labels={"a b": "two words"})
    job = job_of(spec, "probe:1", "task-1", "here", SETTINGS)
    kept = json.loads(job["metadata"]["annotations"]["runstart.science/task"])
    assert kept["a b"] == "two words"
    assert json.loads(kept["runstart.task"])["name"] == "centre of mass"
