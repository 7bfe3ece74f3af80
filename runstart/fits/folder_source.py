"""FITS files of a local folder, read in place and never outside of it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.fits.reference import FitsReference, check_basename
from runstart.fits.source import FitsSource, Located

__all__ = ["FolderSource", "locate_file", "told", "version_of"]

_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE}


class FolderSource(FitsSource):
    """A folder, with everything below it.

    Parameters
    ----------
    name : str
        The source's name.
    folder : Path
        The folder; symbolic links that lead out of it are refused.
    """

    def __init__(self, name: str, folder: Path | str) -> None:
        self.name = name
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"FolderSource({self.name!r}, {str(self.folder)!r})"

    def locate(self, reference: FitsReference) -> Located:  # noqa: D102 - as the base class says
        basename = check_basename(reference.basename)
        return locate_file(self.name, self.folder / basename, self.folder, reference.name)

    def download(self, located: Located, path: Path) -> None:  # noqa: D102
        with told(located.name):
            shutil.copyfile(located.address, path)

    def local_path(self, located: Located) -> Path | None:  # noqa: D102
        return Path(located.address)

    def reads_in_place(self, reference: FitsReference) -> bool:  # noqa: ARG002, D102
        return True


def locate_file(source: str, path: Path, folder: Path, name: str) -> Located:
    """Find a file below a folder.

    Parameters
    ----------
    source : str
        For `Located`.
    path : Path
        The file.
    folder : Path
        Where it must be, after all links are followed.
    name : str
        The file for people.

    Returns
    -------
    Located
        With the path as address, and a version made of size and times.

    Raises
    ------
    Alert
        It is not there, no file, or leads out of the folder.
    """
    with told(name):
        real, root = path.resolve(), folder.resolve()
        if not real.is_relative_to(root):
            raise Alert(f"{name} leads out of its folder.", "Put the file itself there, not a link.")
        status = real.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Alert(f"{name} is not a file.", "Name a file below the folder.")
    return Located(source, path.relative_to(folder).as_posix(), version_of(status), status.st_size, str(real))


def version_of(status: os.stat_result) -> str:
    """Return a text that changes when a local file is written or replaced.

    The time of the last change of the inode is part of it, since copies often keep the modification time, and FITS
    files of one camera are all of one size.
    """
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Turn what the file system says about a file into what the user, or the world, can do about it.

    Parameters
    ----------
    name : str
        The file for people.

    Raises
    ------
    Alert
        It is not there, or may not be read.
    Transient
        The file system does not answer, or this process has too many files open.
    """
    try:
        yield
    except RuntimeError as error:
        raise _missing(name, "it is a link that leads to itself") from error
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _missing(name, os.strerror(error.errno or 0)) from None
        if error.errno in _FORBIDDEN:
            raise Alert(f"{name} may not be read.", "Give this user the right to read it.") from error
        if error.errno in _PASSING:
            raise Transient(f"{name} cannot be read now: {error.strerror}.") from error
        raise


def _missing(name: str, reason: str) -> Alert:
    return Alert(f"There is no file {name} ({reason}).", "Look at the spelling, and whether it has arrived.")
