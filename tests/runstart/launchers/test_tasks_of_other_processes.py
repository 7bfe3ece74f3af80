from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from launcher_bench import HANDLES, IGNORES, SLEEPS
from left_behind import left_behind
from waiting import wait_until

from runstart.launchers import Isolation, LaunchSpec, Limits, SubprocessLauncher, Task
from runstart.launchers._wardens import About, find_wardens, warden_command
from runstart.launchers.finding import is_available

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tasks of other processes are found on Linux only")

LAUNCHER = SubprocessLauncher(Isolation("fault isolation only"))

OWNER = """
import sys, time
from runstart.launchers import *
launcher = SubprocessLauncher(Isolation("fault isolation only"))
spec = LaunchSpec((sys.executable, "-I", "-S", "-c", sys.argv[1]), "its task", labels={"session": sys.argv[2]})
task = launcher.start(spec)
while "up" not in launcher.logs(task):
    time.sleep(0.02)
print("started", flush=True)
print(launcher.wait(task).reason, flush=True)
time.sleep(1000)
"""


@contextmanager
def owner(text: str, session: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, with a task that runs."""
    with subprocess.Popen([sys.executable, "-c", OWNER, text, session], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"started\n"
            yield process
        finally:
            process.kill()
    wait_until(lambda: left_behind() == [], "the end of every process")


def only_task(session: str) -> Task:
    (listed,) = LAUNCHER.list({"session": session})
    return listed.task


def python(text: str, **fields: object) -> LaunchSpec:
    return LaunchSpec((sys.executable, "-I", "-S", "-c", text), "test", **fields)  # type: ignore[arg-type]


@pytest.mark.faults
@pytest.mark.parametrize("text", [HANDLES, IGNORES])
def test_task_of_a_stopped_process_can_be_stopped_and_removed(text: str) -> None:
    session = uuid4().hex
    with owner(text, session) as process:
        task = only_task(session)
        process.send_signal(signal.SIGSTOP)
        LAUNCHER.stop(task, 30.0 if text is HANDLES else 0.3)

        assert list(LAUNCHER.list({"session": session})) == []
        LAUNCHER.remove(task)
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.readline() == b"stopped\n"


@pytest.mark.faults
def test_hung_warden_of_another_process_is_killed_with_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.launchers.subprocess_launcher._STOPPING_S", 0.2)
    # A warden that hangs although it is told to go on.
    monkeypatch.setattr("runstart.launchers._wardens.signal.pidfd_send_signal", lambda *_: None)
    session = uuid4().hex
    with owner("import os, time; os.fork(); print('up', flush=True); time.sleep(1000)", session) as process:
        (warden,) = (one for one, about in find_wardens().items() if about.labels == {"session": session})
        os.kill(warden, signal.SIGSTOP)
        LAUNCHER.remove(only_task(session))

        assert left_behind() == [process.pid]
        assert process.stdout is not None
        assert process.stdout.readline() == b"lost\n"


@pytest.mark.faults
def test_owner_that_is_killed_during_the_grace_leaves_nothing() -> None:
    text = f"""
import threading
from runstart.launchers import *
import sys, time
launcher = SubprocessLauncher(Isolation("fault isolation only"))
task = launcher.start(LaunchSpec((sys.executable, "-I", "-S", "-c", {IGNORES!r}), "test"))
while "up" not in launcher.logs(task):
    time.sleep(0.02)
print("started", flush=True)
launcher.stop(task, 1000)
"""
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        assert len(left_behind()) == 3
        process.kill()
    wait_until(lambda: left_behind() == [], "the end of every process")


def test_task_is_told_to_end_inside_its_namespaces() -> None:
    isolation = Isolation("namespaces")
    if not is_available(isolation):
        pytest.skip("this system allows no namespaces")
    launcher = SubprocessLauncher(isolation)
    # What leaves its parent there must not be taken for the task.
    text = (
        "import os, time\nif os.fork() == 0:\n    if os.fork() == 0: time.sleep(1000)\n    os._exit(0)\n" + HANDLES
    )
    task = launcher.start(python(text, confined=True))
    wait_until(lambda: "up" in launcher.logs(task), "the task")
    launcher.stop(task, 60.0)
    ended, said = launcher.wait(task), launcher.logs(task)
    launcher.remove(task)

    assert ended is not None
    assert (ended.reason, ended.exit_code) == ("stopped", 0)
    assert "leaving" in said
    assert left_behind() == []


@pytest.mark.parametrize("grace_s", [0.0, 30.0])
def test_task_that_is_stopped_at_once_after_its_start_ends(grace_s: float) -> None:
    for _ in range(3):
        task = LAUNCHER.start(python("import time; time.sleep(1000)"))
        began = time.monotonic()
        LAUNCHER.stop(task, grace_s)
        ended = LAUNCHER.wait(task)
        LAUNCHER.remove(task)

        assert ended is not None
        assert ended.reason == "stopped"
        assert time.monotonic() - began < 20
    assert left_behind() == []


def test_limit_is_held_during_the_grace() -> None:
    task = LAUNCHER.start(python(IGNORES, limits=Limits(seconds=1.0)))
    wait_until(lambda: "up" in LAUNCHER.logs(task), "the task")
    LAUNCHER.stop(task, 60.0)
    ended = LAUNCHER.wait(task)
    LAUNCHER.remove(task)

    assert ended is not None
    assert ended.reason == "time"


def test_task_that_is_gone_is_nothing_to_stop_or_remove() -> None:
    gone = Task(uuid4().hex, "gone")
    LAUNCHER.stop(gone, 10.0)
    LAUNCHER.remove(gone)

    with pytest.raises(KeyError, match="gone"):
        LAUNCHER.wait(gone)


def test_secrets_of_the_environment_are_not_on_any_command_line() -> None:
    task = LAUNCHER.start(python(SLEEPS, environment={"TOKEN": "very secret"}))
    wait_until(lambda: "up" in LAUNCHER.logs(task), "the task")
    lines = [Path(f"/proc/{process}/cmdline").read_bytes() for process in left_behind()]
    LAUNCHER.remove(task)

    assert len(lines) == 2
    assert not any(b"very secret" in line for line in lines)


@pytest.mark.parametrize("last_word", ["", "{}", "[1]", "nonsense", '{"identifier": 1, "processors": 3}'])
def test_process_that_only_looks_like_a_warden_is_not_listed(last_word: str) -> None:
    *command, _ = warden_command(About("1", "false", {"session": "false"}, 0.0))
    waits = "import sys; sys.stdin.read()"
    with subprocess.Popen([command[0], "-c", waits, *command[1:], last_word], stdin=subprocess.PIPE):
        assert not LAUNCHER.list({"session": "false"})
    # One that stands where a warden's own words stand, but is none of this version's.
    with subprocess.Popen([*command, last_word], stdin=subprocess.PIPE) as process:
        assert process.pid not in find_wardens()


@pytest.mark.parametrize("name", ["", "two\nlines", "nul\0", "ü" * 1000, '"quoted" $(x)'])
def test_any_name_and_label_is_listed_as_it_is(name: str) -> None:
    labels = {"session": uuid4().hex, name: name}
    task = LAUNCHER.start(LaunchSpec((sys.executable, "-c", SLEEPS), name, labels=labels))
    listed = LAUNCHER.list(labels)
    LAUNCHER.remove(task)

    assert [(one.task, one.labels) for one in listed] == [(task, labels)]
