"""Reduction scripts in real containers, and those without an image where everything else is a container."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from script_kit import fetched, make_input

from runstart.facility import HOST_IMAGE, host_mounts
from runstart.instruments.script import Script
from runstart.launchers import DockerLauncher, LaunchSpec, Task
from runstart.scripts.runner import execute

if TYPE_CHECKING:
    from runstart.facility import Podman

pytestmark = pytest.mark.real

LOOKS = """
import os, socket
from pathlib import Path

def reduce(run):
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    (Path.cwd() / "file").write_text("written")
    print(os.getuid(), Path.cwd(), others)
    return {"size": run.array([float(run.banks["rear"].counts.size)] * 2, axes={"x": [0, 1]})}
"""


class LendingLauncher(DockerLauncher):
    """Lends containers this machine's Python, which an image would have of its own."""

    def start(self, spec: LaunchSpec) -> Task:
        path = f"{Path(sys.executable).parent}:/usr/bin"
        environment = {**spec.environment, "PATH": path}
        return super().start(replace(spec, mounts=(*spec.mounts, *host_mounts()), environment=environment))


@pytest.fixture
def launcher(podman: Podman) -> Iterator[DockerLauncher]:
    launcher = LendingLauncher(podman.environment)
    yield launcher
    assert launcher.list({}) == []


def script(**fields: object) -> Script:
    return Script(folder="/nowhere", timeout=60, **fields)  # type: ignore[arg-type]


def test_script_with_an_image_is_confined_to_it(launcher: DockerLauncher) -> None:
    outcome = execute(script(container=HOST_IMAGE), fetched(LOOKS), make_input(), launcher)

    assert (outcome.error, outcome.remark, outcome.isolation) == ("", "", "container")
    assert outcome.output.strip() == "65534 /runstart/work []"
    assert outcome.arrays["size"].values.tolist() == [24.0, 24.0]


def test_script_without_an_image_is_a_process_of_this_machine(launcher: DockerLauncher) -> None:
    text = "import os\ndef reduce(run):\n    print(os.getcwd())\n    return {}\n"
    outcome = execute(script(), fetched(text), make_input(), launcher)

    assert (outcome.error, outcome.remark) == ("", "")
    assert outcome.isolation != "container"
    assert outcome.output.strip() != "/runstart/work"


def test_script_over_its_time_is_told(launcher: DockerLauncher) -> None:
    text = "import time\ndef reduce(run):\n    time.sleep(1000)\n"
    short = script(container=HOST_IMAGE).model_copy(update={"timeout": 1.5})
    outcome = execute(short, fetched(text), make_input(), launcher)

    assert outcome.error.startswith("took longer than 1.5 s")
