"""What is particular to the object store in a folder."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runstart.errors import Alert, Transient
from runstart.storage import FileStore


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("put-*"))


def test_an_object_is_a_file_that_anyone_may_read_who_may_read_the_folder(file_store: FileStore) -> None:
    umask = os.umask(0o022)
    try:
        file_store.put("a/b.png", b"picture")
    finally:
        os.umask(umask)
    path = file_store.root / "a" / "b.png"
    assert path.read_bytes() == b"picture"
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_etag_is_the_sha256_of_the_content(file_store: FileStore) -> None:
    assert file_store.put("a", b"content") == hashlib.sha256(b"content").hexdigest()


def test_reading_an_absent_folder_makes_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "none")
    store.delete("a")
    assert store.list() == []
    assert store.head("a") is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_transient_and_leaves_what_was_there(
    file_store: FileStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file_store.put("a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Transient, match="disk of the object store is full"):
            file_store.put("a", b"new")
    assert file_store.get("a").data == b"old"
    assert _files(file_store.root) == []
    file_store.put("a", b"new")
    assert file_store.get("a").data == b"new"


def test_a_folder_that_may_not_be_written_is_an_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path)

    def forbidden(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(Alert, match="may not access"):
        store.put("a", b"")


def test_a_key_is_not_both_object_and_folder(file_store: FileStore) -> None:
    file_store.put("a", b"1")
    with pytest.raises(Alert, match="both an object and a folder"):
        file_store.put("a/b", b"2")
    file_store.put("c/d", b"3")
    with pytest.raises(Alert, match="both an object and a folder"):
        file_store.put("c", b"4")
    assert file_store.list() == ["a", "c/d"]
    assert _files(file_store.root) == []


def test_temporary_lock_and_foreign_files_are_not_listed(file_store: FileStore) -> None:
    file_store.put("a/b", b"1")
    (file_store.root / "a" / "not a key").write_bytes(b"")
    assert file_store.list() == ["a/b"]


def test_what_a_killed_writer_left_is_swept_when_it_is_old(file_store: FileStore) -> None:
    file_store.put("a", b"1")
    private = next(path for path in file_store.root.iterdir() if path.is_dir())
    for name, age_s in (("put-old", 4000), ("put-young", 10)):
        (private / name).write_bytes(b"half")
        os.utime(private / name, (time.time() - age_s,) * 2)
    FileStore(file_store.root).put("b", b"2")
    assert _files(file_store.root) == ["put-young"]


def test_nothing_of_aws_is_imported_for_a_folder(tmp_path: Path) -> None:
    script = (
        "import sys; from runstart.storage import open_store; "
        f"open_store('file:{tmp_path}').put('a', b''); "
        "print(sorted({'boto3', 'botocore', 'dagster'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
