"""Where FITS files come from: folders, the object store, URIs; what is refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from archive_kit import HttpServer, body, hang_up

from runstart.errors import Alert, Transient
from runstart.fits import FitsReference, FolderSource, StoreSource, UriSource, output_key
from runstart.storage import FileStore, ObjectStore

if TYPE_CHECKING:
    from runstart.storage import S3Store

KEY = "0123456789abcdef" * 4
QUICK = {"tries": 3, "pause_s": 0.0, "timeout_s": 0.3}


def reference(text: str) -> FitsReference:
    return FitsReference.parse(text)


def downloaded(source, located, tmp_path: Path) -> bytes:
    source.download(located, tmp_path / "downloaded")
    return (tmp_path / "downloaded").read_bytes()


# Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "night").mkdir(parents=True)
    (folder / "a.fits").write_bytes(b"content")
    (folder / "night" / "b.fits").write_bytes(b"other")
    (tmp_path / "secret.fits").write_bytes(b"secret")
    return folder


def test_a_file_of_a_folder_is_read_in_place(folder: Path, tmp_path: Path) -> None:
    source = FolderSource("local", folder)
    located = source.locate(reference("local/night/b.fits"))
    assert source.local_path(located) == folder / "night" / "b.fits"
    assert (located.source, located.name, located.size) == ("local", "night/b.fits", 5)
    assert downloaded(source, located, tmp_path) == b"other"


def test_the_version_changes_with_the_file_even_if_size_and_time_are_kept(folder: Path) -> None:
    source, path = FolderSource("local", folder), folder / "a.fits"
    before, status = source.locate(reference("local/a.fits")).version, path.stat()
    assert source.locate(reference("local/a.fits")).version == before
    path.with_suffix(".new").write_bytes(b"CONTENT")
    path.with_suffix(".new").replace(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert source.locate(reference("local/a.fits")).version != before


def test_links_are_followed_only_within_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "within").symlink_to(folder / "a.fits")
    (folder / "outside").symlink_to(tmp_path / "secret.fits")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    source = FolderSource("local", folder)
    assert source.locate(reference("local/within")).size == 7
    for name in ("outside", "up/secret.fits"):
        with pytest.raises(Alert, match="leads out of its folder"):
            source.locate(reference(f"local/{name}"))
    with pytest.raises(Alert, match="There is no file local/loop"):
        source.locate(reference("local/loop"))


@pytest.mark.parametrize("name", ["none.fits", "night", "a.fits/b", "x" * 199 + "/" + "y" * 199])
def test_what_is_no_file_is_an_alert(folder: Path, name: str) -> None:
    with pytest.raises(Alert, match=r"There is no file|is not a file"):
        FolderSource("local", folder).locate(reference(f"local/{name}"))


def test_a_folder_may_itself_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert FolderSource("local", tmp_path / "link").locate(reference("local/a.fits")).size == 7


# The object store


@pytest.mark.parametrize("basename", [KEY, f"{KEY}-12"])
def test_outputs_of_operations_are_found_by_their_key(store: ObjectStore, tmp_path: Path, basename: str) -> None:
    store.put(f"{KEY}/{basename}.fits", b"output")
    source = StoreSource("store", store)
    located = source.locate(reference(f"store/{basename}-large"))
    assert located.name == basename
    if isinstance(store, FileStore):
        path = source.local_path(located)
        assert path is not None
        assert path.read_bytes() == b"output"
    else:
        assert downloaded(source, located, tmp_path) == b"output"


@pytest.mark.store
def test_outputs_in_s3_are_downloaded_as_they_were_located(s3_store: S3Store, tmp_path: Path) -> None:
    source = StoreSource("store", s3_store)
    s3_store.put(f"{KEY}/{KEY}.fits", b"output")
    located = source.locate(reference(f"store/{KEY}"))
    assert source.local_path(located) is None
    assert not source.reads_in_place(reference(f"store/{KEY}"))
    assert downloaded(source, located, tmp_path) == b"output"
    s3_store.put(f"{KEY}/{KEY}.fits", b"another")
    with pytest.raises(Transient, match="written anew"):
        source.download(located, tmp_path / "x")
    with pytest.raises(Alert, match="There is no file"):
        source.locate(reference(f"store/{'f' * 64}"))


def test_a_basename_of_another_form_is_an_alert(store: ObjectStore) -> None:
    for name in ("m31", "a" * 63, KEY.upper(), f"{KEY}-", f"{KEY}-x", f"{KEY}/a"):
        with pytest.raises(Alert):
            StoreSource("store", store).locate(reference(f"store/{name}"))
    with pytest.raises(Alert, match="There is no file"):
        StoreSource("store", store).locate(reference(f"store/{KEY}"))
    assert output_key(f"{KEY}-3") == f"{KEY}/{KEY}-3.fits"


def test_where_outputs_are_can_be_told(file_store: FileStore) -> None:
    file_store.put("operations/abc/x.fits", b"output")
    source = StoreSource("store", file_store, lambda basename: f"operations/{basename}/x.fits")
    assert source.locate(reference("store/abc")).size == 6


# URIs


def test_nothing_may_be_read_by_uri_unless_it_is_declared(folder: Path) -> None:
    source = UriSource()
    for uri in (f"file:{folder}/a.fits", "s3://bucket/a.fits", "http://127.0.0.1:1/a.fits", "https://host/a.fits"):
        with pytest.raises(Alert, match="RUNSTART_FITS_URIS"):
            source.locate(reference(uri))


def test_files_below_declared_folders_are_read_in_place(folder: Path, tmp_path: Path) -> None:
    for source in (UriSource([folder]), UriSource(prefixes=[f"file:{folder}/"])):
        for uri in (
            f"file:{folder}/night/b.fits",
            f"file://{folder}/night/b.fits",
            f"file:{folder}/night/%62.fits",
        ):
            located = source.locate(reference(uri))
            assert source.reads_in_place(reference(uri))
            assert source.local_path(located) == folder / "night" / "b.fits"
        (folder / "outside").unlink(missing_ok=True)
        (folder / "outside").symlink_to(tmp_path / "secret.fits")
        for uri in (f"file:{tmp_path}/secret.fits", f"file:{folder}x/a.fits", f"file://host{folder}/a.fits"):
            with pytest.raises(Alert):
                source.locate(reference(uri))
        with pytest.raises(Alert, match="leads out"):
            source.locate(reference(f"file:{folder}/outside"))


@pytest.mark.parametrize(
    "uri",
    [
        "http://host.example/private/a.fits",
        "http://host.example/publica.fits",
        "http://host.example.evil/public/a.fits",
        "http://host.example:81/public/a.fits",
        "https://host.example/public/a.fits",
        "s3://host.example/public/a.fits",
        "http://evil.example/http://host.example/public/a.fits",
        "http://evil.example?http://host.example/public/a.fits",
    ],
)
def test_an_address_must_lie_below_a_prefix_by_server_and_path(uri: str) -> None:
    with pytest.raises(Alert, match=r"may be read|names no file"):
        UriSource(prefixes=["http://host.example/public/"], **QUICK).locate(reference(uri))


@pytest.mark.parametrize(
    "prefix", ["host/path", "ftp://host/", "http://", "file:relative", "http://u:p@host/", "s3:x"]
)
def test_a_prefix_that_is_none_is_an_alert(prefix: str) -> None:
    with pytest.raises(Alert, match="RUNSTART_FITS_URIS takes"):
        UriSource(prefixes=[prefix])


def test_a_file_over_http_is_known_by_its_etag(http_servers: Callable[[], HttpServer], tmp_path: Path) -> None:
    server = http_servers()
    server.answer("/public/a.fits", body(b"content", ETag='"v1"'))
    source = UriSource(prefixes=[f"{server.url}/public"], **QUICK)
    located = source.locate(reference(f"{server.url}/public/a.fits?sig=s3cret"))
    assert (located.source, located.name, located.size) == (f"{server.url}/public", "a.fits", 7)
    assert "s3cret" not in repr(located)
    assert downloaded(source, located, tmp_path) == b"content"
    server.answer("/public/a.fits", body(b"content", ETag='"v2"'))
    assert source.locate(reference(f"{server.url}/public/a.fits?sig=s3cret")).version != located.version
    server.answer("/public/b.fits", body(b"content"))
    unknown = reference(f"{server.url}/public/b.fits")
    assert source.locate(unknown).version != source.locate(unknown).version


def test_a_redirect_out_of_the_prefixes_is_not_followed(http_servers: Callable[[], HttpServer]) -> None:
    server, inner = http_servers(), http_servers()
    inner.answer("/secret", body(b"secret"))
    server.answer("/public/a.fits", body(b"", 302, Location=f"{inner.url}/secret"))
    with pytest.raises(Alert, match="not below an address"):
        UriSource(prefixes=[server.url], **QUICK).locate(reference(f"{server.url}/public/a.fits"))
    assert inner.requests == []
    server.answer("/public/a.fits", body(b"", 302, Location="/public/b.fits"))
    server.answer("/public/b.fits", body(b"content", ETag="x"))
    assert UriSource(prefixes=[server.url], **QUICK).locate(reference(f"{server.url}/public/a.fits")).size == 7
    server.answer("/public/a.fits", body(b"", 302, Location="/public/a.fits"))
    with pytest.raises(Alert, match="redirects without end"):
        UriSource(prefixes=[server.url], **QUICK).locate(reference(f"{server.url}/public/a.fits"))
    server.answer("/public/a.fits", hang_up)
    with pytest.raises(Transient, match="does not answer"):
        UriSource(prefixes=[server.url], **QUICK).locate(reference(f"{server.url}/public/a.fits"))


@pytest.mark.store
def test_an_object_of_s3_is_downloaded_if_its_prefix_is_declared(s3_store: S3Store, tmp_path: Path) -> None:
    client, prefix = s3_store._client, f"s3://{s3_store.bucket}/{s3_store.prefix}"
    etag = s3_store.put("night/a.fits", b"content")
    source = UriSource(prefixes=[f"{prefix}night/"], s3_client=client)
    located = source.locate(reference(f"{prefix}night/a.fits"))
    assert located.size == 7
    assert etag in located.version
    assert downloaded(source, located, tmp_path) == b"content"
    assert hashlib.sha256(b"content").hexdigest() not in located.version
    with pytest.raises(Alert, match="not below an address"):
        source.locate(reference(f"{prefix}other/a.fits"))
    with pytest.raises(Alert, match="There is no object"):
        source.locate(reference(f"{prefix}night/none.fits"))
    s3_store.delete("night/a.fits")
    with pytest.raises(Alert, match="There is no object"):
        source.download(located, tmp_path / "x")
