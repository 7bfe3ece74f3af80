"""Where a site's exposures arrive, a folder or a bucket: when an exposure began, and whether its file is whole.

FITS files whose name is none of a FITS reference are refused with the reason; see `runstart.places` for what else is.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.fits import is_whole
from runstart.fits.folder_source import version_of
from runstart.fits.reference import check_basename
from runstart.nights._header import find_time, reader
from runstart.nights.site import Site
from runstart.places import Arrival, Bucket, BucketPlace, FileGone, FolderPlace, Place, Wanted
from runstart.places import folder_of as folder_of_address
from runstart.places import open_bucket as open_bucket_of_address
from runstart.storage import ObjectMissing

# Almost all names are of this kind: it spares half of the time of a listing.
_USUAL = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9_-]{0,99}/){0,4}[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.[A-Za-z]{3,4}(?:\.fz)?"
)


class ExposurePlace(Place):
    """Where a site's exposures arrive."""

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


class ExposureFolder(FolderPlace, ExposurePlace):
    """A folder.

    Parameters
    ----------
    folder : Path
        The folder, which need not be there yet.
    settle_seconds : float
        A file that has changed within this time is still being written.
    """

    def __init__(self, folder: Path, settle_seconds: float) -> None:
        super().__init__(folder, _EXPOSURES)
        self._settle_seconds = settle_seconds

    def time(self, arrival: Arrival, keywords: Iterable[str]) -> datetime | None:
        with self.unchanged(arrival) as path, path.open("rb") as file:
            return find_time(reader(file), keywords)

    def unfinished(self, arrival: Arrival, now: float) -> str:
        # A clock that goes ahead is no evidence.
        if abs(now - arrival.modified) < self._settle_seconds:
            return "it has just changed"
        with self.unchanged(arrival) as path:
            return "" if is_whole(path) else "it is not whole yet"


class ExposureBucket(BucketPlace, ExposurePlace):
    """A prefix of an S3 bucket.

    Parameters
    ----------
    bucket : Bucket
        What lies under the prefix.
    """

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket, _EXPOSURES)

    def time(self, arrival: Arrival, keywords: Iterable[str]) -> datetime | None:
        try:
            return find_time(lambda offset, length: bytes(self._bucket.read(arrival, offset, length)), keywords)
        except ObjectMissing as error:
            raise FileGone(arrival.name) from error

    def unfinished(self, arrival: Arrival, now: float) -> str:  # noqa: ARG002
        return ""


def open_place(site: Site, s3_client: Any = None) -> ExposurePlace:
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
        return ExposureFolder(folder, site.settle_seconds)
    return ExposureBucket(open_bucket(site, s3_client))


def folder_of(site: Site) -> Path | None:
    """Return the folder in which a site's exposures arrive; None if it is a bucket."""
    return folder_of_address(site.exposures)


def open_bucket(site: Site, s3_client: Any = None) -> Bucket:
    """Return the `Bucket` in which a site's exposures arrive."""
    return open_bucket_of_address(site.exposures, _EXPOSURES.declared, s3_client)


def _explain_name(name: str) -> str:
    if _USUAL.fullmatch(name):
        return ""
    try:
        check_basename(name)
    except Alert as alert:
        return f"its name cannot be used: {alert.remedy}"
    return ""


_EXPOSURES = Wanted(
    things="exposures",
    declared="the site's `exposures` in sites.toml",
    suffixes=(".fits", ".fits.fz", ".fit", ".fts"),
    explain_name=_explain_name,
    version_of=version_of,
)
