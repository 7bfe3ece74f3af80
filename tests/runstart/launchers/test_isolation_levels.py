from __future__ import annotations

import platform
import struct
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
    listed = {name: numbers[0] for name, numbers in {**seccomp._REFUSED, **seccomp._OF_THIS_PROCESS_ONLY}.items()}

    assert {name: known[name] for name in listed if name in known} == {n: listed[n] for n in listed if n in known}
