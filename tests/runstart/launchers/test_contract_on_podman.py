from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from launcher_contract import Bench, ImageContract, LauncherContract, NetworkContract

from runstart.facility import HOST_IMAGE, host_mounts
from runstart.launchers import DockerLauncher, LaunchSpec

if TYPE_CHECKING:
    from runstart.facility import Podman

pytestmark = pytest.mark.real

IMAGES = ("localhost/runstart-host", "localhost/runstart-there-is-none:1")


class Containers(Bench):
    """Containers of a real Podman, in an image that has this machine's Python."""

    added_environment = frozenset({"LC_CTYPE", "PATH", "TERM", "HOSTNAME", "container", "HOME"})
    forbidden_image = "localhost/runstart-host-evil:latest"

    def __init__(self, podman: Podman) -> None:
        self.launcher = DockerLauncher(podman.environment, IMAGES)
        self.making = (
            f"from runstart.launchers import DockerLauncher\n"
            f"launcher = DockerLauncher({podman.environment!r}, {IMAGES!r})"
        )

    def spec(self, text: str, *arguments: str, **fields: Any) -> LaunchSpec:
        mounts = (*host_mounts(), *fields.pop("mounts", ()))
        command = (sys.executable, "-I", "-S", "-c", text, *arguments)
        return LaunchSpec(command, "test task", image=HOST_IMAGE, mounts=mounts, **fields)

    def left(self) -> list[str]:
        tasks = [f"task {listed.task}" for listed in self.launcher.list({})]
        return tasks + [f"network {network.name}" for network in self.launcher.list_networks({})]


class TestContainers(LauncherContract, NetworkContract, ImageContract):
    @pytest.fixture
    def bench(self, podman: Podman) -> Iterator[Bench]:
        bench = Containers(podman)
        yield bench
        assert bench.left() == []
