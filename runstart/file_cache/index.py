"""The file cache's index: which files are there, in which order they were used, and what is known of contents.

A small SQLite database beside the files. It may lag behind the files after a kill (then it names a file that is not
there), and it can be lost without harm: the files are whole by themselves. Statements are short and commit at once.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runstart.errors import Alert, Transient
from runstart.file_cache.locks import turn

_BUSY_S = 30.0
_MOST_DIGESTS = 200_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_use ON files (used);
CREATE TABLE IF NOT EXISTS contents (
    id TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS contents_by_use ON contents (used);
"""
_NEXT = "(SELECT coalesce(max(used), 0) + 1 FROM {})"
_indexes: weakref.WeakSet[Index] = weakref.WeakSet()
# Connections that a child inherited by fork: closing them would disturb the parent's database.
_inherited: list[sqlite3.Connection] = []


class IndexFull(OSError):
    """The disk is too full for the index's change."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the cache.

    Attributes
    ----------
    id : str
        Its name in the cache, 64 hexadecimal digits.
    size : int
        In bytes.
    mtime_ns : int
        Its modification time when it came in.
    sha256 : str
        Digest of its content, hexadecimal.
    used : int
        Grows with each use of any file.
    """

    id: str
    size: int
    mtime_ns: int
    sha256: str
    used: int = 0


@dataclass(frozen=True, slots=True)
class Content:
    """What is known of a version of a file, in the cache or not.

    Attributes
    ----------
    sha256 : str
        Digest of the content, hexadecimal.
    size : int
        In bytes.
    """

    sha256: str
    size: int


class Index:
    """The database; one connection a process, shared by its threads.

    Parameters
    ----------
    path : Path
        The database's file, made at the first use.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        _indexes.add(self)

    def entry(self, id_: str) -> Entry | None:
        """Return a file's entry."""
        found = self._run("SELECT id, size, mtime_ns, sha256, used FROM files WHERE id = ?", id_)
        return Entry(*found[0]) if found else None

    def entries(self) -> list[Entry]:
        """Return all entries, the least recently used first."""
        return [
            Entry(*row) for row in self._run("SELECT id, size, mtime_ns, sha256, used FROM files ORDER BY used")
        ]

    def load(self, budget: int) -> tuple[int, int]:
        """Return the size of all files that fit into a budget, and the number of those that do not.

        Parameters
        ----------
        budget : int
            In bytes.
        """
        statement = (
            "SELECT coalesce(sum(size) FILTER (WHERE size <= ?1), 0), count(*) FILTER (WHERE size > ?1) FROM files"
        )
        size, n_larger = self._run(statement, budget)[0]
        return size, n_larger

    def put(self, entry: Entry, *, newest: bool = True) -> None:
        """Write an entry, as the most recently used one or as the least."""
        used = _NEXT.format("files") if newest else "(SELECT coalesce(min(used), 0) - 1 FROM files)"
        self._run(
            f"INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, {used})",  # noqa: S608 - constants
            entry.id,
            entry.size,
            entry.mtime_ns,
            entry.sha256,
        )

    def touch(self, id_: str) -> None:
        """Make an entry the most recently used one."""
        self._run(f"UPDATE files SET used = {_NEXT.format('files')} WHERE id = ?", id_)  # noqa: S608

    def drop(self, id_: str) -> None:
        """Remove an entry."""
        self._run("DELETE FROM files WHERE id = ?", id_)

    def content(self, id_: str) -> Content | None:
        """Return what is known of a version's content."""
        found = self._run("SELECT sha256, size FROM contents WHERE id = ?", id_)
        return Content(*found[0]) if found else None

    def remember(self, id_: str, content: Content) -> None:
        """Write what a version contains."""
        self._run(
            f"INSERT OR REPLACE INTO contents VALUES (?, ?, ?, {_NEXT.format('contents')})",  # noqa: S608
            id_,
            content.size,
            content.sha256,
        )

    def forget(self, id_: str) -> None:
        """Remove what is known of a version."""
        self._run("DELETE FROM contents WHERE id = ?", id_)

    def prune(self) -> None:
        """Keep only the contents that were remembered last."""
        self._run(
            "DELETE FROM contents WHERE id IN (SELECT id FROM contents ORDER BY used DESC LIMIT -1 OFFSET ?)",
            _MOST_DIGESTS,
        )

    def _run(self, statement: str, *values: Any) -> list[Any]:
        with _told(self._path), self._lock:
            if self._connection is None:
                self._connection = _connect(self._path)
                weakref.finalize(self, _close, self._connection, os.getpid())
            return self._connection.execute(statement, values).fetchall()

    def start_anew(self) -> None:
        """Give a forked child a lock and a connection of its own."""
        if self._connection is not None:
            _inherited.append(self._connection)
        self._lock, self._connection = threading.Lock(), None


def _after_fork() -> None:
    for index in list(_indexes):
        index.start_anew()


os.register_at_fork(after_in_child=_after_fork)


def _connect(path: Path) -> sqlite3.Connection:
    # Changing the journal's mode does not wait for others by itself.
    with turn(path.with_name(f"{path.name}-lock")):
        return _connect_alone(path)


def _connect_alone(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A power cut may undo the last changes, which the files do not need.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 64")
        connection.execute("PRAGMA journal_size_limit = 262144")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _close(connection: sqlite3.Connection, process: int) -> None:
    if process == os.getpid():
        connection.close()


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR_SHMSIZE"):
            raise IndexFull(f"{path}: {error}") from error
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR")):
            raise Transient(f"The index of the file cache, {path}, cannot be used now: {error}.") from error
        remedy = "Give this user the right to write the folder, or name another one in RUNSTART_FILE_CACHE."
        raise Alert(f"The index of the file cache, {path}, cannot be used: {error}.", remedy) from error
    except sqlite3.DatabaseError as error:
        remedy = "Remove the folder of the file cache while nothing uses it; files are fetched again."
        raise Alert(f"The index of the file cache, {path}, is damaged: {error}.", remedy) from error
