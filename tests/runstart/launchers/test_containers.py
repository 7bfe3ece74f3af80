"""What is special about containers, on a real Podman: what confines them, and whom they outlive."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import wait_until

from runstart.facility import HOST_IMAGE, host_mounts
from runstart.launchers import DockerLauncher, Ended, LaunchSpec, Limits, Mount, Task
from runstart.launchers.failures import EngineUnreachable

if TYPE_CHECKING:
    from runstart.facility import Podman

pytestmark = pytest.mark.real

SLEEPS = "import time; print('up', flush=True); time.sleep(1000)"
PATIENCE_S = 60.0


@pytest.fixture
def launcher(podman: Podman) -> Iterator[DockerLauncher]:
    launcher = DockerLauncher(podman.environment)
    yield launcher
    assert launcher.list({}) == []
    wait_until(
        lambda: not [thread for thread in threading.enumerate() if thread.name == "watch of containers"],
        "the end of the thread that watched",
    )


def spec_of(text: str, *arguments: str, mounts: tuple[Mount, ...] = (), **fields: Any) -> LaunchSpec:
    command = (sys.executable, "-I", "-S", "-c", text, *arguments)
    return LaunchSpec(command, "test task", image=HOST_IMAGE, mounts=(*host_mounts(), *mounts), **fields)


def run(launcher: DockerLauncher, spec: LaunchSpec) -> tuple[Ended, str]:
    task = launcher.start(spec)
    try:
        ended = launcher.wait(task, PATIENCE_S)
        assert ended is not None
        return ended, launcher.logs(task)
    finally:
        launcher.remove(task)


def wait_until_up(launcher: DockerLauncher, task: Task) -> None:
    wait_until(lambda: "up" in launcher.logs(task), "the task's word", PATIENCE_S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that every user may write."""
    made = tmp_path / "folder"
    made.mkdir()
    made.chmod(0o777)
    return made


