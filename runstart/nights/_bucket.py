"""Exposures in an S3 bucket as a source of data operations."""

from __future__ import annotations

from pathlib import Path

from runstart.errors import Alert, Transient
from runstart.fits import FitsReference, FitsSource, Located
from runstart.fits.reference import check_basename
from runstart.places import Bucket
from runstart.storage import ObjectMissing


class BucketSource(FitsSource):
    """A site's bucket as a source of data operations.

    Parameters
    ----------
    name : str
        The source's name.
    bucket : Bucket
        What lies under the site's prefix.
    """

    def __init__(self, name: str, bucket: Bucket) -> None:
        self.name = name
        self._bucket = bucket

    def __repr__(self) -> str:
        return f"BucketSource({self.name!r}, {self._bucket!r})"

    def locate(self, reference: FitsReference) -> Located:
        basename = check_basename(reference.basename)
        try:
            found = self._bucket.find(basename)
        except ObjectMissing:
            what = f"There is no file {reference.name}."
            raise Alert(what, "Look at the spelling, and whether the file has arrived.") from None
        return Located(self.name, basename, found.version, found.size, basename)

    def download(self, located: Located, path: Path) -> None:
        try:
            self._bucket.fetch(located.address, located.version, path)
        except ObjectMissing:
            raise Transient(f"{self.name}/{located.name} was replaced while it was fetched.") from None
