"""Outputs of data operations, read back from the object store as inputs of others."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.fits.folder_source import locate_file
from runstart.fits.reference import FitsReference, check_basename
from runstart.fits.source import FitsSource, Located
from runstart.storage import FileStore, ObjectMissing, ObjectStore, check_key

__all__ = ["StoreSource", "output_key"]

_OUTPUT = re.compile(r"([0-9a-f]{64})(-[0-9]{1,6})?")


def output_key(basename: str) -> str:
    """Return the object that holds an operation's output, in the layout `KEY/KEY[-INDEX].fits`.

    Parameters
    ----------
    basename : str
        `KEY` or `KEY-INDEX`, where KEY is the 64 hexadecimal digits of the operation's cache key.

    Returns
    -------
    str
        The object's key.

    Raises
    ------
    Alert
        It is not the basename of an output.
    """
    output = _OUTPUT.fullmatch(basename)
    if output is None:
        raise Alert(
            f"{basename!r} is not an output of a data operation.",
            "Give the 64 hexadecimal digits of the operation's key, and '-' and the output's number if it has several.",
        )
    return f"{output[1]}/{basename}.fits"


class StoreSource(FitsSource):
    """The FITS files in an object store.

    Parameters
    ----------
    name : str
        The source's name.
    store : ObjectStore
        The store; one in a folder is read in place.
    find : callable, optional
        Returns the object's key for a basename, or raises `Alert`; by default `output_key`.
    """

    def __init__(self, name: str, store: ObjectStore, find: Callable[[str], str] = output_key) -> None:
        self.name = name
        self._store = store
        self._find = find

    def __repr__(self) -> str:
        return f"StoreSource({self.name!r}, {self._store!r})"

    def locate(self, reference: FitsReference) -> Located:  # noqa: D102 - as the base class says
        basename = check_basename(reference.basename, folders=False)
        key = self._find(basename)
        if isinstance(self._store, FileStore):
            path = self._store.root / check_key(key)
            return replace(locate_file(self.name, path, self._store.root, reference.name), name=basename)
        etag = self._store.head(key)
        if etag is None:
            raise _missing(reference.name)
        return Located(self.name, basename, etag, address=key)

    def download(self, located: Located, path: Path) -> None:  # noqa: D102
        try:
            stored = self._store.get(located.address)
        except ObjectMissing:
            raise _missing(f"{self.name}/{located.name}") from None
        if stored.etag != located.version:
            raise Transient(f"{self.name}/{located.name} was written anew while it was fetched.")
        path.write_bytes(stored.data)

    def local_path(self, located: Located) -> Path | None:  # noqa: D102
        return Path(located.address) if isinstance(self._store, FileStore) else None

    def reads_in_place(self, reference: FitsReference) -> bool:  # noqa: ARG002, D102
        return isinstance(self._store, FileStore)


def _missing(name: str) -> Alert:
    return Alert(f"There is no file {name}.", "Run the operation that makes it, or look at the spelling.")
