from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runstart.errors import Alert, Transient
from runstart.places import Arrival, FileGone, FolderPlace, Wanted, folder_of


def explain_name(name: str) -> str:
    return "it has a blank" if " " in name else ""


WANTED = Wanted(
    things="letters",
    declared="the post box in post.toml",
    suffixes=(".txt", ".txt.gz"),
    explain_name=explain_name,
    version_of=lambda status: str(status.st_size),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "post"
    path.mkdir()
    return path


@pytest.fixture
def place(folder: Path) -> FolderPlace:
    return FolderPlace(folder, WANTED)


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (1000, 1000))
    return path


def test_files_are_listed_by_name_with_version_size_and_time(folder: Path, place: FolderPlace) -> None:
    put(folder / "b.TXT", b"12")
    put(folder / "a/c.txt.gz", b"123")
    assert place.listing().arrivals == (
        Arrival("a/c.txt.gz", "3", 3, 1000.0),
        Arrival("b.TXT", "2", 2, 1000.0),
    )


def test_only_what_is_wanted_is_listed(folder: Path, place: FolderPlace, tmp_path: Path) -> None:
    for name in (".a.txt", ".b/a.txt", "a.txt.part", "a.txt.tmp", "c.part/a.txt", "a.pdf", "txt"):
        put(folder / name)
    put(tmp_path / "elsewhere/a.txt")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    listing = place.listing()
    assert (listing.arrivals, listing.refused) == ((), {})


def test_what_cannot_be_taken_is_refused_with_the_reason(folder: Path, place: FolderPlace, tmp_path: Path) -> None:
    put(folder / "a b.txt")
    (folder / "out.txt").symlink_to(put(tmp_path / "outside.txt"))
    (folder / "nothing.txt").symlink_to(folder / "none.txt")
    (folder / "round.txt").symlink_to(folder / "round.txt")
    os.mkfifo(folder / "pipe.txt")
    assert place.listing().refused == {
        "a b.txt": "it has a blank",
        "nothing.txt": "it is a link to nothing",
        "out.txt": "it is a link that leads out of the folder; put the file itself there",
        "pipe.txt": "it is no file",
        "round.txt": "it is a link to nothing",
    }


def test_a_link_within_the_folder_is_a_file(folder: Path, place: FolderPlace) -> None:
    (folder / "a.txt").symlink_to(put(folder / "b.txt"))
    assert [arrival.name for arrival in place.listing().arrivals] == ["a.txt", "b.txt"]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "none", WANTED)
    assert not place.is_there()
    assert place.listing().arrivals == ()


def test_one_file_is_found_as_it_would_be_listed(folder: Path, place: FolderPlace) -> None:
    put(folder / "sub/a.txt", b"12")
    assert (place.find("sub/a.txt"),) == place.listing().arrivals


@pytest.mark.parametrize("name", ["none.txt", "sub/none.txt", "a.txt/b.txt", "nothing.txt"])
def test_a_file_that_is_not_there_is_gone(folder: Path, place: FolderPlace, name: str) -> None:
    put(folder / "a.txt")
    (folder / "nothing.txt").symlink_to(folder / "none.txt")
    with pytest.raises(FileGone):
        place.find(name)


@pytest.mark.parametrize("name", ["a b.txt", ".a.txt", "a.pdf", "out.txt", "round.txt", "sub.txt", "linked/a.txt"])
def test_a_file_that_a_listing_would_refuse_or_ignore_is_not_found(
    folder: Path, place: FolderPlace, tmp_path: Path, name: str
) -> None:
    for other in ("a b.txt", ".a.txt", "a.pdf"):
        put(folder / other)
    (folder / "sub.txt").mkdir()
    (folder / "out.txt").symlink_to(put(tmp_path / "outside/a.txt"))
    (folder / "round.txt").symlink_to(folder / "round.txt")
    (folder / "linked").symlink_to(tmp_path / "outside")
    with pytest.raises(Alert, match="cannot be taken"):
        place.find(name)


def test_a_file_that_changes_while_it_is_read_is_gone(folder: Path, place: FolderPlace) -> None:
    path = put(folder / "a.txt")
    (arrival,) = place.listing().arrivals
    with pytest.raises(FileGone), place.unchanged(arrival):
        put(path, b"longer")


@pytest.mark.parametrize(
    ("number", "kind", "told"),
    [(errno.EACCES, Alert, "right to read where letters arrive"), (errno.EIO, Transient, "cannot be read now")],
)
def test_a_folder_that_cannot_be_read_is_told(
    place: FolderPlace, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], told: str
) -> None:
    def fail(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(kind, match=told):
        place.listing()


@pytest.mark.parametrize(
    ("address", "folder"),
    [("file:/a/b", Path("/a/b")), ("file:///a/b", Path("/a/b")), ("file:a", Path("a")), ("s3://bucket/a", None)],
)
def test_an_address_names_a_folder_or_none(address: str, folder: Path | None) -> None:
    assert folder_of(address) == folder
