"""A bucket as a place, with a client that says what S3 says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from runstart.errors import Alert
from runstart.places import Arrival, BucketPlace, FileGone, Wanted, open_bucket

WANTED = Wanted("letters", "the post box in post.toml", (".txt",), lambda name: "x" * (" " in name), str)
MODIFIED = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


class Client:
    """Objects in memory."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def get_paginator(self, _name: str) -> Client:
        return self

    def paginate(self, **asked: str) -> Iterator[dict[str, Any]]:
        if asked["Bucket"] != "post":
            raise ClientError({"Error": {"Code": "NoSuchBucket"}}, "ListObjectsV2")
        for key in filter(lambda key: key.startswith(asked["Prefix"]), self.objects):
            yield {"Contents": [{"Key": key, **self._tell(key), "Size": len(self.objects[key])}]}

    def head_object(self, **asked: str) -> dict[str, Any]:
        if asked["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")
        return {**self._tell(asked["Key"]), "ContentLength": len(self.objects[asked["Key"]])}

    def _tell(self, key: str) -> dict[str, Any]:
        return {"ETag": f'"{self.objects[key].hex()}"', "LastModified": MODIFIED}


def make_place(address: str = "s3://post/in/box", **objects: bytes) -> BucketPlace:
    client = Client({f"in/box/{name}": data for name, data in objects.items()})
    return BucketPlace(open_bucket(address, WANTED.declared, client), WANTED)


def test_objects_under_the_prefix_are_listed_like_files() -> None:
    objects = {"b.txt": b"1", "a/c.txt": b"22", ".a.txt": b"", "p.part/a.txt": b"", "a.pdf": b"", "a b.txt": b""}
    listing = make_place(**objects).listing()
    modified = MODIFIED.timestamp()
    assert listing.arrivals == (Arrival("a/c.txt", "3232", 2, modified), Arrival("b.txt", "31", 1, modified))
    assert list(listing.refused) == ["a b.txt"]


def test_one_object_is_found_as_it_would_be_listed() -> None:
    place = make_place(**{"a.txt": b"1"})
    assert (place.find("a.txt"),) == place.listing().arrivals


def test_an_object_that_is_not_there_is_gone() -> None:
    with pytest.raises(FileGone):
        make_place().find("a.txt")


@pytest.mark.parametrize("name", ["a b.txt", ".a.txt", "a.pdf"])
def test_an_object_that_a_listing_would_refuse_or_ignore_is_not_found(name: str) -> None:
    with pytest.raises(Alert, match="cannot be taken"):
        make_place(**{name: b"1"}).find(name)


def test_a_bucket_that_is_not_there_is_told_with_the_place_to_correct_it() -> None:
    with pytest.raises(Alert, match=r"no bucket 'other'.*correct the post box in post\.toml"):
        make_place("s3://other/in").listing()
