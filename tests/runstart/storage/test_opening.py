"""URLs of object stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.storage import FileStore, S3Store, make_s3_client, open_store, store_url


@pytest.mark.parametrize("url", ["file:/data/runstart", "file:///data/runstart"])
def test_a_file_url_names_a_folder(url: str) -> None:
    store = open_store(url)
    assert isinstance(store, FileStore)
    assert store.root == Path("/data/runstart")


def test_a_relative_file_url_is_taken_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("file:objects")
    monkeypatch.chdir("/")
    store.put("a", b"1")
    assert (tmp_path / "objects" / "a").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [("s3://b/p/q", "b", "p/q/"), ("s3://b/p/", "b", "p/"), ("s3://b", "b", ""), ("s3://b/", "b", "")],
)
def test_an_s3_url_names_a_bucket_and_a_prefix(url: str, bucket: str, prefix: str) -> None:
    store = open_store(url, s3_client=object())
    assert isinstance(store, S3Store)
    assert (store.bucket, store.prefix) == (bucket, prefix)


@pytest.mark.parametrize(
    "url", ["", "file:", "file://host/a", "/data", "s3:", "s3:b", "s3://", "s3:///p", "http://host/a", "s3://b/a b"]
)
def test_any_other_url_is_an_alert(url: str) -> None:
    with pytest.raises(Alert, match="does not name an object store"):
        open_store(url, s3_client=object())


def test_the_environment_names_the_store_or_it_is_below_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    default = f"file:{tmp_path / '.runstart' / 'store'}"
    assert store_url({}) == store_url({"RUNSTART_OBJECT_STORE": ""}) == default
    assert store_url({"RUNSTART_OBJECT_STORE": "s3://b/p"}) == "s3://b/p"


def test_each_s3_client_has_the_credentials_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    used = []
    for name in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", name)
        client = make_s3_client()
        url = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
        used.append(name in url)
        client.close()
    assert used == [True, True]
