from __future__ import annotations

import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runstart.launchers import LEVELS, Isolation, find_isolation
from runstart.launchers import _seccomp as seccomp
from runstart.launchers.finding import is_available
from runstart.launchers.isolation import readable_paths


def test_strongest_level_that_works_is_found() -> None:
    found = find_isolation().name

    assert all(not is_available(Isolation(name)) for name in LEVELS[: LEVELS.index(found)])
    assert is_available(Isolation(found))


def test_system_without_namespaces_and_landlock_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runstart.launchers.finding.bubblewrap", lambda: None)
    monkeypatch.setattr("runstart.launchers.finding.is_available", lambda isolation: isolation.name == LEVELS[-1])
    find_isolation.cache_clear()
    try:
        assert find_isolation().name == "fault isolation only"
    finally:
        find_isolation.cache_clear()


def test_every_level_says_what_it_means() -> None:
    assert len({Isolation(name).meaning for name in LEVELS}) == len(LEVELS)


def test_readable_paths_hold_python_but_no_home_and_no_credentials() -> None:
    paths = [Path(path) for path in readable_paths()]

    assert any(Path(sys.base_prefix, "lib").is_relative_to(path) for path in paths)
    for secret in (
        "/etc/passwd",
        "/etc/shadow",
        "/root/.aws",
        "/home/somebody",
        str(Path.home() / ".netrc"),
        "/var/run",
    ):
        assert not any(Path(secret).is_relative_to(path) for path in paths)
    assert not any(Path.cwd().is_relative_to(path) for path in paths)


@pytest.mark.skipif(not seccomp.is_known(), reason="the system calls of this processor are not known")
def test_every_jump_of_the_filter_stays_inside_it() -> None:
    program = list(struct.iter_unpack("HBBI", seccomp.program()))

    for place, (code, if_true, if_false, _) in enumerate(program):
        if code & 7 == 5:
            assert place + 1 + max(if_true, if_false) < len(program)
    assert program[-1][0] == 6


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the header of another processor")
def test_numbers_of_refused_calls_are_those_of_the_kernels_header() -> None:
    header = next((p for p in Path("/usr/include").rglob("unistd_64.h")), None)
    if header is None:
        pytest.skip("no kernel headers here")
    lines = (line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_"))
    known = {words[1].removeprefix("__NR_"): int(words[2]) for words in lines}
    judged = {name: numbers for name, (numbers, _) in {**seccomp._REFUSED_COMMANDS, **seccomp._OPENING}.items()}
    calls = seccomp._REFUSED | seccomp._OF_THIS_PROCESS_ONLY | seccomp._CALLS_OF_STRUCTURES | judged
    listed = {name: numbers[0] for name, numbers in calls.items()}

    assert {name: known[name] for name in listed if name in known} == {n: listed[n] for n in listed if n in known}


FILTERED = """
import ctypes, fcntl, os, signal, socket, sys
from runstart.launchers import _confine
from runstart.launchers import _seccomp as seccomp

theirs, column = sys.argv[1], seccomp._COLUMN[os.uname().machine]
inherited = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
reading, writing = os.pipe()
_confine._prctl(_confine._PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
_confine._filter_calls()
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if libc.syscall(seccomp._REFUSED[name][column], *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

attempts = [
    lambda: call("rt_sigqueueinfo", os.getpid(), 0, ctypes.create_string_buffer(128)),
    lambda: call("rt_tgsigqueueinfo", os.getpid(), os.getpid(), 0, ctypes.create_string_buffer(128)),
    lambda: fcntl.fcntl(reading, fcntl.F_SETOWN, os.getpid()),
    lambda: fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGCONT),
    lambda: fcntl.fcntl(reading, 15, bytes(8)),
    lambda: fcntl.ioctl(inherited, 0x8901, bytes(4)),
    lambda: fcntl.ioctl(inherited, 0x8902, bytes(4)),
    lambda: os.truncate(theirs, 0),
    lambda: os.open(theirs, os.O_RDONLY | os.O_TRUNC),
    lambda: os.open(theirs, 3 | os.O_TRUNC),
    lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
    lambda: inherited.connect(theirs),
    lambda: inherited.bind(theirs + ".socket"),
]
for number, attempt in enumerate(attempts):
    try:
        attempt()
        print("not refused:", number)
    except OSError as problem:
        if problem.errno != 1:
            print("refused by something else:", number, problem)
assert fcntl.fcntl(reading, fcntl.F_GETFL) == os.O_RDONLY
os.set_blocking(reading, False)
open(theirs + ".own", "w").close()
os.ftruncate(os.open(theirs + ".own", os.O_RDWR | os.O_TRUNC), 5)
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux" or not seccomp.is_known(), reason="no filter of system calls here")
def test_filter_alone_refuses_what_early_versions_of_landlock_let_through(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("before")
    command = [sys.executable, "-c", FILTERED, str(theirs)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (said.stdout, said.returncode) == ("done\n", 0), said.stderr
    assert theirs.read_text() == "before"
