"""Where a site's exposures arrive, a folder or a bucket: what lies there, and whether a file is whole.

Names that begin with a dot or end with `.part` or `.tmp` are other programs' half-written files. FITS files whose name
is none of a FITS reference, and links that lead out of the folder, are refused with the reason. Folders that are links
are not entered.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from runstart.errors import Alert, Transient
from runstart.fits import is_whole
from runstart.fits.folder_source import version_of
from runstart.fits.reference import check_basename
from runstart.nights._arrival import Arrival, Listing
from runstart.nights._header import find_time, reader
from runstart.nights.site import Site
from runstart.storage import ObjectMissing, make_s3_client, open_store

_SUFFIXES = (".fits", ".fits.fz", ".fit", ".fts")
# Almost all names are of this kind: it spares half of the time of a listing.
_USUAL = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9_-]{0,99}/){0,4}[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.[A-Za-z]{3,4}(?:\.fz)?"
)
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.EBUSY}


class FileGone(Exception):
    """A file that was listed is gone, or was replaced meanwhile: it is looked at again later."""


class Place(ABC):
    """Where a site's exposures arrive."""

    @abstractmethod
    def listing(self) -> Listing:
        """Return what lies there.

        Raises
        ------
        Alert
            If it may not be read.
        Transient
            If it does not answer.
        """

    @abstractmethod
    def time(self, arrival: Arrival, keywords: Iterable[str]) -> datetime | None:
        """Return when an exposure began, as its header says.

        Raises
        ------
        FileGone
            If it is gone, or was replaced.
        PermissionError
            If it may not be read.
        """

    @abstractmethod
    def unfinished(self, arrival: Arrival, now: float) -> str:
        """Return why a file may still be being written; empty if it is not.

        Raises
        ------
        FileGone, PermissionError
            As `time`.
        """

    @abstractmethod
    def is_there(self) -> bool:
        """Tell whether the place exists."""


class FolderPlace(Place):
    """A folder.

    Parameters
    ----------
    folder : Path
        The folder, which need not be there yet.
    settle_seconds : float
        A file that has changed within this time is still being written.
    """

    def __init__(self, folder: Path, settle_seconds: float) -> None:
        self._folder = folder
        self._settle_seconds = settle_seconds

    def listing(self) -> Listing:
        arrivals, refused = [], {}
        root = os.path.realpath(self._folder)
        for name, entry in self._entries():
            try:
                status = entry.stat()
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP):
                    _raise_told(error, entry.path)
                if entry.is_symlink():
                    refused[name] = "it is a link to nothing"
                continue
            reason = _explain_name(name) or _explain_entry(entry, status, root)
            if reason:
                refused[name] = reason
            else:
                arrivals.append(Arrival(name, version_of(status), status.st_size, status.st_mtime))
        return _listing(arrivals, refused)

    def time(self, arrival: Arrival, keywords: Iterable[str]) -> datetime | None:
        with self._unchanged(arrival) as path, path.open("rb") as file:
            return find_time(reader(file), keywords)

    def unfinished(self, arrival: Arrival, now: float) -> str:
        # A clock that goes ahead is no evidence.
        if abs(now - arrival.modified) < self._settle_seconds:
            return "it has just changed"
        with self._unchanged(arrival) as path:
            return "" if is_whole(path) else "it is not whole yet"

    def is_there(self) -> bool:
        return self._folder.is_dir()

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield the name below the folder and the entry of everything that is called like a FITS file."""
        folders = [("", os.fspath(self._folder))]
        while folders:
            prefix, folder = folders.pop()
            entries: list[os.DirEntry[str]] = []
            with (
                _told(folder),
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                os.scandir(folder) as found,
            ):
                entries = [entry for entry in found if not _is_ignored(entry.name)]
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append((f"{prefix}{entry.name}/", entry.path))
                elif _is_fits(entry.name):
                    yield prefix + entry.name, entry

    @contextlib.contextmanager
    def _unchanged(self, arrival: Arrival) -> Iterator[Path]:
        """Give a file's path; what was read counts only if it is still the version that was listed."""
        path = self._folder / arrival.name
        try:
            with _told(path, PermissionError):
                yield path
                version = version_of(path.stat())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileGone(arrival.name) from error
        if version != arrival.version:
            raise FileGone(arrival.name)


