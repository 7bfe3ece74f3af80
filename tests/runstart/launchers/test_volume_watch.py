"""What a task writes to volumes is held to its limit of disk by who started it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from waiting import wait_until

from runstart.errors import Alert, Transient
from runstart.launchers import LaunchSpec, Limits, Mount
from runstart.launchers._volume_watch import VolumeWatch


class Ends:
    """Takes note of the tasks that are to be ended, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.ended: list[str] = []

    def __call__(self, identifier: str) -> None:
        if self.failures:
            self.failures -= 1
            raise Transient("the cluster does not answer")
        self.ended.append(identifier)


def spec_of(*folders: Path, disk_bytes: int | None = 1000) -> LaunchSpec:
    mounts = tuple(Mount(folder, f"/data/{number}", writable=True) for number, folder in enumerate(folders))
    return LaunchSpec(("run",), "The algorithm", mounts=mounts, limits=Limits(disk_bytes=disk_bytes))


def is_watching() -> bool:
    return any(thread.name == "watch of volumes" for thread in threading.enumerate())


def test_task_that_writes_more_than_it_may_is_ended_once_and_others_are_not(tmp_path: Path) -> None:
    ends = Ends(failures=1)
    watch = VolumeWatch(ends)
    folders = [tmp_path / name for name in ("outputs", "logs", "others")]
    for folder in folders:
        folder.mkdir()
    watch.add("greedy", spec_of(*folders[:2]))
    watch.add("modest", spec_of(folders[2]))
    for folder in folders:
        (folder / "file").write_bytes(b"x" * 600)

    wait_until(lambda: ends.ended, "the end of the task")

    assert watch.is_over("greedy")
    assert not watch.is_over("modest")
    watch.add("late", spec_of(folders[0], folders[1]))
    wait_until(lambda: "late" in ends.ended, "another look")
    assert ends.ended == ["greedy", "late"]
    for identifier in ("greedy", "modest", "late"):
        watch.forget(identifier)
    wait_until(lambda: not is_watching(), "the end of the thread")


def test_only_tasks_with_a_limit_and_folders_to_write_are_watched(tmp_path: Path) -> None:
    watch = VolumeWatch(Ends())
    watch.add("without a limit", spec_of(tmp_path, disk_bytes=None))
    watch.add("without folders", spec_of())
    assert not is_watching()


def test_limit_that_cannot_be_held_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="no folder here"):
        VolumeWatch(Ends()).add("elsewhere", spec_of(tmp_path / "none"))
