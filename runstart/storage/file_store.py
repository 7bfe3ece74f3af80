"""The object store in a folder: every object is a file under its key's name, whole or not there at all.

Data is written to a temporary file of the same file system, flushed to the disk, and given its name in one step,
so that a kill at any instant leaves the old object or the new one. Writers of one key take turns on a file lock,
which the kernel releases when its holder dies; a holder that hangs in mid-put makes the others wait. Temporary and
lock files live in a folder whose name is no key. The etag is the SHA-256 of the content.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.storage.object_store import (
    Keys,
    ObjectMissing,
    ObjectStore,
    PreconditionFailed,
    StoredObject,
    check_key,
    check_prefix,
    is_key,
)

# '~' is in no key.
_PRIVATE = "~store"
_N_LOCKS = 256
_ABANDONED_AFTER_S = 3600.0
_NO_OBJECT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOLCK, errno.EBUSY}


class FileStore(ObjectStore):
    """An object store in a folder of a local file system, or of a shared one with POSIX locks and renames.

    A key cannot be both an object and the folder of other objects (`a` and `a/b`): the second put raises `Alert`.

    Parameters
    ----------
    root : Path
        The folder; made at the first put.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._private = self.root / _PRIVATE
        self._swept = False

    def __repr__(self) -> str:
        return f"FileStore({str(self.root)!r})"

    def get(self, key: str) -> StoredObject:  # noqa: D102 - as the base class says
        path = self._path(key)
        with _told(key):
            try:
                data = path.read_bytes()
            except _NO_OBJECT:
                raise ObjectMissing(key) from None
        return StoredObject(data, _etag(data))

    def get_part(self, key: str, start: int, stop: int) -> bytes:  # noqa: D102
        path = self._path(key)
        with _told(key):
            try:
                with path.open("rb") as file:
                    file.seek(start)
                    return file.read(max(0, stop - start))
            except _NO_OBJECT:
                raise ObjectMissing(key) from None

    def head(self, key: str) -> str | None:  # noqa: D102
        path = self._path(key)
        with _told(key):
            try:
                with path.open("rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except _NO_OBJECT:
                return None

    def put(self, key: str, data: bytes) -> str:  # noqa: D102
        path = self._path(key)
        with _told(key), self._written(data) as temporary, self._turn(key):
            _give_name(temporary, path)
        return _etag(data)

    def put_if_absent(self, key: str, data: bytes) -> str:  # noqa: D102
        path = self._path(key)
        with _told(key), self._written(data) as temporary, self._turn(key):
            if path.is_file():
                raise PreconditionFailed(key)
            _give_name(temporary, path)
        return _etag(data)

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:  # noqa: D102
        path = self._path(key)
        with _told(key), self._written(data) as temporary, self._turn(key):
            if self.head(key) != etag:
                raise PreconditionFailed(key)
            _give_name(temporary, path)
        return _etag(data)

    def delete(self, key: str) -> None:  # noqa: D102
        path = self._path(key)
        if not self._private.is_dir():
            return
        with _told(key), self._turn(key):
            try:
                path.unlink()
            except _NO_OBJECT:
                return
            _flush_folder(path.parent)

    def list(self, prefix: str = "") -> Keys:  # noqa: D102
        folder = check_prefix(prefix).rpartition("/")[0]
        found = []
        with _told(prefix):
            for parent, folders, files in os.walk(self.root / folder, onerror=_unless_gone):
                if _PRIVATE in folders:
                    folders.remove(_PRIVATE)
                base = Path(parent).relative_to(self.root)
                found += [(base / file).as_posix() for file in files]
        return sorted(key for key in found if key.startswith(prefix) and is_key(key))

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextlib.contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """Write the data to a temporary file, flushed; remove it in the end if it was not given a name."""
        self._private.mkdir(parents=True, exist_ok=True)
        self._sweep()
        temporary = self._private / f"put-{secrets.token_hex(12)}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """Wait for this key's turn among all threads and processes."""
        lock = self._private / f"lock-{zlib.crc32(key.encode()) % _N_LOCKS:03d}"
        # Lock files are never removed: a lock on a removed file would exclude nobody.
        with lock.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        """Remove, once, what killed writers have left."""
        if self._swept:
            return
        self._swept = True
        for path in self._private.glob("put-*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                    path.unlink()


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _give_name(temporary: Path, path: Path) -> None:
    """Move a file to its place, so that it is there after a power cut."""
    _make_folder(path.parent)
    temporary.replace(path)
    _flush_folder(path.parent)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


@contextlib.contextmanager
def _told(key: str) -> Iterator[None]:
    """Turn what the file system says into what the user or the caller can do about it."""
    try:
        yield
    except OSError as error:
        where = f"{key!r} (file {error.filename!r})"
        if error.errno in _FULL:
            raise Transient(f"The disk of the object store is full; it could not write {where}.") from error
        if error.errno in _FORBIDDEN:
            remedy = "Give this user the right to read and write the folder, or choose another folder."
            raise Alert(f"The object store may not access {where}: {error.strerror}.", remedy) from error
        if isinstance(error, (NotADirectoryError, IsADirectoryError, FileExistsError)):
            what = f"{where} cannot be both an object and a folder of objects."
            raise Alert(what, "Choose another key.") from error
        if error.errno in _PASSING:
            raise Transient(f"The object store could not access {where}: {error.strerror}.") from error
        raise
