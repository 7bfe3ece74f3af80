"""A script that attacks: what it tries to read, reach and leave behind, at each level of isolation."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from left_behind import left_behind
from script_kit import confining_levels, each_level, run_script

from runstart.launchers import SubprocessLauncher
from runstart.launchers.isolation import Level

SECRET = "correct-horse-battery-staple"  # noqa: S105 - of these tests

TRY = """
    def reduce(run):
        import numpy as np
        got = []
        for attempt in (attempts()):
            try:
                got.append(str(attempt()))
            except Exception as problem:
                print(type(problem).__name__, problem)
        print("GOT", got)
        return {{}}

    def attempts():
        {body}
"""


def attempt(level: Level, *attempts: str) -> str:
    """Return what a script got hold of by expressions, and why it did not."""
    body = "\n        ".join(f"yield lambda: {text}" for text in attempts)
    outcome = run_script(TRY.format(body=body), level)
    assert outcome.error == ""
    return outcome.output


@each_level()
def test_environment_holds_nothing_of_the_parent(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPT_TOKEN", SECRET)

    assert SECRET not in attempt(level, "__import__('os').environ")


@confining_levels
def test_environment_of_other_processes_cannot_be_read(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPT_TOKEN", SECRET)
    said = attempt(
        level,
        f"open('/proc/{os.getpid()}/environ').read()",
        "open(f'/proc/{__import__(\"os\").getppid()}/environ').read()",
        "[open(p).read() for p in __import__('glob').glob('/proc/[0-9]*/environ')] or 1/0",
        f"open('/proc/{os.getpid()}/mem', 'rb').read(1)",
    )

    assert "GOT []" in said


@confining_levels
def test_credential_files_cannot_be_read(level: Level, tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = tmp_path / "object-store"
    for path in (home / ".aws" / "credentials", home / ".netrc", store / "live" / "head.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SECRET)
    paths = (home / ".aws/credentials", home / ".netrc", store / "live/head.json", "/etc/shadow", "/etc/passwd")
    paths = (*paths, Path.home() / ".bashrc", Path(__file__))
    listings = [f"__import__('os').listdir('{folder}')" for folder in (home, store, tmp_path, "/home")]
    said = attempt(level, *(f"open('{path}').read()" for path in paths), *listings)

    assert "GOT []" in said


@confining_levels
def test_network_cannot_be_reached(level: Level, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as abstract,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(tmp_path / "u.sock"))
        unix.listen()
        datagrams.bind(str(tmp_path / "d.sock"))
        abstract.bind(f"\0runstart-test-{os.getpid()}")
        abstract.listen()
        s = "__import__('socket')"
        said = attempt(
            level,
            f"{s}.create_connection(('127.0.0.1', {tcp.getsockname()[1]}), 3)",
            f"{s}.socket({s}.AF_INET, {s}.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {udp.getsockname()[1]}))",
            f"{s}.socket({s}.AF_INET6, {s}.SOCK_STREAM).connect(('::1', {tcp.getsockname()[1]}))",
            f"{s}.getaddrinfo('example.org', 80)",
            f"{s}.socket({s}.AF_UNIX).connect('{tmp_path}/u.sock')",
            f"{s}.socket({s}.AF_UNIX).connect('\\\\0runstart-test-{os.getpid()}')",
            f"{s}.socket({s}.AF_NETLINK, {s}.SOCK_RAW)",
            f"{s}.socketpair({s}.AF_UNIX, {s}.SOCK_DGRAM)[0].sendto(b'x', '{tmp_path}/d.sock')",
        )
        for received in (udp, datagrams):
            received.setblocking(False)
            with pytest.raises(BlockingIOError):
                received.recv(1)

    assert "GOT []" in said


@confining_levels
def test_nothing_can_be_written_outside_the_scratch_folder(level: Level, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("before")
    mode = (tmp_path / "theirs").stat().st_mode
    outside = [f"{tmp_path}/new", f"{tmp_path}/theirs", "/etc/new", "/usr/new", "/new", "/dev/new", "/var/tmp/new"]
    said = attempt(
        level,
        *(f"open('{path}', 'w').write('x')" for path in outside),
        f"__import__('os').chmod('{tmp_path}/theirs', 0o777)",
        f"__import__('os').unlink('{tmp_path}/theirs')",
        "open(__import__('sys').argv[1] + '/script.py', 'w').write('x')",
    )

    assert "GOT []" in said
    assert (tmp_path / "theirs").read_text() == "before"
    assert (tmp_path / "theirs").stat().st_mode == mode
    assert not (tmp_path / "new").exists()


@confining_levels
def test_scratch_folder_and_temporary_files_can_be_used(level: Level) -> None:
    said = attempt(
        level,
        "open('here', 'w').write('abc')",
        "__import__('tempfile').TemporaryFile().write(b'abcd')",
        "__import__('subprocess').run(['/bin/echo', 'a program'], capture_output=True).stdout",
    )

    assert "GOT ['3', '4', \"b'a program\\\\n'\"]" in said


@confining_levels
def test_other_processes_cannot_be_signalled(level: Level) -> None:
    said = attempt(level, f"__import__('os').kill({os.getpid()}, 0)", f"__import__('os').kill({os.getppid()}, 0)")

    assert "GOT []" in said


LEAVING = """
    import os, time

    def reduce(run):
        for leave in (False, True):
            child = os.fork()
            if child == 0:
                if leave:
                    try:
                        os.setsid()
                    except OSError:
                        pass
                    if os.fork():
                        os._exit(0)
                os.execv("/bin/sleep", ["sleep", "{seconds}"])
        time.sleep(0.2)
        print("forked")
        return {{"one": [1.0]}}
