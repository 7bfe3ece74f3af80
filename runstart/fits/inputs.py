"""The input files of data operations: found in their sources, known by their content, open while they are in use.

A file is known by the SHA-256 of its content, which is computed once for each version of a file. Files of local
folders are read in place; others come through the file cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.file_cache import Content, ContentChanged, FileCache
from runstart.fits.folder_source import told, version_of
from runstart.fits.reference import FitsReference
from runstart.fits.source import FitsSource, Located, ResolvedFile

__all__ = ["InputFiles"]

# A file written again within the clock's grain would keep its version: no digest is kept of one so young.
_SETTLED_S = 2.0


class InputFiles:
    """Gives the files that references name.

    Parameters
    ----------
    sources : mapping of str to FitsSource
        By name.
    uri_source : FitsSource
        For references by URI.
    cache : FileCache
        For files that cannot be read in place, and for digests.
    """

    def __init__(self, sources: Mapping[str, FitsSource], uri_source: FitsSource, cache: FileCache) -> None:
        self.sources = dict(sources)
        self._uri_source = uri_source
        self.cache = cache

    def resolve(self, reference: FitsReference) -> ResolvedFile:
        """Find a file and tell its content; it is read or fetched only if this version was never seen before.

        Parameters
        ----------
        reference : FitsReference
            As the user named it.

        Returns
        -------
        ResolvedFile
            The file with its digest.

        Raises
        ------
        Alert
            There is no such source or file, or it may not be read.
        Transient
            The source does not answer, or the disk is full.
        """
        source = self._source(reference)
        located = source.locate(reference)
        content = self.cache.content(located.source, located.name, located.version)
        if content is None:
            content = self._content(source, located, reference)
        return ResolvedFile(reference, located.source, located.name, located.version, content.sha256, content.size)

    def open(self, resolved: ResolvedFile) -> AbstractContextManager[Path]:
        """Give a file for reading; it stays, with its content, as long as the context.

        Parameters
        ----------
        resolved : ResolvedFile
            As `resolve` returned it.

        Returns
        -------
        context manager of Path
            The file, not to be changed.

        Raises
        ------
        Alert
            The content is no longer the one that was resolved; for a file read in place also at the end.
        Transient
            The source does not answer, or the disk is full.
        """
        source = self._source(resolved.reference)
        if source.reads_in_place(resolved.reference):
            return self._open_in_place(source, resolved)

        def fetch(path: Path) -> None:
            # Addresses of downloads expire: ask for a new one.
            source.download(source.locate(resolved.reference), path)

        return self.cache.open(
            resolved.source, resolved.name, resolved.version, fetch, sha256=resolved.sha256, size=resolved.size
        )

    def is_held_open(self, resolved: ResolvedFile) -> bool:
        """Tell whether a file takes one of this process's open files as long as it is open.

        Parameters
        ----------
        resolved : ResolvedFile
            As `resolve` returned it.

        Returns
        -------
        bool
            True if it comes through the file cache.
        """
        return not self._source(resolved.reference).reads_in_place(resolved.reference)

    def _source(self, reference: FitsReference) -> FitsSource:
        if reference.uri:
            return self._uri_source
        source = self.sources.get(reference.source)
        if source is None:
            known = ", ".join(sorted(self.sources)) or "none"
            what = f"There is no source {reference.source!r}."
            raise Alert(what, f"Known sources: {known}. RUNSTART_FITS_FOLDERS declares folders.")
        return source

    def _content(self, source: FitsSource, located: Located, reference: FitsReference) -> Content:
        path = source.local_path(located)
        if path is not None:
            return self._content_in_place(located, path, reference)
        # A download is checked against no digest here, since none is known; afterwards the cache knows it.
        with self.cache.open(
            located.source,
            located.name,
            located.version,
            lambda target: source.download(located, target),
            size=located.size,
        ):
            content = self.cache.content(located.source, located.name, located.version)
        if content is None:
            raise RuntimeError(f"the cache does not know the digest of {reference.name}")
        return content

    def _content_in_place(self, located: Located, path: Path, reference: FitsReference) -> Content:
        with told(reference.name), path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            status = os.fstat(file.fileno())
        if version_of(status) != located.version:
            raise Transient(f"{reference.name} is being written.")
        content = Content(sha256, status.st_size)
        if time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_S:
            self.cache.remember_digest(located.source, located.name, located.version, sha256, status.st_size)
        return content

    @contextlib.contextmanager
    def _open_in_place(self, source: FitsSource, resolved: ResolvedFile) -> Iterator[Path]:
        path = self._checked_in_place(source, resolved)
        try:
            yield path
        except OSError as error:
            if error.filename != str(path):
                raise
            with told(resolved.reference.name):
                raise
        self._checked_in_place(source, resolved)

    def _checked_in_place(self, source: FitsSource, resolved: ResolvedFile) -> Path:
        located = source.locate(resolved.reference)
        path = source.local_path(located)
        if path is None:
            raise RuntimeError(f"{source!r} does not read {resolved.reference.name} in place")
        # Another version may be the same content, copied or touched.
        if located.version != resolved.version and self.resolve(resolved.reference).sha256 != resolved.sha256:
            what = f"{resolved.reference.name} changed while it was used."
            raise ContentChanged(what, "Start again with the new content.")
        return path
