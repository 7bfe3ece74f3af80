"""Exposures that arrive in a bucket of a real S3 server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exposure_files import NOW, header_only, image, make_site

from runstart.errors import Alert, Transient
from runstart.facility import S3Server
from runstart.file_cache import FileCache
from runstart.fits import FitsReference, InputFiles, UriSource
from runstart.nights import Site, exposure_source, files_by_night, find_new, index_files, list_arrivals
from runstart.storage import FileStore

pytestmark = pytest.mark.store
BUCKET = "runstart-tests"
NIGHT = "2026-03-01"


@pytest.fixture
def client(s3_server: S3Server) -> Iterator[Any]:
    client = s3_server.client()
    yield client
    client.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path, exposures=f"s3://{BUCKET}/raw-{secrets.token_hex(4)}/OBS")


@pytest.fixture
def put(client: Any, site: Site) -> Callable[[str, bytes], None]:
    prefix = site.exposures.removeprefix(f"s3://{BUCKET}/")

    def put_object(name: str, data: bytes) -> None:
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=data)

    return put_object


def test_objects_are_handed_out_once_with_their_night(
    site: Site, client: Any, put: Callable[[str, bytes], None], file_store: FileStore
) -> None:
    put("a.fits", header_only())
    put("sub/b.fits.fz", image(np.zeros((20, 20), np.uint16), packed=True))
    put(".hidden/c.fits", header_only())
    put("notes.txt", b"clouds")
    put("M 31.fits", header_only())
    put("empty.fits", b"")
    found = find_new(site, None, file_store, now=NOW, s3_client=client)
    assert [arrival.name for arrival in found.nights[NIGHT]] == ["a.fits", "sub/b.fits.fz"]
    assert {"M 31.fits", "empty.fits"} == set(found.refused)  # written today, which is after the test's present
    again = find_new(site, found.cursor, file_store, now=NOW, s3_client=client)
    assert (again.nights, again.refused) == ({}, {})
    put("a.fits", header_only("2026-03-05T22:00:00"))
    third = find_new(site, found.cursor, file_store, now=NOW, s3_client=client)
    assert {night: [a.name for a in arrivals] for night, arrivals in third.nights.items()} == {
        "2026-03-05": ["a.fits"]
    }
    assert [a.name for a in files_by_night(site, file_store, s3_client=client)[NIGHT]] == ["sub/b.fits.fz"]


def test_more_objects_than_a_page_are_listed(site: Site, client: Any, put: Callable[[str, bytes], None]) -> None:
    class Paged:
        def get_paginator(self, name: str) -> Any:
            paginator = client.get_paginator(name)
            whole = paginator.paginate
            paginator.paginate = lambda **arguments: whole(**arguments, PaginationConfig={"PageSize": 2})
            return paginator

    for number in range(5):
        put(f"{number}.fits", b"")
    assert [a.name for a in list_arrivals(site, Paged()).arrivals] == [f"{number}.fits" for number in range(5)]


def test_exposures_of_a_bucket_are_indexed_and_read_by_operations(
    site: Site, client: Any, put: Callable[[str, bytes], None], file_store: FileStore, tmp_path: Path
) -> None:
    pixels = np.arange(400, dtype=np.uint16).reshape(20, 20)
    put("sub/a.fits.fz", image(pixels, packed=True, OBSTYPE="BIAS"))
    put("cut.fits", image(pixels)[:4000])
    inputs = InputFiles({"OBS": exposure_source(site, client)}, UriSource(), FileCache(tmp_path / "cache", 10**8))
    arrivals = files_by_night(site, file_store, s3_client=client)[NIGHT]
    whole, cut = sorted(index_files(site, arrivals, inputs).exposures, key=lambda exposure: exposure.trouble)
    assert (whole.name, whole.kind, whole.median, whole.trouble) == ("sub/a.fits.fz", "bias", 199.5, "")
    assert cut.name == "cut.fits"
    assert "truncated" in cut.trouble
    resolved = inputs.resolve(FitsReference(source="OBS", basename="sub/a.fits.fz"))
    assert (resolved.sha256, resolved.version) == (whole.sha256, whole.version)
    with pytest.raises(Alert, match=r"no file OBS/none\.fits"):
        inputs.resolve(FitsReference(source="OBS", basename="none.fits"))


def test_an_object_that_is_replaced_while_it_is_fetched_is_transient(
    site: Site, client: Any, put: Callable[[str, bytes], None], tmp_path: Path
) -> None:
    source = exposure_source(site, client)
    put("a.fits", header_only())
    located = source.locate(FitsReference(source="OBS", basename="a.fits"))
    put("a.fits", header_only("2026-03-05T22:00:00"))
    with pytest.raises(Transient, match="was replaced"):
        source.download(located, tmp_path / "a.fits")


def test_a_missing_bucket_is_an_alert(tmp_path: Path, client: Any) -> None:
    with pytest.raises(Alert, match=r"no bucket 'no-such-bucket'.*sites.toml"):
        list_arrivals(make_site(tmp_path, exposures="s3://no-such-bucket/raw"), client)


def test_the_standard_environment_gives_credentials_and_endpoint(
    site: Site, put: Callable[[str, bytes], None], s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.fits", b"")
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    assert [arrival.name for arrival in list_arrivals(site).arrivals] == ["a.fits"]