"""


@each_level()
def test_forks_and_double_forks_leave_no_process_behind(level: Level) -> None:
    # A number that no other process of this machine sleeps for.
    seconds = f"1{os.getpid()}{time.monotonic_ns() % 1000}"
    outcome = run_script(LEAVING.format(seconds=seconds), level)

    assert outcome.error == ""
    assert "forked" in outcome.output
    assert sleeping(seconds) == []
    assert left_behind() == []


@each_level()
def test_script_that_spins_is_ended_at_its_time_limit(level: Level) -> None:
    outcome = run_script("def reduce(run):\n    print('begun')\n    while True: pass", level, timeout=6)

    assert outcome.error.startswith("took longer than 6 s")
    assert left_behind() == []


EATERS = {
    "at once": """
        def reduce(run):
            import numpy as np
            return {"x": np.ones(10**9)}
    """,
    "piece by piece": """
        def reduce(run):
            import numpy as np
            kept = []
            while True:
                kept.append(np.ones(10**6))
    """,
    "in children": """
        def reduce(run):
            import os, time
            kept = bytearray(60_000_000)
            for i in range(3):
                if os.fork() == 0:
                    kept[:] = b"x" * len(kept)
                    time.sleep(60)
            time.sleep(60)
    """,
}


@each_level()
@pytest.mark.parametrize("how", EATERS)
def test_script_that_eats_memory_is_ended_at_its_limit(level: Level, how: str) -> None:
    outcome = run_script(EATERS[how], level, memory_mb=150)

    assert outcome.error.startswith("used more than 150 MB")
    assert outcome.arrays == {}
    assert left_behind() == []


BOMB = """
    import os

    def reduce(run):
        while True:
            try:
                os.fork()
            except OSError:
                pass
"""


@each_level()
def test_fork_bomb_is_stopped_and_removed(level: Level) -> None:
    outcome = run_script(BOMB, level, kind=SubprocessLauncher)

    assert outcome.error in ("started more than 64 processes", "used more than 1024 MB")
    assert left_behind() == []


@each_level()
def test_output_is_bounded_and_its_end_is_kept(level: Level) -> None:
    outcome = run_script(
        "def reduce(run):\n    for i in range(60_000): print('x' * 99)\n    print('the end')\n    return {}", level
    )

    assert outcome.error == ""
    assert len(outcome.output) <= 64 * 1024
    assert outcome.output.endswith("the end\n")


@each_level()
def test_disk_is_bounded(level: Level) -> None:
    outcome = run_script(
        """
        def reduce(run):
            piece = b"x" * 10_000_000
            for i in range(100):
                with open(f"file{i}", "wb") as file:
                    file.write(piece)
            import time
            time.sleep(60)
        """,
        level,
    )

    assert outcome.error == "wrote more than 256 MB"


@each_level()
def test_scratch_folder_is_removed(level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_files_in(tmp_path, monkeypatch):
        run_script("def reduce(run):\n    open('left', 'w').write('x')\n    return {}", level)

    assert list(tmp_path.iterdir()) == []


DIGGER = """
    import os

    def reduce(run):
        if os.fork() == 0:
            import time
            time.sleep(1000)
        for _ in range(1500):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        {then}
"""


@each_level()
@pytest.mark.parametrize("then", ["return {'x': [1]}", "import time; time.sleep(1000)"])
def test_folders_too_deep_for_a_path_leave_nothing(
    level: Level, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with temporary_files_in(tmp_path, monkeypatch):
        outcome = run_script(DIGGER.format(then=then), level)

    assert "lost" not in outcome.error
    assert list(tmp_path.iterdir()) == []
    assert left_behind() == []


@each_level()
def test_executions_in_several_threads_do_not_meet(level: Level) -> None:
    outcomes = {}

    def execute_one(number: int) -> None:
        outcomes[number] = run_script(f"def reduce(run):\n    return {{'n': [{number}]}}", level)

    threads = [threading.Thread(target=execute_one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {n: outcome.arrays["n"].values.tolist() for n, outcome in outcomes.items()} == {0: [0], 1: [1], 2: [2]}


def test_fault_isolation_alone_keeps_nothing_out(tmp_path: Path) -> None:
    """So the attempts above fail because of the isolation, not because of themselves."""
    (tmp_path / "secret").write_text(SECRET)
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = attempt(
            "fault isolation only",
            f"open('{tmp_path}/secret').read()",
            f"__import__('socket').create_connection(('127.0.0.1', {server.getsockname()[1]}), 3).close()",
        )

    assert SECRET in said
    assert "'None'" in said


@contextmanager
def temporary_files_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        yield


def sleeping(seconds: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(path.read_bytes())
    return [str(line) for line in found if line.rstrip(b"\0").endswith(b"\0" + seconds.encode())]
