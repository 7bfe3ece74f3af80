from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstart.launchers._tree import folder_bytes
from runstart.launchers.removal import remove_tree

ENDLESS = 1 << 62


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is gone after the test, whatever the test has put into it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    yield folder
    remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def nest(folder: Path, depth: int, name: str = "d" * 200) -> None:
    """Make folders inside each other, deeper than a path can say."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_folders_nested_deeper_than_a_path_are_removed(folder: Path) -> None:
    nest(folder, 1500)
    remove_tree(folder)

    assert not folder.exists()


def test_closed_folders_are_removed(folder: Path) -> None:
    inner = folder / "a" / "b" / "c"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    for closed in (inner, inner.parent, inner.parent.parent, folder):
        closed.chmod(0)
    remove_tree(folder)

    assert not folder.exists()


def test_links_are_removed_and_not_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").write_text("kept")
    mode = outside.stat().st_mode
    (folder / "a").mkdir()
    for link in (folder / "link", folder / "a" / "link"):
        link.symlink_to(outside)
    remove_tree(folder)
    folder.symlink_to(outside)
    remove_tree(folder)

    assert not folder.is_symlink()
    assert (outside / "file").read_text() == "kept"
    assert outside.stat().st_mode == mode


def test_removing_what_is_gone_does_nothing(tmp_path: Path) -> None:
    remove_tree(tmp_path / "gone")


def test_folder_that_cannot_be_walked_to_its_end_is_endless(folder: Path) -> None:
    nest(folder, 30)

    assert folder_bytes([str(folder)], 20_000) == ENDLESS


def test_folder_with_too_many_entries_is_endless(folder: Path) -> None:
    for number in range(4):
        (folder / str(number)).write_text("x")

    assert folder_bytes([str(folder)], 4) == 4
    assert folder_bytes([str(folder)], 3) == ENDLESS


def test_entry_that_vanishes_does_not_end_the_walk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (folder / name).write_text("x")
    listed = os.scandir

    class Vanishing:
        """Lists a folder whose first entry is removed before it is looked at."""

        def __init__(self, path: str) -> None:
            with listed(path) as entries:
                self._entries = list(entries)

        def __enter__(self) -> list[os.DirEntry[str]]:
            Path(self._entries[0].path).unlink()
            return self._entries

        def __exit__(self, *_: object) -> None:
            pass

    with monkeypatch.context() as patch:
        patch.setattr("runstart.launchers._tree.os.scandir", Vanishing)

        assert folder_bytes([str(folder)], 20_000) == 2
