"""What is special about pods, on a real cluster: what confines them, how others end them, and what else they meet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml
from launcher_bench import (
    HANDLES,
    PATIENCE_S,
    SLEEPS,
    end_of,
    failure,
    label,
    run,
    run_to_failure,
    started,
    wait_for_words,
)
from pod_bench import Pods, namespace_of, settings_for, spec_of, threads_left
from relay import Relay
from waiting import wait_until

from runstart.facility import HOST_IMAGE
from runstart.launchers import KubernetesLauncher, LaunchSpec, Limits, Mount, Task
from runstart.launchers import failures as names

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

pytestmark = pytest.mark.k8s

PENDING_S = 4
ROLES = Path(__file__).parents[3] / "k8s" / "base" / "rights.yaml"
WRITES = """
import time
with open("/tmp/file", "wb") as file:
    for _ in range(20):
        file.write(bytes(1_000_000))
print("written", flush=True)
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def pods(cluster: RunningCluster) -> Iterator[Pods]:
    """A launcher in a namespace of its own that waits for seconds only."""
    with namespace_of(cluster) as namespace:
        volumes = "/=host:/, /none=pvc:no-such-claim"
        bench = Pods(cluster, namespace, RUNSTART_POD_PENDING_S=str(PENDING_S), RUNSTART_LAUNCHER_VOLUMES=volumes)
        yield bench
        assert bench.left() == []
        wait_until(lambda: threads_left() == [], "the end of the threads that watched")


@pytest.fixture(scope="module")
def doomed(pods: Pods) -> Iterator[dict[str, Task]]:
    """Tasks whose ends take their time, started at once."""
    specs = {
        "disk": spec_of(WRITES, limits=Limits(disk_bytes=5_000_000)),
        "memory": spec_of(SLEEPS, limits=Limits(memory_bytes=1 << 50)),
        "claim": spec_of(SLEEPS, mounts=(Mount(Path("/none"), "/none"),)),
    }
    tasks = {name: pods.launcher.start(spec) for name, spec in specs.items()}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            pods.launcher.remove(task)


@pytest.fixture(autouse=True)
def _started_early(doomed: dict[str, Task]) -> None:
    """Start what takes its time before the first test."""


def test_pod_has_no_rights_and_writes_nothing_but_its_temporary_folder(pods: Pods) -> None:
    text = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
written = []
for folder in ("/", "/app", "/etc", "/mnt", "/usr", "/tmp"):
    try:
        open(folder + "/written", "w").close()
        written.append(folder)
    except OSError:
        pass
