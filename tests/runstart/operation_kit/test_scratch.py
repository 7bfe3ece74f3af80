from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runstart.operation_kit.scratch import scratch_folder


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def test_the_folder_is_new_and_removed_at_the_end(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "scratch"
    with scratch_folder(root) as one, scratch_folder(root) as other:
        (one / "file").write_bytes(b"1")
        (one / "folder").mkdir()
        assert one != other
        assert folders(root) == sorted([one.name, other.name])
    assert folders(root) == []


def test_it_is_removed_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path):
        raise ZeroDivisionError
    assert folders(tmp_path) == []


def test_what_a_killed_process_has_left_is_swept_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with scratch_folder(tmp_path) as folder:
            (folder / "large").write_bytes(b"1" * 1000)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    (tmp_path / "work-without-lock").mkdir()  # killed before the lock
    assert len(folders(tmp_path)) == 2
    with scratch_folder(tmp_path) as first:
        assert folders(tmp_path) == [first.name]
        with scratch_folder(tmp_path):
            assert first.is_dir()


def test_many_at_once_do_not_sweep_each_other(tmp_path: Path) -> None:
    def use(number: int) -> bool:
        for _ in range(20):
            with scratch_folder(tmp_path) as folder:
                (folder / "mine").write_text(str(number))
                if (folder / "mine").read_text() != str(number):
                    return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(8)))
    assert folders(tmp_path) == []
