"""Files from elsewhere on the local disk: a budget of bytes, the least recently used file out first.

A file is in use while it is locked, and being fetched while its lock file is; a kill releases both at once. A file
gets its name only when it is whole, checked and flushed, and nobody changes it afterwards: so whatever has a name may
be read. Names on the disk are SHA-256 digests, never names from outside. A file in use is never removed; a file larger
than the budget is served, does not drive the others out, and leaves when it is no longer in use.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

from runstart.errors import Alert, Transient
from runstart.file_cache.downloads import ContentChanged, Downloads
from runstart.file_cache.index import Content, Entry
from runstart.file_cache.locks import open_shared
from runstart.file_cache.shelf import Shelf, is_full

_T = TypeVar("_T")
_STALL_S = 120.0
# A format of the folder; it also keeps other people's files out of reach if the folder is not ours alone.
_FORMAT = "runstart-files-1"
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_PASSING = {errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOLCK}


@dataclass(frozen=True, slots=True)
class Usage:
    """How full a cache is.

    Attributes
    ----------
    files : int
        Number of files.
    bytes : int
        Their size together.
    budget_bytes : int
        What they may have together while not in use.
    """

    files: int
    bytes: int
    budget_bytes: int


class FileCache:
    """A cache of files in a folder of a local disk, for any number of processes and threads.

    Parameters
    ----------
    folder : Path
        The folder; made at the first use.
    budget_bytes : int
        Size of all files together, in bytes, that files not in use may not exceed.
    stall_s : float, optional
        Seconds after which others give up waiting for a download that makes no progress at all.
    """

    def __init__(self, folder: Path | str, budget_bytes: int, *, stall_s: float = _STALL_S) -> None:
        if budget_bytes < 0:
            what = f"The file cache's budget of {budget_bytes} bytes is negative."
            raise Alert(what, "Set RUNSTART_FILE_CACHE_BYTES to 0 or more.")
        self.folder = Path(folder).absolute()
        self.budget_bytes = budget_bytes
        self._stall_s = stall_s
        self._shelf = Shelf(self.folder / _FORMAT, budget_bytes)
        self._downloads = Downloads(self.folder / _FORMAT, stall_s)
        self._swept = False

    def __repr__(self) -> str:
        return f"FileCache({str(self.folder)!r}, {self.budget_bytes})"

    def __reduce__(self) -> tuple[Callable[..., FileCache], tuple[str, int]]:
        return FileCache, (str(self.folder), self.budget_bytes)

    @contextlib.contextmanager
    def open(
        self,
        source: str,
        name: str,
        version: str,
        fetch: Callable[[Path], None],
        *,
        sha256: str | None = None,
        size: int | None = None,
    ) -> Iterator[Path]:
        """Give a file, fetched if it is not there; it stays as long as the context.

        Parameters
        ----------
        source, name, version : str
            What identifies the content; any text.
        fetch : callable
            Writes the whole file to the path that it is given. It is called once for any number of callers at the
            same time, and again if the disk was full. An `Alert` or `Transient` that it raises goes to all of them.
        sha256 : str, optional
            The content's digest, if it is known from elsewhere; otherwise the one remembered for the version.
        size : int, optional
            The file's size in bytes if it is known: room is made before.

        Yields
        ------
        Path
            The file, not to be changed.

        Raises
        ------
        ContentChanged
            The content has another digest than `sha256`, or than the version had before.
        Transient
            The disk is full, or another process's download hangs.
        """
        with self._told():
            self._prepare()
            id_ = _identity(source, name, version)
            file = self._pinned(id_, name, sha256, fetch, size)
        try:
            yield self._shelf.path(id_)
        finally:
            file.close()
            with self._told():
                self._shelf.make_room(0)

    def digest(self, source: str, name: str, version: str) -> str | None:
        """Return the SHA-256 of a version's content if it was ever known, be the file here or not.

        Parameters
        ----------
        source, name, version : str
            As for `open`.

        Returns
        -------
        str or None
            64 hexadecimal digits.
        """
        known = self.content(source, name, version)
        return known.sha256 if known else None

    def content(self, source: str, name: str, version: str) -> Content | None:
        """Return digest and size of a version's content if they were ever known, be the file here or not.

        Parameters
        ----------
        source, name, version : str
            As for `open`.

        Returns
        -------
        Content or None
            Digest and size.
        """
        with self._told():
            self._prepare()
            return self._shelf.index.content(_identity(source, name, version))

    def remember_digest(self, source: str, name: str, version: str, sha256: str, size: int) -> None:
        """Remember the digest of a version's content; `open` does it by itself.

        Parameters
        ----------
        source, name, version : str
            As for `open`.
        sha256 : str
            64 hexadecimal digits.
        size : int
            Size of the content in bytes.
        """
        id_, content = _identity(source, name, version), Content(sha256, size)
        with self._told():
            self._prepare()
            self._with_room(lambda: self._shelf.index.remember(id_, content), 0)

    def reconcile(self) -> None:
        """Make index and folder agree.

        Entries without a file are dropped; whole files that the index has lost are taken in as the least recently
        used ones; anything else among them is removed, and so is what killed downloads have left.
        """
        with self._told():
            self._prepare()
            self._downloads.sweep()
            self._shelf.reconcile()
            self._shelf.make_room(0)

    def usage(self) -> Usage:
        """Return how full the cache is.

        Returns
        -------
        Usage
            Number and size of its files, in use or not.
        """
        with self._told():
            self._prepare()
            entries = self._shelf.index.entries()
        return Usage(len(entries), sum(entry.size for entry in entries), self.budget_bytes)

    def _prepare(self) -> None:
        self._shelf.prepare()
        self._downloads.prepare()
        if not self._swept:
            self._swept = True
            self._downloads.sweep()

    def _pinned(
        self, id_: str, name: str, sha256: str | None, fetch: Callable[[Path], None], size: int | None
    ) -> BufferedReader:
        file = self._pinned_if_here(id_, name, sha256)
        while file is None:
            # Told inside the turn, so that those who wait are told too.
            with self._downloads.turn(id_, name) as ours, self._told():
                # Somebody may have brought it since we looked.
                file = self._pinned_if_here(id_, name, sha256)
                if file is None and ours:
                    file = self._with_room(lambda: self._fetched(id_, name, sha256, fetch, size or 0), size)
        return file

    def _pinned_if_here(self, id_: str, name: str, sha256: str | None) -> BufferedReader | None:
        pinned = self._shelf.pin(id_)
        if pinned is None:
            return None
        file, entry = pinned
        try:
            _compare(name, entry.sha256, sha256)
            self._with_room(lambda: self._shelf.index.touch(id_), 0)
        except BaseException:
            file.close()
            raise
        return file

    def _fetched(
        self, id_: str, name: str, sha256: str | None, fetch: Callable[[Path], None], size: int
    ) -> BufferedReader:
        """Fetch a file, check it, name it; return it open and pinned."""
        self._shelf.make_room(size)
        partial = self._downloads.partial(id_)
        file: BufferedReader | None = None
        try:
            partial.unlink(missing_ok=True)
            partial.touch()
            fetch(partial)
            file = open_shared(partial)
            if file is None:
                raise RuntimeError(f"what fetches {name!r} wrote no file")
            os.fsync(file.fileno())
            self._accept(id_, name, sha256, file)
        except BaseException:
            if file is not None:
                file.close()
            partial.unlink(missing_ok=True)
            raise
        return file

    def _accept(self, id_: str, name: str, sha256: str | None, file: BufferedReader) -> None:
        """Check a whole file against what is known, and put it into its place."""
        index = self._shelf.index
        found = hashlib.file_digest(file, "sha256").hexdigest()
        known = index.content(id_)
        if known is not None and known.sha256 != found:
            # The next one who asks shall learn the new content, not fail again.
            index.forget(id_)
        _compare(name, found, sha256 or (known.sha256 if known else None))
        os.fchmod(file.fileno(), 0o444)
        status = os.fstat(file.fileno())
        index.remember(id_, Content(found, status.st_size))
        self._shelf.place(Entry(id_, status.st_size, status.st_mtime_ns, found), self._downloads.partial(id_))

    def _with_room(self, action: Callable[[], _T], size: int | None) -> _T:
        """Do something; if the disk is full, remove files not in use and do it again."""
        for needed in (size, None):
            try:
                return action()
            except OSError as error:
                if not is_full(error):
                    raise
                self._shelf.free(needed)
        return action()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the file system says into what the user can do about it."""
        try:
            yield
        except OSError as error:
            if is_full(error):
                text = f"The disk of the file cache {self.folder} is full, and no more of its files can be removed."
                raise Transient(text) from error
            if error.errno in _FORBIDDEN:
                remedy = "Give this user the right to write it, or name another folder in RUNSTART_FILE_CACHE."
                what = f"The file cache {self.folder} may not be written ({error.filename}: {error.strerror})."
                raise Alert(what, remedy) from error
            if error.errno in _PASSING:
                raise Transient(f"The file cache {self.folder} cannot be used now: {error.strerror}.") from error
            raise


def _compare(name: str, found: str, expected: str | None) -> None:
    if expected not in (None, found):
        raise ContentChanged(
            f"The content of {name!r} changed while it was used: its SHA-256 is {found} instead of {expected}.",
            "Start again with the new content.",
        )


def _identity(source: str, name: str, version: str) -> str:
    """Return a file's name on the disk; the lengths keep ('a', 'bc') and ('ab', 'c') apart."""
    text = "".join(f"{len(part)}:{part}," for part in (source, name, version))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
