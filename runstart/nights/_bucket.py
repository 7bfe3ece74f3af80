"""Exposures in an S3 bucket: listed with their versions, read in part, and fetched whole.

An object appears in a bucket when all of it is there, so there are no half-written ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runstart.errors import Alert, Transient
from runstart.fits import FitsReference, FitsSource, Located
from runstart.fits.reference import check_basename
from runstart.nights._arrival import Arrival
from runstart.storage import ObjectMissing, S3Store

_PIECE = 2**20


class Bucket(S3Store):
    """What lies under a site's prefix; keys of S3 that are no keys of the object store are listed too."""

    def arrivals(self) -> Iterator[Arrival]:
        """Yield all objects.

        Raises
        ------
        Alert, Transient
            As an object store does.
        """
        with self._told(""):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for page in pages:
                for item in page.get("Contents", ()):
                    name = item["Key"].removeprefix(self.prefix)
                    yield Arrival(name, item["ETag"].strip('"'), item["Size"], item["LastModified"].timestamp())

    def read(self, arrival: Arrival, offset: int, length: int) -> bytes:
        """Return at most so many bytes of an object from an offset on.

        Raises
        ------
        ObjectMissing
            If it is gone, or another version.
        """
        length = min(length, arrival.size - offset)
        if length <= 0:
            return b""
        span = f"bytes={offset}-{offset + length - 1}"
        with self._same_version(arrival.name):
            answer = self._client.get_object(
                Bucket=self.bucket, Key=self._full(arrival.name), Range=span, IfMatch=f'"{arrival.version}"'
            )
            data: bytes = answer["Body"].read()
        return data

    def find(self, name: str) -> Arrival:
        """Return an object as it is now.

        Raises
        ------
        ObjectMissing
            If there is none.
        """
        with self._told(name):
            answer = self._client.head_object(Bucket=self.bucket, Key=self._full(name))
        modified = answer["LastModified"].timestamp()
        return Arrival(name, answer["ETag"].strip('"'), answer["ContentLength"], modified)

    def fetch(self, name: str, version: str, path: Path) -> None:
        """Write a whole object to a path.

        Raises
        ------
        ObjectMissing
            If it is gone, or another version.
        """
        with self._same_version(name), path.open("wb") as file:
            answer = self._client.get_object(Bucket=self.bucket, Key=self._full(name), IfMatch=f'"{version}"')
            for piece in answer["Body"].iter_chunks(_PIECE):
                file.write(piece)

    @contextlib.contextmanager
    def _same_version(self, name: str) -> Iterator[None]:
        """Take an object of another version for one that is gone."""
        from botocore.exceptions import ClientError

        try:
            with self._told(name):
                yield
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("PreconditionFailed", "412"):
                raise ObjectMissing(name) from error
            raise

    def _translated(self, error: Any, key: str, where: str) -> Exception:
        if error.response.get("Error", {}).get("Code") == "NoSuchBucket":
            remedy = "Create the bucket, or correct the site's `exposures` in sites.toml."
            return Alert(f"There is no bucket {self.bucket!r}.", remedy)
        return super()._translated(error, key, where)


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
