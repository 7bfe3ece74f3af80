"""A folder in which files arrive, with everything below it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from runstart.errors import Alert, Transient
from runstart.places.arrival import Arrival, Listing
from runstart.places.place import FileGone, Place, Wanted, cannot_be_taken, check_name, is_ignored, sorted_listing

_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.EBUSY}
_TO_NOTHING = "it is a link to nothing"
_NO_FILE = "it is no file"
_LEADS_OUT = "it is a link that leads out of the folder; put the file itself there"


def folder_of(address: str) -> Path | None:
    """Return the folder that an address such as `file:FOLDER` names; None if it is a bucket's."""
    if not address.startswith("file:"):
        return None
    folder = address.removeprefix("file:")
    return Path(folder.removeprefix("//") if folder.startswith("///") else folder)


class FolderPlace(Place):
    """A folder.

    Parameters
    ----------
    folder : Path
        The folder, which need not be there yet.
    wanted : Wanted
        Which files are looked for.
    """

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        self._folder = folder
        self._wanted = wanted

    def listing(self) -> Listing:  # noqa: D102 - as the base class says
        arrivals, refused = [], {}
        root = os.path.realpath(self._folder)
        for name, entry in self._entries():
            try:
                status = entry.stat()
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP):
                    self._raise_told(error, entry.path)
                if entry.is_symlink():
                    refused[name] = _TO_NOTHING
                continue
            reason = self._wanted.explain_name(name) or _explain_entry(entry, status, root)
            if reason:
                refused[name] = reason
            else:
                version = self._wanted.version_of(status)
                arrivals.append(Arrival(name, version, status.st_size, status.st_mtime))
        return sorted_listing(arrivals, refused)

    def find(self, name: str) -> Arrival:  # noqa: D102
        check_name(name, self._wanted)
        path = self._folder / name
        try:
            with self.told(path):
                status = path.stat()
                real = Path(os.path.realpath(path))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileGone(name) from error
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise cannot_be_taken(name, _TO_NOTHING) from error
        if not stat.S_ISREG(status.st_mode):
            raise cannot_be_taken(name, _NO_FILE)
        if not real.is_relative_to(os.path.realpath(self._folder)):
            raise cannot_be_taken(name, _LEADS_OUT)
        return Arrival(name, self._wanted.version_of(status), status.st_size, status.st_mtime)

    def is_there(self) -> bool:  # noqa: D102
        return self._folder.is_dir()

    @contextlib.contextmanager
    def unchanged(self, arrival: Arrival) -> Iterator[Path]:
        """Give a file's path; what was read counts only if it is still the version that was listed.

        Raises
        ------
        FileGone
            If it is gone, or was replaced.
        PermissionError
            If it may not be read.
        """
        path = self._folder / arrival.name
        try:
            with self.told(path, PermissionError):
                yield path
                version = self._wanted.version_of(path.stat())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileGone(arrival.name) from error
        if version != arrival.version:
            raise FileGone(arrival.name)

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield the name below the folder and the entry of everything that is called like a file that is wanted."""
        folders = [("", os.fspath(self._folder))]
        while folders:
            prefix, folder = folders.pop()
            entries: list[os.DirEntry[str]] = []
            with (
                self.told(folder),
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                os.scandir(folder) as found,
            ):
                entries = [entry for entry in found if not is_ignored(entry.name)]
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append((f"{prefix}{entry.name}/", entry.path))
                elif self._wanted.has(entry.name):
                    yield prefix + entry.name, entry

    @contextlib.contextmanager
    def told(self, path: str | Path, *passed_on: type[OSError]) -> Iterator[None]:
        """Turn what the file system says into what the user or the caller can do about it.

        Parameters
        ----------
        path : str or Path
            What is looked at.
        *passed_on : type of OSError
            Errors that stay as they are, besides those of a file that is not there.
        """
        try:
            yield
        except OSError as error:
            if isinstance(error, (FileNotFoundError, NotADirectoryError, *passed_on)):
                raise
            self._raise_told(error, path)

    def _raise_told(self, error: OSError, path: str | Path) -> NoReturn:
        if isinstance(error, PermissionError):
            what = f"{os.fspath(path)!a} may not be read ({error.strerror})."
            remedy = f"Give this user the right to read where {self._wanted.things} arrive."
            raise Alert(what, remedy) from error
        if error.errno in _PASSING:
            raise Transient(f"{os.fspath(path)!a} cannot be read now: {error.strerror}.") from error
        raise error


def _explain_entry(entry: os.DirEntry[str], status: os.stat_result, root: str) -> str:
    """Return why an entry of a folder cannot be taken, whatever its name; empty if it may be."""
    if not stat.S_ISREG(status.st_mode):
        return _NO_FILE
    if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
        return _LEADS_OUT
    return ""