rights = [status[name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")]
print(json.dumps([written, os.getuid(), os.getgid(), *rights, os.path.exists("/var/run/secrets")]))
"""
    ended, said = run(pods, text)

    assert ended.exit_code == 0, said
    none = "0" * 16
    assert json.loads(said) == [["/tmp"], 10001, 10001, none, none, "1", "2", False]


def test_namespace_that_admits_only_restricted_pods_admits_tasks_and_says_why_it_admits_no_other(
    cluster: RunningCluster,
) -> None:
    with namespace_of(cluster, "pod-security.kubernetes.io/enforce=restricted") as namespace:
        bench = Pods(cluster, namespace, RUNSTART_POD_PENDING_S="2")
        bare = LaunchSpec(("/no/such/program",), "test task", image=HOST_IMAGE)
        with pytest.raises(names.StartFailed, match="/no/such/program"):
            run_to_failure(bench, bare)
        with pytest.raises(names.StartFailed, match="violates PodSecurity"):
            run_to_failure(bench, spec_of(SLEEPS))


def test_full_quota_is_no_place(cluster: RunningCluster) -> None:
    with namespace_of(cluster) as namespace:
        bench = Pods(cluster, namespace, RUNSTART_POD_PENDING_S="2")
        bench.kubectl("create", "quota", "full", "--hard=pods=0")
        with pytest.raises(names.Unschedulable, match="exceeded quota"):
            run_to_failure(bench, spec_of(SLEEPS))


def test_task_killed_by_itself_is_not_said_to_have_used_too_much_memory(pods: Pods) -> None:
    with started(pods, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)") as task:
        found = failure(pods, task)

    assert isinstance(found, names.ExitFailed)
    assert found.exit_code == 137


@pytest.mark.parametrize("what", ["pod", "job", "eviction"])
def test_task_that_others_end_is_lost_with_all_that_it_printed(pods: Pods, what: str) -> None:
    with started(pods, HANDLES) as task:
        wait_for_words(pods, task, "up")
        pod = pods.pod_of(task)["metadata"]["name"]
        if what == "eviction":
            kind = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
            path = f"/api/v1/namespaces/{pods.namespace}/pods/{pod}/eviction"
            pods.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(kind))
        else:
            pods.kubectl("delete", what, pod if what == "pod" else task.identifier, "--wait=false")
        found = failure(pods, task)

        assert isinstance(found, names.DeletedFromOutside)
        assert ("evicted" if what == "eviction" else "deleted") in str(found)
        assert pods.launcher.logs(task) == "up\nleaving\n"


def test_labels_need_not_be_such_as_kubernetes_can_have(pods: Pods) -> None:
    odd = {"two words": "a/b; c", "long": uuid4().hex * 4, "é": "", "runstart.test": uuid4().hex}
    with started(pods, SLEEPS, labels=odd) as task:
        (listed,) = pods.launcher.list({"long": odd["long"]})

        assert (listed.task, dict(listed.labels)) == (task, odd)
        assert list(pods.launcher.list({"two words": "a/b;  c"})) == []


def test_mount_on_a_claim_shows_what_lies_below_and_writes_there(pods: Pods, tmp_path: Path) -> None:
    name = f"runstart-{uuid4().hex[:8]}"
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b").chmod(0o777)
    (tmp_path / "a" / "b" / "given").write_text("given")
    common: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {"hostPath": {"path": str(tmp_path)}, "capacity": {"storage": "1Gi"}}
    claim = {"volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}
    for kind, spec in (("PersistentVolume", volume), ("PersistentVolumeClaim", claim)):
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": {**common, **spec}}
        pods.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    volumes = f"/=host:/,/claims=pvc:{name}"
    bench = Pods(pods.cluster, pods.namespace, RUNSTART_LAUNCHER_VOLUMES=volumes)
    try:
        text = "print(open('/in/given').read()); open('/in/made', 'w').write('made')"
        ended, said = run(bench, text, mounts=(Mount(Path("/claims/a/b"), "/in", writable=True),))
    finally:
        pods.kubectl("delete", f"pvc/{name}", f"pv/{name}", "--wait=false")

    assert (ended.exit_code, said) == (0, "given\n")
    assert (tmp_path / "a" / "b" / "made").read_text() == "made"


def test_task_that_writes_more_to_a_volume_than_it_may_is_ended(pods: Pods, tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    folder.mkdir()
    folder.chmod(0o777)
    text = "open('/out/file', 'wb').write(bytes(3_000_000)); import time; time.sleep(600)"
    mounts = (Mount(folder, "/out", writable=True),)
    ended, _ = run(pods, text, mounts=mounts, limits=Limits(disk_bytes=2_000_000))

    assert ended.reason == "disk"


def test_task_of_a_dead_process_with_scratch_is_removed(pods: Pods, tmp_path: Path) -> None:
    mine, scratch = label(), tmp_path / "scratch"
    scratch.mkdir()
    spec = replace(spec_of(SLEEPS), labels=mine, scratch=scratch)
    text = f"from pathlib import *\nfrom runstart.launchers import *\nlauncher.start({spec!r})"
    pods.elsewhere(text)
    assert len(pods.launcher.list(mine)) == 1

    (told,) = pods.launcher.remove_expired()

    assert "the process that started it has died" in told
    assert list(pods.launcher.list(mine)) == []
    assert not scratch.exists()


def test_account_with_the_role_of_runs_can_do_everything_and_without_it_is_told_what_is_missing(
    pods: Pods, tmp_path: Path
) -> None:
    pods.kubectl("create", "serviceaccount", "runs")
    config = _become(pods.cluster, tmp_path, token=pods.kubectl("create", "token", "runs").strip())
    bench = Pods(pods.cluster, pods.namespace, KUBECONFIG=str(config))
    who = f"system:serviceaccount:{pods.namespace}:runs"
    with pytest.raises(names.RightMissing, match=f"not let {who} create jobs in the namespace {pods.namespace}"):
        bench.launcher.start(spec_of(SLEEPS))
    (role,) = [one for one in yaml.safe_load_all(ROLES.read_text()) if one["metadata"]["name"] == "start-operators"]
    role["metadata"] = {"name": "runs"}
    pods.kubectl("apply", "-f", "-", stdin=json.dumps(role))
    pods.kubectl("create", "rolebinding", "runs", "--role=runs", f"--serviceaccount={pods.namespace}:runs")
    wait_until(lambda: _may_list(bench), "the role to be known")
    network = f"network-{uuid4().hex[:8]}"

    bench.launcher.fetch_image(HOST_IMAGE)
    bench.launcher.make_network(network, {})
    with started(bench, HANDLES, network=network, limits=Limits(seconds=100)) as task:
        wait_for_words(bench, task, "up")
        assert [one.name for one in bench.launcher.list_networks({})] == [network]
        assert task in [one.task for one in bench.launcher.list({})]
        bench.launcher.stop(task, PATIENCE_S)
        assert end_of(bench, task).reason == "stopped"
    bench.launcher.remove_network(network)
    with pytest.raises(names.StartFailed, match="no-such-network"):
        bench.launcher.start(spec_of(SLEEPS, network="no-such-network"))


def test_outage_of_the_api_server_costs_neither_the_end_nor_the_output(pods: Pods, tmp_path: Path) -> None:
    text = """
import sys, time, os
print("up", flush=True)
while not os.path.exists(sys.argv[1] + "/go"): time.sleep(0.05)
print("done", flush=True)
"""
    tmp_path.chmod(0o755)
    host, _, port = _config(pods.cluster)["clusters"][0]["cluster"]["server"].rpartition("/")[2].partition(":")
    with Relay((host, int(port))) as relay:
        config = _become(pods.cluster, tmp_path, server=f"https://127.0.0.1:{relay.port}", tls=host)
        bench = Pods(pods.cluster, pods.namespace, KUBECONFIG=str(config))
        with started(bench, text, str(tmp_path), mounts=(Mount(tmp_path, str(tmp_path)),)) as task:
            wait_for_words(bench, task, "up")
            relay.cut()

            with pytest.raises(names.EngineUnreachable, match=str(relay.port)):
                wait_until(lambda: bench.launcher.wait(task, 0.1), "the trouble", PATIENCE_S)
            with pytest.raises(names.EngineUnreachable):
                bench.launcher.list({})
            (tmp_path / "go").touch()
            wait_until(lambda: pods.pod_of(task)["status"]["phase"] == "Succeeded", "the end", PATIENCE_S)
            relay.mend()

            assert end_of(bench, task).exit_code == 0
            assert bench.launcher.logs(task) == "up\ndone\n"


def test_task_without_a_place_is_told_with_the_schedulers_own_reason_and_never_runs(
    pods: Pods, doomed: dict[str, Task]
) -> None:
    found = failure(pods, doomed["memory"])

    assert isinstance(found, names.Unschedulable)
    assert "Insufficient memory" in str(found)
    selector = f"batch.kubernetes.io/job-name={doomed['memory'].identifier}"
    wait_until(
        lambda: not pods.kubectl("get", "pods", "-l", selector, "-o", "name"), "the end of its pod", PATIENCE_S
    )


def test_claim_that_does_not_exist_is_named(pods: Pods, doomed: dict[str, Task]) -> None:
    found = failure(pods, doomed["claim"])

    assert isinstance(found, names.Unschedulable)
    assert '"no-such-claim" not found' in str(found)


def test_task_over_its_disk_is_ended_and_named(pods: Pods, doomed: dict[str, Task]) -> None:
    ended = pods.launcher.wait(doomed["disk"], 2 * PATIENCE_S)

    assert ended is not None
    assert ended.reason == "disk"
    assert "exceeds the limit" in ended.trouble
    assert pods.launcher.logs(doomed["disk"]) == "written\n"


def test_nothing_listens_at_the_clusters_address(tmp_path: Path, cluster: RunningCluster) -> None:
    config = _become(cluster, tmp_path, server="https://127.0.0.1:1")
    launcher = KubernetesLauncher({**settings_for(cluster, "default"), "KUBECONFIG": str(config)})
    with pytest.raises(names.EngineUnreachable, match=r"https://127\.0\.0\.1:1 does not answer"):
        launcher.start(spec_of(SLEEPS))


def _may_list(bench: Pods) -> bool:
    try:
        bench.launcher.list({})
    except names.RightMissing:
        return False
    return True


def _config(cluster: RunningCluster) -> dict[str, Any]:
    return dict(yaml.safe_load(cluster.kubeconfig.read_text()))


def _become(cluster: RunningCluster, folder: Path, *, token: str = "", server: str = "", tls: str = "") -> Path:
    """Write the administrator's configuration with another user or address, and return its path."""
    config = _config(cluster)
    if token:
        config["users"][0]["user"] = {"token": token}
    if server:
        config["clusters"][0]["cluster"] |= {"server": server} | ({"tls-server-name": tls} if tls else {})
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
