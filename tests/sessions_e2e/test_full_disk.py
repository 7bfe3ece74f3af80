"""A session whose disk is a real one, and full: it is told by name, and nothing of the session is left."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from session_kit import House, line

from runstart.errors import Transient
from runstart.sessions import SessionStatus
from runstart.storage import FileStore

pytestmark = [pytest.mark.real, pytest.mark.faults]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A real file system of 1 MB, with a short path: sockets are in it."""
    with tempfile.TemporaryDirectory(prefix="rs-disk-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", name]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a small file system")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=True)


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def test_a_full_disk_of_the_sessions_folder_is_told_and_leaves_nothing(
    house: House, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.change(disk_bytes=0)
    plan = line(house.source(10), house.sink())
    _fill(small_disk)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(Transient, match=rf"The disk of {small_disk} is full"):
        house.run(plan)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_a_full_disk_of_the_store_is_told_and_the_session_goes_on(house: House, small_disk: Path) -> None:
    house.store = FileStore(small_disk / "store")
    filled: list[bool] = []

    def fill(status: SessionStatus) -> None:
        if status.state == "running" and not filled:
            filled.append(True)
            _fill(small_disk)

    house.reporter.on_status = fill
    outcome = house.run(line(house.source(100, pause_ms=10), house.sink()))
    assert house.numbers() == list(range(100))
    assert outcome.unwritten > 0
    assert "The disk of the object store is full" in house.reporter.text