def test_container_has_no_rights_and_writes_nothing_but_its_temporary_folder(launcher: DockerLauncher) -> None:
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
capabilities = [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
print(json.dumps([os.getuid(), os.getgid(), capabilities, status["NoNewPrivs"], status["Seccomp"], written]))
"""
    ended, said = run(launcher, spec_of(text))
    assert ended.exit_code == 0
    assert json.loads(said) == [65534, 65534, ["0" * 16] * 5, "1", "2", ["/tmp"]]


def test_what_is_printed_in_pieces_is_told_as_it_was_printed(launcher: DockerLauncher) -> None:
    text = r"""
import sys, time
for piece in ("one ", "two ", "three\n", "x" * 20_000, "\n", "end"):
    sys.stdout.write(piece)
    sys.stdout.flush()
    time.sleep(0.05)
"""
    _, said = run(launcher, spec_of(text))
    assert said == f"one two three\n{'x' * 20_000}\nend"


def test_more_processes_than_the_limit_cannot_be_started(launcher: DockerLauncher) -> None:
    text = """
import os, time
for number in range(50):
    try:
        if os.fork() == 0:
            time.sleep(1000)
    except OSError:
        print(number)
        break
"""
    _, said = run(launcher, spec_of(text, limits=Limits(processes=8)))
    assert said.strip() == "7"


def test_task_that_writes_more_than_its_limit_is_ended(launcher: DockerLauncher, folder: Path) -> None:
    text = """
import time
with open("/data/file", "wb") as file:
    for _ in range(200):
        file.write(bytes(1_000_000))
        time.sleep(0.02)
"""
    spec = spec_of(text, mounts=(Mount(folder, "/data", writable=True),), limits=Limits(disk_bytes=5_000_000))
    ended, _ = run(launcher, spec)
    assert ended.reason == "disk"
    assert (folder / "file").stat().st_size > 5_000_000


def test_what_a_task_has_used_is_told(launcher: DockerLauncher) -> None:
    text = """
import time
kept = b"x" * 60_000_000
until = time.process_time() + 0.5
while time.process_time() < until: pass
"""
    ended, _ = run(launcher, spec_of(text))
    assert 50e6 < ended.peak_memory_bytes < 200e6
    assert 0.3 < ended.processor_s < 5


def test_child_that_ran_out_of_memory_does_not_fail_a_task_that_copes(launcher: DockerLauncher) -> None:
    text = """
import os, time
child = os.fork()
if child == 0:
    kept = []
    while True:
        kept.append(b"x" * 5_000_000)
        time.sleep(0.005)
assert os.waitpid(child, 0)[1] == 9
"""
    ended, _ = run(launcher, spec_of(text, limits=Limits(memory_bytes=100_000_000)))
    assert (ended.reason, ended.exit_code) == ("exit", 0)


def test_images_own_program_user_and_labels_count_for_nothing(podman: Podman, launcher: DockerLauncher) -> None:
    from docker import APIClient

    client = APIClient(podman.url, version="auto")
    image = "localhost/runstart-with-everything:latest"
    changes = ['ENTRYPOINT ["/usr/bin/echo", "entry"]', 'CMD ["cmd"]', "USER 0", "LABEL runstart.session=FAKE"]
    identifier = client.commit(
        client.create_container(HOST_IMAGE, ["/none"])["Id"], "localhost/runstart-with-everything", changes=changes
    )["Id"]
    for made in client.containers(all=True):
        client.remove_container(made["Id"])
    assert identifier
    task = launcher.start(
        replace(spec_of("import os, sys; print(sys.argv[1:], os.getuid())", "given"), image=image)
    )
    try:
        assert launcher.wait(task, PATIENCE_S) is not None
        assert launcher.logs(task).strip() == "['given'] 65534"
        assert [dict(listed.labels) for listed in launcher.list({})] == [{}]
        assert launcher.list({"runstart.session": "FAKE"}) == []
    finally:
        launcher.remove(task)
        client.remove_image(image)
        client.close()


@pytest.mark.faults
def test_task_goes_on_while_the_engine_is_killed_and_comes_back(podman: Podman, launcher: DockerLauncher) -> None:
    text = "import sys, time; print('up', flush=True); time.sleep(1.5); print('done'); sys.exit(5)"
    task = launcher.start(spec_of(text))
    wait_until_up(launcher, task)
    podman.kill()
    try:
        for attempt in (lambda: launcher.wait(task, 0.0), lambda: launcher.logs(task), lambda: launcher.list({})):
            with pytest.raises(EngineUnreachable, match=r"podman\.sock"):
                attempt()
        waiting: list[Ended | None] = []
        thread = threading.Thread(target=lambda: waiting.append(launcher.wait(task, PATIENCE_S)))
        thread.start()
        time.sleep(0.3)  # the wait has met the dead engine by then
    finally:
        podman.start()
    thread.join()
    try:
        assert [(ended.reason, ended.exit_code) for ended in waiting if ended] == [("exit", 5)]
        assert launcher.logs(task) == "up\ndone\n"
    finally:
        launcher.remove(task)


@pytest.mark.faults
def test_time_is_held_though_the_engine_was_away_when_it_was_up(podman: Podman, launcher: DockerLauncher) -> None:
    task = launcher.start(spec_of(SLEEPS, limits=Limits(seconds=0.8)))
    podman.kill()
    time.sleep(1.0)  # beyond the task's time
    podman.start()
    try:
        ended = launcher.wait(task, PATIENCE_S)
        assert ended is not None
        assert ended.reason == "time"
    finally:
        launcher.remove(task)


STARTER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_containers import spec_of, wait_until_up, SLEEPS
from runstart.launchers import DockerLauncher, Mount
scratch = Path(sys.argv[1])
launcher = DockerLauncher()
task = launcher.start(spec_of(SLEEPS, mounts=(Mount(scratch / "out", "/out", writable=True),), scratch=scratch))
wait_until_up(launcher, task)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.faults
def test_what_a_killed_process_left_goes_with_its_scratch(
    podman: Podman, launcher: DockerLauncher, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "out").mkdir(parents=True)
    environment = {"DOCKER_HOST": podman.url, "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", STARTER, str(scratch), str(Path(__file__).parent)]
    assert subprocess.run(command, env=environment, check=False, timeout=PATIENCE_S).returncode == -9
    mine = launcher.start(spec_of(SLEEPS, scratch=tmp_path / "mine"))
    try:
        removed = launcher.remove_expired()
        assert len(removed) == 1
        assert "the process that started it has died" in removed[0]
        assert [listed.task for listed in launcher.list({})] == [mine]
        assert not scratch.exists()
    finally:
        launcher.remove(mine)


def test_question_for_a_name_that_gets_no_answer_is_asked_again_soon(launcher: DockerLauncher) -> None:
    launcher.make_network("runstart-test-names", {})
    try:
        spec = spec_of("print(open('/etc/resolv.conf').read())", network="runstart-test-names")
        _, said = run(launcher, spec)
        assert "options timeout:1 attempts:2" in said
    finally:
        launcher.remove_network("runstart-test-names")
