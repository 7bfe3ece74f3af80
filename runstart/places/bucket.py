"""Files in an S3 bucket: listed with their versions, read in part, and fetched whole.

An object appears in a bucket when all of it is there, so there are no half-written ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runstart.errors import Alert
from runstart.places.arrival import Arrival, Listing
from runstart.places.place import FileGone, Place, Wanted, check_name, is_ignored, sorted_listing
from runstart.storage import ObjectMissing, S3Store, make_s3_client, open_store

_PIECE = 2**20


class Bucket(S3Store):
    """What lies under a prefix; keys of S3 that are no keys of the object store are listed too.

    Parameters
    ----------
    client : botocore.client.S3
    bucket, prefix : str
        As of an object store.
    declared : str
        Where it is declared, for messages: see `Wanted`.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, declared: str) -> None:
        super().__init__(client, bucket, prefix)
        self._declared = declared

    @property
    def client(self) -> Any:
        """The S3 client."""
        return self._client

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
            return Alert(f"There is no bucket {self.bucket!r}.", f"Create the bucket, or correct {self._declared}.")
        return super()._translated(error, key, where)


class BucketPlace(Place):
    """A prefix of an S3 bucket.

    Parameters
    ----------
    bucket : Bucket
        What lies under the prefix.
    wanted : Wanted
        Which files are looked for.
    """

    def __init__(self, bucket: Bucket, wanted: Wanted) -> None:
        self._bucket = bucket
        self._wanted = wanted

    def listing(self) -> Listing:  # noqa: D102 - as the base class says
        arrivals, refused = [], {}
        for arrival in self._bucket.arrivals():
            if any(map(is_ignored, arrival.name.split("/"))) or not self._wanted.has(arrival.name):
                continue
            reason = self._wanted.explain_name(arrival.name)
            if reason:
                refused[arrival.name] = reason
            else:
                arrivals.append(arrival)
        return sorted_listing(arrivals, refused)

    def find(self, name: str) -> Arrival:  # noqa: D102
        check_name(name, self._wanted)
        try:
            return self._bucket.find(name)
        except ObjectMissing as error:
            raise FileGone(name) from error

    def is_there(self) -> bool:  # noqa: D102
        return True


def open_bucket(address: str, declared: str, s3_client: Any = None) -> Bucket:
    """Return the bucket that an address such as `s3://BUCKET/PREFIX` names.

    Parameters
    ----------
    address : str
        The address.
    declared : str
        Where it is declared, for messages: see `Wanted`.
    s3_client : botocore.client.S3, optional
        By default one made from the standard AWS environment variables.
    """
    if s3_client is None:
        s3_client = make_s3_client()
    named: Any = open_store(address, s3_client)
    return Bucket(s3_client, named.bucket, named.prefix.rstrip("/"), declared)
