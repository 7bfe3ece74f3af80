"""Where a microscope's scans arrive, a folder or a bucket: what a scan is called, and how its file is opened.

A version tells one file from another that takes its place. Of a file that is complete when it appears, or when it has
settled, it is the SHA-256 of the size, times and inode of the file and of the file that describes it; of an object, of
the etags. A file that is followed while it grows changes its size and times: there it is the SHA-256 of the inode and of
what the header says of the scan, which is the same from the first frame to the last.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runstart.frame_files import KINDS, FrameSource, ObjectBlob, ScanHeader, open_frames, sidecar_name
from runstart.microscopes import Microscope
from runstart.places import (
    Arrival,
    Bucket,
    BucketPlace,
    FileGone,
    FolderPlace,
    Place,
    Wanted,
    birth_of,
    folder_of,
    open_bucket,
)

GROWING = (".frames", ".batches")
SUFFIXES = tuple(suffix for suffixes in KINDS for suffix in suffixes.split(", "))
LONGEST_KEY = 180

_SIDECARS = (".json", ".hdr")
_NEEDS_SIDECAR = (".raw", ".bin")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+-]*")
_SPELLING = (
    "use letters, digits, '.', '_', '=', '+' and '-', a letter or digit first, no two dots together, and at most "
    f"{LONGEST_KEY} characters with the folders"
)


def scan_key(name: str) -> str:
    """Return the partition key of the scan whose file has a path below the folder: with `@` for each `/`."""
    return name.replace("/", "@")


def explain_name(name: str) -> str:
    """Return why a path below the folder cannot be that of a scan; empty if it can."""
    segments = name.split("/")
    if len(name) > LONGEST_KEY or ".." in name or not all(map(_SEGMENT.fullmatch, segments)):
        return f"its name cannot be used: {_SPELLING}"
    return ""


def is_scan(name: str) -> bool:
    """Return whether a file is one of frames, by its name."""
    return name.lower().endswith(SUFFIXES)


def can_grow(name: str) -> bool:
    """Return whether a file can be read while it grows, by its name."""
    return name.lower().endswith(GROWING)


def needs_sidecar(name: str) -> bool:
    """Return whether a file cannot be read without the one that describes it."""
    return name.lower().endswith(_NEEDS_SIDECAR)


class ScanPlace(Place):
    """Where a microscope's scans arrive."""

    @abstractmethod
    def open(self, arrival: Arrival, sidecar: Arrival | None) -> tuple[FrameSource, str]:
        """Return a scan's frames, and the version of its file.

        Parameters
        ----------
        arrival : Arrival
            The file.
        sidecar : Arrival or None
            The file beside it that describes it, if there is one.

        Raises
        ------
        FileGone
            If it is gone, or was replaced.
        Alert
            If it cannot be read.
        Transient
            If disk or store do not answer.
        """

    @property
    @abstractmethod
    def can_grow(self) -> bool:
        """Whether files can be seen here before they are complete."""

    def find_with_sidecar(self, name: str) -> tuple[Arrival, Arrival | None]:
        """Return a file of frames and, if there is one, the file that describes it, as they are now.

        Raises
        ------
        FileGone, Alert, Transient
            As `find`.
        """
        arrival, beside = self.find(name), sidecar_name(name)
        if beside is not None:
            with contextlib.suppress(FileGone):
                return arrival, self.find(beside)
        return arrival, None


class ScanFolder(FolderPlace, ScanPlace):
    """A folder."""

    can_grow = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _SCANS)

    def open(self, arrival: Arrival, sidecar: Arrival | None) -> tuple[FrameSource, str]:
        if can_grow(arrival.name):
            return self._open_growing(arrival)
        with _closed_on_failure() as opened, self.unchanged(arrival) as path:
            opened.append(open_frames(path))
        return opened[0], stamp_digest(arrival, sidecar)

    def _open_growing(self, arrival: Arrival) -> tuple[FrameSource, str]:
        path = self._folder / arrival.name
        before = self._identity(path)
        with _closed_on_failure() as opened:
            opened.append(open_frames(path))
            if self._identity(path) != before:
                raise FileGone(arrival.name)
        return opened[0], _header_digest(opened[0].header, before)

    def _identity(self, path: Path) -> tuple[int, int]:
        """Return inode and birth, which stay while a file grows."""
        try:
            with self.told(path):
                return path.stat().st_ino, birth_of(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileGone(path.name) from error


class ScanBucket(BucketPlace, ScanPlace):
    """A prefix of an S3 bucket."""

    can_grow = False

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket, _SCANS)

    def open(self, arrival: Arrival, sidecar: Arrival | None) -> tuple[FrameSource, str]:
        described = None if sidecar is None else self._blob(sidecar)
        return open_frames(self._blob(arrival), sidecar=described), stamp_digest(arrival, sidecar)

    def _blob(self, arrival: Arrival) -> ObjectBlob:
        bucket = self._bucket
        key = bucket.prefix + arrival.name
        return ObjectBlob(
            bucket.client, bucket.bucket, key, arrival.version, arrival.size, f"s3://{bucket.bucket}/{key}"
        )


def open_place(microscope: Microscope, s3_client: Any = None) -> ScanPlace:
    """Return where a microscope's scans arrive.

    Parameters
    ----------
    microscope : Microscope
        As `read_microscopes` returned it.
    s3_client : botocore.client.S3, optional
        By default one made from the standard AWS environment variables.
    """
    folder = folder_of(microscope.scans)
    if folder is not None:
        return ScanFolder(folder)
    return ScanBucket(open_bucket(microscope.scans, _SCANS.declared, s3_client))


def stamp_digest(arrival: Arrival, sidecar: Arrival | None) -> str:
    """Return a text that changes when a file, or the one that describes it, is written or replaced."""
    return _digest([arrival.version, None if sidecar is None else sidecar.version])


def _header_digest(header: ScanHeader, identity: tuple[int, int]) -> str:
    return _digest([*identity, asdict(header)])


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _version_of(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


@contextlib.contextmanager
def _closed_on_failure() -> Iterator[list[FrameSource]]:
    """Give a list for a source, which is closed if it turns out that it must not be used."""
    opened: list[FrameSource] = []
    try:
        yield opened
    except BaseException:
        for source in opened:
            source.close()
        raise


_SCANS = Wanted(
    things="scans",
    declared="the microscope's `scans` in microscopes.toml",
    suffixes=(*SUFFIXES, *_SIDECARS),
    explain_name=explain_name,
    version_of=_version_of,
)
