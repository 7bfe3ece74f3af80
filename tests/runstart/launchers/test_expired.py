from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from runstart.launchers import ListedTask, Task
from runstart.launchers._containers import About
from runstart.launchers._expired import remove_expired

NEVER_A_PROCESS = 2**22 + 1
HERE = socket.gethostname()


def removed(about: About, started_at: float) -> list[str]:
    """Return what is removed of one task, as removed and as told."""
    gone: list[Task] = []
    listed = ListedTask(Task("0123456789abcdef", "task"), {}, started_at, is_running=True)
    told = remove_expired([(listed, about)], gone.append)
    assert len(gone) == len(told)
    return told


@pytest.mark.parametrize(("age_s", "is_removed"), [(5.0, False), (65.0, False), (75.0, True)])
@pytest.mark.parametrize("host", [HERE, "another-machine"])
def test_task_is_removed_a_minute_after_its_time_is_up(age_s: float, host: str, *, is_removed: bool) -> None:
    now = time.time()
    about = About("task", seconds=10.0, host=host, pid=os.getpid(), at=now)
    told = removed(about, now - age_s)
    assert told == (["task (0123456789ab) was removed: it was over its time limit of 10 s."] if is_removed else [])


def test_task_without_limit_stays_whatever_its_age() -> None:
    assert removed(About("task", host=HERE, pid=NEVER_A_PROCESS), 0.0) == []


@pytest.mark.parametrize(
    ("host", "pid", "is_removed"),
    [(HERE, NEVER_A_PROCESS, True), (HERE, os.getpid(), False), ("another-machine", NEVER_A_PROCESS, False)],
    ids=["dead", "alive", "elsewhere"],
)
def test_scratch_folder_goes_when_its_process_is_known_to_be_dead(
    tmp_path: Path, host: str, pid: int, *, is_removed: bool
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    now = time.time()
    told = removed(About("task", scratch=str(scratch), host=host, pid=pid, at=now), now)
    assert (len(told), scratch.exists()) == (int(is_removed), not is_removed)


def test_scratch_folder_that_is_gone_already_is_no_trouble(tmp_path: Path) -> None:
    about = About("task", scratch=str(tmp_path / "gone"), host=HERE, pid=NEVER_A_PROCESS, at=0.0)
    assert len(removed(about, time.time())) == 1