class BucketPlace(Place):
    """A prefix of an S3 bucket.

    Parameters
    ----------
    bucket : Bucket
        What lies under the prefix.
    """

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    def listing(self) -> Listing:
        arrivals, refused = [], {}
        for arrival in self._bucket.arrivals():
            if any(map(_is_ignored, arrival.name.split("/"))) or not _is_fits(arrival.name):
                continue
            reason = _explain_name(arrival.name)
            if reason:
                refused[arrival.name] = reason
            else:
                arrivals.append(arrival)
        return _listing(arrivals, refused)

    def time(self, arrival: Arrival, keywords: Iterable[str]) -> datetime | None:
        try:
            return find_time(lambda offset, length: bytes(self._bucket.read(arrival, offset, length)), keywords)
        except ObjectMissing as error:
            raise FileGone(arrival.name) from error

    def unfinished(self, arrival: Arrival, now: float) -> str:  # noqa: ARG002
        return ""

    def is_there(self) -> bool:
        return True


def open_place(site: Site, s3_client: Any = None) -> Place:
    """Return where a site's exposures arrive.

    Parameters
    ----------
    site : Site
        As `read_sites` returned it.
    s3_client : botocore.client.S3, optional
        By default one made from the standard AWS environment variables.
    """
    folder = folder_of(site)
    if folder is not None:
        return FolderPlace(folder, site.settle_seconds)
    return BucketPlace(open_bucket(site, s3_client))


def folder_of(site: Site) -> Path | None:
    """Return the folder in which a site's exposures arrive; None if it is a bucket."""
    if not site.exposures.startswith("file:"):
        return None
    folder = site.exposures.removeprefix("file:")
    return Path(folder.removeprefix("//") if folder.startswith("///") else folder)


def open_bucket(site: Site, s3_client: Any = None) -> Any:
    """Return the `Bucket` in which a site's exposures arrive."""
    from runstart.nights._bucket import Bucket

    if s3_client is None:
        s3_client = make_s3_client()
    named: Any = open_store(site.exposures, s3_client)
    return Bucket(s3_client, named.bucket, named.prefix.rstrip("/"))


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.endswith((".part", ".tmp"))


def _is_fits(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _explain_name(name: str) -> str:
    if _USUAL.fullmatch(name):
        return ""
    try:
        check_basename(name)
    except Alert as alert:
        return f"its name cannot be used: {alert.remedy}"
    return ""


def _explain_entry(entry: os.DirEntry[str], status: os.stat_result, root: str) -> str:
    """Return why an entry of a folder is no exposure, whatever its name; empty if it may be one."""
    if not stat.S_ISREG(status.st_mode):
        return "it is no file"
    if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
        return "it is a link that leads out of the folder; put the file itself there"
    return ""


def _listing(arrivals: Iterable[Arrival], refused: dict[str, str]) -> Listing:
    return Listing(tuple(sorted(arrivals, key=lambda arrival: arrival.name)), dict(sorted(refused.items())))


@contextlib.contextmanager
def _told(path: str | Path, *passed_on: type[OSError]) -> Iterator[None]:
    """Turn what the file system says into what the user or the caller can do about it."""
    try:
        yield
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError, *passed_on)):
            raise
        _raise_told(error, path)


def _raise_told(error: OSError, path: str | Path) -> NoReturn:
    if isinstance(error, PermissionError):
        what = f"{os.fspath(path)!a} may not be read ({error.strerror})."
        raise Alert(what, "Give this user the right to read where exposures arrive.") from error
    if error.errno in _PASSING:
        raise Transient(f"{os.fspath(path)!a} cannot be read now: {error.strerror}.") from error
    raise error
