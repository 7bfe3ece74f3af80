from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from left_behind import left_behind

from runstart.errors import Alert
from runstart.launchers import Isolation, LaunchSpec, Limits, Mount, SubprocessLauncher

LAUNCHER = SubprocessLauncher(Isolation("fault isolation only"))


def python(text: str, *arguments: str, **fields: object) -> LaunchSpec:
    return LaunchSpec((sys.executable, "-I", "-S", "-c", text, *arguments), "test", **fields)  # type: ignore[arg-type]


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def test_signal_is_told_and_never_taken_for_memory() -> None:
    task = LAUNCHER.start(python("import os; os.kill(os.getpid(), 9)", limits=Limits(memory_bytes=10**9)))
    ended = LAUNCHER.wait(task)
    LAUNCHER.remove(task)

    assert ended is not None
    assert (ended.reason, ended.exit_code) == ("exit", -9)


def test_removed_task_is_gone_with_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    task = LAUNCHER.start(python("import time; time.sleep(100)"))
    LAUNCHER.remove(task)
    LAUNCHER.remove(task)

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError, match="test"):
        LAUNCHER.wait(task)


def test_output_of_what_a_task_left_behind_does_not_hold_it_up() -> None:
    task = LAUNCHER.start(python("import os, time\nif os.fork() == 0: time.sleep(1000)"))
    ended = LAUNCHER.wait(task)
    LAUNCHER.remove(task)

    assert ended is not None
    assert ended.exit_code == 0
    assert left_behind() == []


def test_mounts_of_a_confined_task_are_all_that_it_sees(tmp_path: Path) -> None:
    launcher = SubprocessLauncher()
    if launcher.isolation == "fault isolation only":
        pytest.skip("this system confines nothing")
    for name in ("in", "out", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    mounts = (Mount(tmp_path / "in", "/in"), Mount(tmp_path / "out", "/out", writable=True))
    text = """
import sys
from pathlib import Path
for folder in sys.argv[1:]:
    for mode in "r", "w":
        try:
            open(folder + "/file", mode).close()
            print(Path(folder).name, mode)
        except OSError:
            pass
"""
    folders = [launcher.seen_at(mount) for mount in mounts]
    task = launcher.start(python(text, *folders, str(tmp_path / "other"), mounts=mounts, confined=True))
    launcher.wait(task)
    said = launcher.logs(task).splitlines()
    launcher.remove(task)

    assert said == ["in r", "out r", "out w"]


def test_image_is_refused_unless_it_is_optional() -> None:
    with pytest.raises(Alert, match="mantid:latest"):
        LAUNCHER.start(python("", image="mantid:latest"))
    task = LAUNCHER.start(python("print('without')", image="mantid:latest", image_optional=True))
    LAUNCHER.wait(task)

    assert LAUNCHER.logs(task) == "without\n"
    LAUNCHER.remove(task)


def test_networks_are_refused() -> None:
    for wanted in ({"network": "session"}, {"network_alias": "probe"}):
        with pytest.raises(Alert, match=next(iter(wanted.values()))):
            LAUNCHER.start(python("", **wanted))
    with pytest.raises(Alert, match="session"):
        LAUNCHER.make_network("session", {})
    with pytest.raises(Alert, match="mantid:latest"):
        LAUNCHER.fetch_image("mantid:latest")
    LAUNCHER.remove_network("session")

    assert list(LAUNCHER.list_networks({})) == []


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processors cannot be limited here")
def test_tasks_are_kept_on_the_processors_that_have_fewest_tasks() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor only")
    text = "import os, time; print('on', *os.sched_getaffinity(0), flush=True); time.sleep(100)"
    tasks = [LAUNCHER.start(python(text, limits=Limits(cpus=0.5))) for _ in range(2)]
    wait_until(lambda: all("on" in LAUNCHER.logs(task) for task in tasks))
    said = [LAUNCHER.logs(task).split()[1:] for task in tasks]
    for task in tasks:
        LAUNCHER.remove(task)

    assert [len(processors) for processors in said] == [1, 1]
    assert said[0] != said[1]


def test_more_processors_than_there_are_are_no_limit() -> None:
    task = LAUNCHER.start(python("import os; print(len(os.sched_getaffinity(0)))", limits=Limits(cpus=10_000)))
    LAUNCHER.wait(task)
    said = LAUNCHER.logs(task)
    LAUNCHER.remove(task)

    assert int(said) == len(os.sched_getaffinity(0))


PARENT = """
import sys, time
from pathlib import Path
from runstart.launchers import *
launcher = SubprocessLauncher(Isolation(sys.argv[1]))
scratch = Path(sys.argv[2])
text = "import os, time; os.fork(); os.fork(); print('up', flush=True); time.sleep(" + sys.argv[3] + ")"
spec = LaunchSpec((sys.executable, "-I", "-S", "-c", text), "test", scratch=scratch, confined=True)
task = launcher.start(spec)
while launcher.logs(task).count("up") < 4:
    time.sleep(0.02)
print("started", flush=True)
time.sleep(1000)
"""


@pytest.mark.faults
@pytest.mark.parametrize("level", ["namespaces", "landlock", "fault isolation only"])
def test_task_is_removed_with_its_files_when_its_launcher_is_killed(level: str, tmp_path: Path) -> None:
    from runstart.launchers.finding import is_available

    if not is_available(Isolation(level)):  # type: ignore[arg-type]
        pytest.skip(f"this system does not allow {level}")
    scratch, temporary = tmp_path / "scratch", tmp_path / "temporary"
    scratch.mkdir()
    temporary.mkdir()
    seconds = f"1{os.getpid()}{time.monotonic_ns() % 1000}"
    command = [sys.executable, "-c", PARENT, level, str(scratch), seconds]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        assert len(running(seconds)) >= 4
        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: running(seconds) == [] and not scratch.exists() and list(temporary.iterdir()) == [])


@pytest.mark.faults
def test_killed_warden_is_told_as_lost() -> None:
    task = LAUNCHER.start(python("import time; print('up', flush=True); time.sleep(1000)"))
    wait_until(lambda: "up" in LAUNCHER.logs(task))
    warden, child = left_behind()
    os.kill(warden, signal.SIGKILL)
    ended = LAUNCHER.wait(task)
    LAUNCHER.remove(task)

    assert ended is not None
    assert ended.reason == "lost"
    wait_until(lambda: not Path(f"/proc/{child}").exists())


def test_processor_time_and_memory_are_measured() -> None:
    text = "import time; kept = bytearray(80_000_000); time.sleep(0.5)"
    task = LAUNCHER.start(python(text, limits=Limits(seconds=100)))
    ended = LAUNCHER.wait(task)
    LAUNCHER.remove(task)

    assert ended is not None
    assert ended.peak_memory_bytes > 80_000_000
    assert ended.processor_s > 0


def running(seconds: str) -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"time.sleep({seconds})".encode() in path.read_bytes():
                found.append(path)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
