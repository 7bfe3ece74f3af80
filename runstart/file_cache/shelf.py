"""The cache's files on the disk: their names, who uses them, and which of them leave.

A file is in use while somebody holds a shared lock on it; to remove it takes the exclusive one. Placing and removing
take turns on one lock, so that under it the index is right but for files that were lost or changed from outside.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from io import BufferedReader
from pathlib import Path

from runstart.file_cache.index import Entry, Index, IndexFull
from runstart.file_cache.locks import open_alone, open_shared, turn

_NAME = re.compile(r"[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Shelf:
    """The files below a folder, with their index.

    Parameters
    ----------
    root : Path
        A folder that nothing else uses.
    budget_bytes : int
        Size of all files together that those not in use may not exceed.
    """

    def __init__(self, root: Path, budget_bytes: int) -> None:
        self._files = root / "files"
        self._turn = root / "turn"
        self._budget = budget_bytes
        self.index = Index(root / "index.sqlite")

    def prepare(self) -> None:
        """Make the folders."""
        self._files.mkdir(parents=True, exist_ok=True)

    def path(self, id_: str) -> Path:
        """Return where a file is, or would be."""
        return self._files / id_[:2] / id_

    def pin(self, id_: str) -> tuple[BufferedReader, Entry] | None:
        """Open a file; it is in use until it is closed.

        Parameters
        ----------
        id_ : str
            The file's name.

        Returns
        -------
        (binary file, Entry) or None
            The open file; None if there is none, or if it was changed since it came in.
        """
        file = open_shared(self.path(id_))
        if file is None:
            return None
        try:
            entry = self._judge(id_, file)
        except BaseException:
            file.close()
            raise
        if entry is None:
            file.close()
            return None
        return file, entry

    def place(self, entry: Entry, partial: Path) -> None:
        """Give a whole file its name, after making room for it.

        Parameters
        ----------
        entry : Entry
            The file's facts.
        partial : Path
            Where it is now, on the same file system, flushed; it may be open and pinned.
        """
        path = self.path(entry.id)
        path.parent.mkdir(exist_ok=True)
        with turn(self._turn):
            self._shrink(entry.size)
            # The entry comes first: what a kill leaves is an entry without a file, which counts too much.
            self.index.put(entry)
            partial.replace(path)
        _flush_folder(path.parent)

    def make_room(self, size: int) -> None:
        """Remove files until a new one fits into the budget, as far as those in use allow.

        Parameters
        ----------
        size : int
            Of the new file, in bytes; no room is made for one that is larger than the budget.
        """
        room_for = size if size <= self._budget else 0
        load, n_larger = self.index.load(self._budget)
        if n_larger or load + room_for > self._budget:
            with turn(self._turn):
                self._shrink(room_for)

    def free(self, n_bytes: int | None) -> int:
        """Remove files not in use whatever the budget, since the disk is full.

        Parameters
        ----------
        n_bytes : int or None
            How much is needed; None for all that can be had.

        Returns
        -------
        int
            How much was freed, in bytes.
        """
        freed = 0
        with turn(self._turn):
            for entry in self.index.entries():
                if n_bytes is not None and freed >= n_bytes:
                    break
                freed += self._evict(entry) or 0
        return freed

    def reconcile(self) -> None:
        """Drop entries without a file, take in files without an entry, remove what is neither."""
        with turn(self._turn):
            lost = {entry.id for entry in self.index.entries()}
            for path in sorted(self._files.rglob("*")):
                if path.is_dir() and not path.is_symlink():
                    continue
                if not _NAME.fullmatch(path.name) or path != self.path(path.name) or path.is_symlink():
                    path.unlink()
                elif path.name in lost:
                    lost.remove(path.name)
                else:
                    self._adopt(path)
            for id_ in lost:
                self.index.drop(id_)
            self.index.prune()

    def _shrink(self, room_for: int) -> None:
        load, n_larger = self.index.load(self._budget)
        load += room_for if room_for <= self._budget else 0
        if load <= self._budget and not n_larger:
            return
        for entry in self.index.entries():
            larger = entry.size > self._budget
            if (larger or load > self._budget) and self._evict(entry) is not None and not larger:
                load -= entry.size

    def _evict(self, entry: Entry) -> int | None:
        """Remove a file; return what that freed, or None if it is in use."""
        path = self.path(entry.id)
        freed = 0
        try:
            file = open_alone(path)
        except FileNotFoundError:
            pass
        else:
            if file is None:
                return None
            with file:
                path.unlink()
                freed = entry.size
        # On a full disk the entry may have to stay: it is dropped when its file is missed.
        with contextlib.suppress(IndexFull):
            self.index.drop(entry.id)
        return freed

    def _judge(self, id_: str, file: BufferedReader) -> Entry | None:
        """Return the entry of a file that is as it came in."""
        status = os.fstat(file.fileno())
        entry = self.index.entry(id_)
        if entry is not None and (entry.size, entry.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return entry
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if entry is not None and entry.sha256 != sha256:
            return None
        found = Entry(id_, status.st_size, status.st_mtime_ns, sha256)
        self.index.put(found)
        return found

    def _adopt(self, path: Path) -> None:
        file = open_shared(path)
        if file is None:
            return
        with file:
            status = os.fstat(file.fileno())
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.index.put(Entry(path.name, status.st_size, status.st_mtime_ns, sha256), newest=False)


def is_full(error: OSError) -> bool:
    """Tell whether an error says that the disk is full."""
    return isinstance(error, IndexFull) or error.errno in _FULL


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
