"""The file cache among processes: one download, kills, files in use, full disks."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runstart.errors import Alert, Transient
from runstart.file_cache import FileCache

WORKER = Path(__file__).with_name("cache_worker.py")
CONTENT = bytes(range(256)) * 400
FORMAT = "runstart-files-1"


@contextlib.contextmanager
def worker(folder: Path, budget: int, counter: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(WORKER), str(folder), str(budget), str(counter), mode]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def expect_line(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == line


def leftovers(folder: Path) -> list[str]:
    return [path.name for part in ("partial", "locks") for path in (folder / FORMAT / part).iterdir()]


def whole(path: Path) -> None:
    path.write_bytes(CONTENT)


def test_many_processes_share_one_download(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(worker(tmp_path / "cache", 10**6, counter, "read")) for _ in range(8)]
        for process in processes:
            expect_line(process, "whole")
            assert process.wait() == 0
    assert len(counter.read_text().splitlines()) == 1
    assert leftovers(tmp_path / "cache") == []


def test_many_processes_are_served_within_a_budget_that_holds_nothing(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(worker(tmp_path / "cache", 10, counter, "read")) for _ in range(5)]
        for process in processes:
            expect_line(process, "whole")
            assert process.wait() == 0
    assert FileCache(tmp_path / "cache", 10).usage().files == 0
    assert leftovers(tmp_path / "cache") == []


@pytest.mark.faults
def test_a_download_that_is_killed_is_taken_over_at_once_by_who_waits(tmp_path: Path) -> None:
    cache, counter = FileCache(tmp_path / "cache", 10**6), tmp_path / "counter"
    with worker(tmp_path / "cache", 10**6, counter, "hang") as process:
        expect_line(process, "half")
        with ThreadPoolExecutor(1) as pool:

            def read() -> bytes:
                with cache.open("archive", "frame", "1", whole) as path:
                    return path.read_bytes()

            waiting = pool.submit(read)
            assert not waiting.done()
            process.kill()
            assert waiting.result(timeout=20) == CONTENT
    assert leftovers(tmp_path / "cache") == []


@pytest.mark.faults
def test_what_a_killed_download_has_left_is_no_file_and_is_swept(tmp_path: Path) -> None:
    with worker(tmp_path / "cache", 10**6, tmp_path / "counter", "hang") as process:
        expect_line(process, "half")
        cache = FileCache(tmp_path / "cache", 10**6)
        assert cache.usage().files == 0
        # While it runs nobody sweeps it away.
        assert len(leftovers(tmp_path / "cache")) == 2
        process.kill()
        process.wait()
    cache.reconcile()
    assert leftovers(tmp_path / "cache") == []
    assert cache.usage().files == 0


def test_a_file_that_another_process_uses_is_not_evicted(tmp_path: Path) -> None:
    budget = len(CONTENT)
    with worker(tmp_path / "cache", budget, tmp_path / "counter", "use") as process:
        expect_line(process, "whole")
        cache = FileCache(tmp_path / "cache", budget)
        with cache.open("archive", "other", "1", whole):
            assert cache.usage().bytes == 2 * budget
        assert cache.usage().files == 1
        with cache.open("archive", "frame", "1", _never):
            pass
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait() == 0
    with cache.open("archive", "other", "1", whole):
        pass
    assert cache.usage().bytes == budget


@pytest.mark.faults
def test_a_file_whose_user_was_killed_can_be_evicted(tmp_path: Path) -> None:
    budget = len(CONTENT)
    with worker(tmp_path / "cache", budget, tmp_path / "counter", "use") as process:
        expect_line(process, "whole")
        process.kill()
        process.wait()
    cache = FileCache(tmp_path / "cache", budget)
    with cache.open("archive", "other", "1", whole):
        assert cache.usage().files == 1


def test_waiters_share_the_failure_of_the_download_that_they_waited_for(tmp_path: Path) -> None:
    started, go, n_fetches = threading.Event(), threading.Event(), []

    def fail(path: Path) -> None:
        n_fetches.append(1)
        path.write_bytes(b"part")
        started.set()
        go.wait()
        raise Alert("There is no frame.", "Name another.")

    def read() -> None:
        with FileCache(tmp_path, 10**6).open("archive", "frame", "1", fail):
            pass

    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(read)
        started.wait()
        others = [pool.submit(read) for _ in range(5)]
        _wait_for_opened_locks(tmp_path, 6)
        go.set()
        for future in [first, *others]:
            with pytest.raises(Alert, match=r"There is no frame\. Name another\."):
                future.result()
    assert len(n_fetches) == 1
    assert leftovers(tmp_path) == []


def test_a_download_without_progress_is_told_to_those_who_wait(tmp_path: Path) -> None:
    with worker(tmp_path / "cache", 10**6, tmp_path / "counter", "hang") as process:
        expect_line(process, "half")
        cache = FileCache(tmp_path / "cache", 10**6, stall_s=0.2)
        with (
            pytest.raises(Transient, match="'frame' is being downloaded by another process"),
            cache.open("archive", "frame", "1", whole),
        ):
            pass


def test_threads_share_one_download(tmp_path: Path) -> None:
    cache, n_fetches = FileCache(tmp_path, 10**6), []

    def fetch(path: Path) -> None:
        n_fetches.append(1)
        path.write_bytes(CONTENT)

    def read(_: int) -> bytes:
        with cache.open("archive", "frame", "1", fetch) as path:
            return path.read_bytes()

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(read, range(64))) == {CONTENT}
    assert len(n_fetches) == 1


def test_a_forked_child_uses_the_cache_too(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 10**6)
    with cache.open("archive", "frame", "1", whole):
        pass
    child = os.fork()
    if child == 0:
        with cache.open("archive", "frame", "1", _never) as path, cache.open("archive", "other", "1", whole):
            os._exit(0 if path.read_bytes() == CONTENT else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.usage().files == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _of_size(n_bytes: int) -> bytes:
    return b"x" * n_bytes


@pytest.mark.faults
def test_a_full_disk_costs_files_not_in_use(small_disk: Path) -> None:
    cache = FileCache(small_disk / "cache", 10**9)
    for number in range(3):
        with cache.open("archive", f"frame{number}", "1", lambda path: _fill(path, 200_000)):
            pass
    with (
        cache.open("archive", "frame0", "1", _never),
        cache.open("archive", "large", "1", lambda path: _fill(path, 500_000), size=500_000) as path,
    ):
        assert path.stat().st_size == 500_000
    with cache.open("archive", "frame0", "1", _never):
        pass
    assert leftovers(cache.folder) == []


@pytest.mark.faults
def test_a_full_disk_of_files_in_use_is_transient_and_leaves_nothing(small_disk: Path) -> None:
    cache = FileCache(small_disk / "cache", 10**9)
    with cache.open("archive", "frame", "1", lambda path: _fill(path, 400_000)) as kept:
        with (
            pytest.raises(Transient, match=r"The disk of the file cache .* is full"),
            cache.open("archive", "large", "1", lambda path: _fill(path, 900_000)),
        ):
            pass
        assert leftovers(cache.folder) == []
        assert kept.stat().st_size == 400_000
        assert cache.usage().files == 1
    with cache.open("archive", "large", "1", lambda path: _fill(path, 700_000)) as path:
        assert path.stat().st_size == 700_000


def _fill(path: Path, n_bytes: int) -> None:
    with path.open("wb") as file:
        for _ in range(n_bytes // 10_000):
            file.write(_of_size(10_000))


def _never(path: Path) -> None:
    raise AssertionError("fetched again")


def _wait_for_opened_locks(folder: Path, count: int) -> None:
    """Wait until this process has opened the lock file of the only download so many times."""
    lock = next((folder / FORMAT / "locks").iterdir())
    while sum(_names(path, lock) for path in Path("/proc/self/fd").iterdir()) < count:
        pass


def _names(descriptor: Path, target: Path) -> bool:
    try:
        return descriptor.readlink() == target
    except FileNotFoundError:
        return False
