"""A cluster as the tests of its launcher see it: a namespace of their own, and this machine's Python in its pods."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from launcher_bench import Bench

from runstart.facility import HOST_IMAGE, host_mounts
from runstart.launchers import KubernetesLauncher, LaunchSpec, Task

if TYPE_CHECKING:
    from runstart.facility.cluster import RunningCluster

IMAGES = ("localhost/runstart-host", "localhost/runstart-there-is-none:1")
SERVICE = {f"KUBERNETES_{name}" for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", "PORT")} | {
    f"KUBERNETES_PORT_443_TCP{name}" for name in ("", "_PROTO", "_PORT", "_ADDR")
}


class Pods(Bench):
    """Pods of a real cluster, in an image that has this machine's Python."""

    added_environment = frozenset({"LC_CTYPE", "PATH", "HOSTNAME", "HOME"} | SERVICE)
    forbidden_image = "localhost/runstart-host-evil:latest"
    least_grace_s = 1.0

    def __init__(self, cluster: RunningCluster, namespace: str, **settings: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.environ = settings_for(cluster, namespace) | settings
        self.launcher = KubernetesLauncher(self.environ, IMAGES)
        self.making = (
            f"from runstart.launchers import KubernetesLauncher\n"
            f"launcher = KubernetesLauncher({self.environ!r}, {IMAGES!r})"
        )

    def spec(self, text: str, *arguments: str, **fields: Any) -> LaunchSpec:
        return spec_of(text, *arguments, **fields)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def pod_of(self, task: Task) -> dict[str, Any]:
        """Return a task's only pod."""
        selector = f"batch.kubernetes.io/job-name={task.identifier}"
        (pod,) = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return dict(pod)

    def left(self) -> list[str]:
        tasks = [f"task {listed.task}" for listed in self.launcher.list({})]
        pods = self.kubectl("get", "pods,jobs,networkpolicies", "-o", "name").split()
        return tasks + pods + [f"network {network.name}" for network in self.launcher.list_networks({})]


def settings_for(cluster: RunningCluster, namespace: str) -> dict[str, str]:
    # The only node's files are this machine's.
    return {
        **cluster.environment,
        "RUNSTART_LAUNCHER_NAMESPACE": namespace,
        "RUNSTART_LAUNCHER_VOLUMES": "/=host:/",
        "RUNSTART_POD_PENDING_S": "60",
    }


def spec_of(text: str, *arguments: str, **fields: Any) -> LaunchSpec:
    mounts = (*host_mounts(), *fields.pop("mounts", ()))
    command = (sys.executable, "-I", "-S", "-c", text, *arguments)
    return LaunchSpec(command, "test task", image=HOST_IMAGE, mounts=mounts, **fields)


def threads_left() -> list[str]:
    """Return the threads of launchers that still watch something."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name in ("watch of pods", "output of a pod")]


@contextmanager
def namespace_of(cluster: RunningCluster, *labels: str) -> Iterator[str]:
    """Make a namespace with this machine's image at hand, and remove it with all that is in it."""
    name = f"operators-{uuid4().hex[:8]}"
    cluster.import_host_image()
    cluster.kubectl("create", "namespace", name)
    try:
        if labels:
            cluster.kubectl("label", "namespace", name, *labels)
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
