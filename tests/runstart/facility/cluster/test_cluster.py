"""A real cluster: what it runs, what it leaves of itself, and what it never touches."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import wait_until

from runstart.errors import Alert
from runstart.facility import HOST_IMAGE, host_mounts
from runstart.facility.cluster import Cluster
from runstart.facility.cluster.settings import KERNEL_SETTINGS

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(300)]

SLEEPER = "4321.8765"
RUNS = f"""
import sys
from pathlib import Path
from runstart.facility.cluster import Cluster

with Cluster(Path(sys.argv[1])) as cluster:
    cluster.import_host_image()
    cluster.kubectl("run", "sleeper", "--image={HOST_IMAGE}", "--image-pull-policy=Never", "--overrides", sys.argv[2])
    cluster.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")
    print(cluster.place.link, cluster.place.control_group, flush=True)
    sys.stdin.readline()
"""
POD = """
{"spec": {"containers": [{"name": "sleeper", "image": "%s", "imagePullPolicy": "Never", "command": ["/usr/bin/sleep", "%s"],
 "volumeMounts": [{"name": "usr", "mountPath": "/usr", "readOnly": true}]}],
 "volumes": [{"name": "usr", "hostPath": {"path": "/usr"}}]}}
"""


def traces(link: str, folder: Path) -> list[str]:
    """Return what shows outside of a cluster: its interface, its routes, its mounts, its processes."""
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.splitlines()
    shown = [line for line in routes if link in line]
    shown += [path.name for path in Path("/sys/class/net").iterdir() if path.name == link]
    shown += [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command or SLEEPER.encode() in command:
            shown.append(command.decode(errors="replace"))
    return shown


def kernel_settings() -> dict[str, str]:
    return {name: Path("/proc/sys", name).read_text() for name in KERNEL_SETTINGS}


@pytest.mark.parametrize("end", ["by itself", "SIGKILL"])
def test_nothing_of_a_cluster_outlives_who_has_started_it(
    tmp_path_factory: pytest.TempPathFactory, end: str
) -> None:
    before = kernel_settings()
    folder = tmp_path_factory.mktemp("own") / "data"
    command = [sys.executable, "-c", RUNS, str(folder), POD % (HOST_IMAGE, SLEEPER)]
    owner = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4]
    )
    assert owner.stdout is not None
    said = owner.stdout.readline().split()
    assert len(said) == 2, "it did not start"
    link, group = said
    groups = list(Path("/sys/fs/cgroup").glob(f"*/{group}"))
    assert len(traces(link, folder)) > 5
    assert groups != []
    assert kernel_settings() == before, "while it runs"
    if end == "SIGKILL":
        os.kill(owner.pid, signal.SIGKILL)
    owner.communicate("end\n")
    wait_until(lambda: traces(link, folder) == [], "the end of everything", timeout=20)
    assert kernel_settings() == before
    if end == "by itself":
        assert not any(group.exists() for group in groups)
        assert not folder.exists()
    else:
        assert all((group / "cgroup.procs").read_text() == "" for group in groups)


def test_folder_in_which_no_socket_has_room_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="too long for sockets"):
        Cluster(tmp_path / ("long" * 20)).start()


def run_pod(cluster: RunningCluster, name: str, text: str) -> str:
    """Run Python source in a pod, and return what it prints."""
    mounts = host_mounts()
    container = {
        "name": "main",
        "image": cluster.import_host_image(),
        "imagePullPolicy": "Never",
        "command": [sys.executable, "-I", "-S", "-c", text],
        "volumeMounts": [{"name": f"m{i}", "mountPath": m.target, "readOnly": True} for i, m in enumerate(mounts)],
    }
    spec = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": f"m{i}", "hostPath": {"path": str(m.source)}} for i, m in enumerate(mounts)],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    try:
        cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
        return cluster.kubectl("logs", name)
    finally:
        cluster.kubectl("delete", "pod", name, "--grace-period=0", "--force")


def test_pod_reaches_services_by_name_and_this_machine_by_its_address(cluster: RunningCluster) -> None:
    with socket.create_server((cluster.host_address, 0)) as server:
        text = f"""
import socket
print(socket.gethostbyname("kubernetes.default"))
socket.create_connection(("kubernetes.default", 443), 10).close()
socket.create_connection(({cluster.host_address!r}, {server.getsockname()[1]}), 10).close()
print("reached both")
"""
        said = run_pod(cluster, "reaches", text)

    assert said.split("\n")[0].startswith(cluster.place.services.rpartition(".")[0])
    assert "reached both" in said


def test_version_is_the_one_of_the_pinned_sources(cluster: RunningCluster) -> None:
    modules = Path(sys.modules[type(cluster).__module__].__file__ or "").with_name("modules")
    required = (modules / "kubernetes" / "go.mod").read_text().split("require k8s.io/kubernetes ")[1].split()[0]

    assert cluster.kubectl("get", "node", "-o", "jsonpath={.items[0].status.nodeInfo.kubeletVersion}") == required
    assert f"gitVersion: {required}" in cluster.kubectl("version", "-o", "yaml").split("serverVersion")[1]


def test_image_that_is_not_there_is_refused_at_once(cluster: RunningCluster) -> None:
    cluster.kubectl("run", "pulls", "--image=nowhere.example/none:1", "--restart=Never")
    try:
        began = time.monotonic()
        reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
        wait_until(lambda: "Pull" in cluster.kubectl("get", "pod", "pulls", "-o", reason), "the error", timeout=60)
        assert time.monotonic() - began < 60
    finally:
        cluster.kubectl("delete", "pod", "pulls", "--grace-period=0", "--force")


def test_kubectl_that_fails_is_told_with_its_words(cluster: RunningCluster) -> None:
    with pytest.raises(Alert, match="no-such-pod"):
        cluster.kubectl("get", "pod", "no-such-pod")
