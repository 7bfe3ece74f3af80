"""Podman in namespaces of its own: what survives the engine, and that nothing survives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from runstart.facility import HOST_IMAGE, Podman, host_mounts, make_host_image
from runstart.launchers import DockerLauncher, LaunchSpec, Task

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="Podman is started for the superuser only"),
]

SLEEPER = "1234.5678"


def start_sleeper(engine: Podman) -> tuple[DockerLauncher, Task]:
    from docker import APIClient

    client = APIClient(engine.url, version="auto")
    make_host_image(client)
    client.close()
    launcher = DockerLauncher(engine.environment)
    launcher.make_network("runstart-test", {})
    spec = LaunchSpec(("sleep", SLEEPER), "sleeper", {"PATH": "/usr/bin"}, host_mounts(), image=HOST_IMAGE)
    return launcher, launcher.start(spec)


def sleepers() -> list[str]:
    """Return the processes of this machine that run the sleeper."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", SLEEPER.encode()]:
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def traces(folder: Path) -> list[str]:
    """Return what shows outside that Podman runs here: its mounts, and links of its networks."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    return mounts + [name for name in links if name.startswith(("podman", "veth"))]


def control_groups(task: Task) -> list[Path]:
    root = Path("/sys/fs/cgroup")
    return [path for depth in ("", "*/") for path in root.glob(f"{depth}libpod_parent/libpod-{task.identifier}")]


@pytest.mark.faults
def test_containers_outlive_the_engine_and_nothing_outlives_its_stop(tmp_path: Path) -> None:
    before = traces(tmp_path)
    with Podman(tmp_path) as engine:
        launcher, task = start_sleeper(engine)
        first = wait_until(sleepers, "the container's process")
        engine.kill()
        assert sleepers() == first
        engine.start()
        assert [(one.task, one.is_running) for one in launcher.list({})] == [(task, True)]
        assert [network.name for network in launcher.list_networks({})] == ["runstart-test"]
        assert traces(tmp_path) == before
        assert control_groups(task) != []
    assert sleepers() == []
    assert control_groups(task) == []
    assert traces(tmp_path) == before
    assert not (tmp_path / "root").exists()


@pytest.mark.faults
def test_nothing_outlives_a_killed_process(tmp_path: Path) -> None:
    text = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_podman import start_sleeper
from runstart.facility import Podman
engine = Podman(Path({str(tmp_path)!r}))
engine.start()
start_sleeper(engine)
print("up", flush=True)
signal.pause()
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, env=environment) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        assert len(wait_until(sleepers, "the container's process")) == 1
        starter.send_signal(signal.SIGKILL)
    wait_until(lambda: sleepers() == [], "the end of the container")
